// IdleTimer: cancels a scope when what it awaits has been silent for too long.
#pragma once

#include <memory>

#include "runtime/reactor.h"
#include "runtime/scope.h"

namespace polis::runtime {

/// A deadline for each of many waits of one coroutine, without an alarm for each: the one alarm is set a whole span ahead and
/// looks, when it rings, at when the wait began that is under way. Lives on one reactor.
class IdleTimer {
public:
    /// Cancels `scope` with Timeout once a wait has taken `span`. REQUIRES: both outlive it.
    IdleTimer(Reactor& reactor, Scope& scope, Duration span)
        : reactor_(reactor), scope_(scope), span_(span), alarm_(reactor.make_alarm([this] { ring(); })) {}

    /// A wait begins now; only between this and `end` is silence counted.
    void begin() {
        began_ = reactor_.now();
        if (armed_) return;
        armed_ = true;
        alarm_->set(began_ + span_);
    }
    void end() { began_ = Instant::never(); }

private:
    void ring() {
        armed_ = false;
        if (began_ == Instant::never()) return;  // Set again when the next wait begins.
        const Instant due = began_ + span_;
        if (due <= reactor_.now()) return scope_.cancel(Code::Timeout);
        armed_ = true;
        alarm_->set(due);
    }

    Reactor& reactor_;
    Scope& scope_;
    const Duration span_;
    const std::unique_ptr<Alarm> alarm_;
    Instant began_ = Instant::never();
    bool armed_ = false;
};

}  // namespace polis::runtime
