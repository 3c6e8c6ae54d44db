// Descriptor: a socket's descriptor and what is known of its readiness, so that only what can succeed is tried.
#pragma once

#include <coroutine>
#include <cstdint>
#include <utility>

#include "base/ensure.h"
#include "runtime/epoll_reactor.h"
#include "runtime/scope.h"
#include "runtime/task.h"

namespace polis::runtime {

/// An open, non-blocking socket, watched by a reactor for as long as this lives. The reactor tells what *becomes* ready (epoll's
/// edges); what is ready stays so until whoever reads or writes says that it found the end. Lives on its reactor.
class Descriptor final : private EpollReactor::Watched {
    struct Side;

public:
    /// Takes `opened` over. Nothing is taken to be readable before the reactor says so; writing may be tried at once.
    Descriptor(EpollReactor& reactor, int opened) : reactor_(reactor), number_(opened) {
        writing_.ready = true;
        reactor_.watch(number_, *this);
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    /// REQUIRES: nobody waits.
    ~Descriptor() override;

    int number() const { return number_; }
    /// Gives the descriptor away, open and unwatched. REQUIRES: nobody waits; nothing else is asked of this any more.
    int release();

    /// Waits until a read (or accept) may succeed, not at all if one may now, but now and then lets others go first.
    /// `co_await` gives a Result<void>: the scope's error if cancelled.
    auto readable() { return Readiness(*this, reading_); }
    /// Likewise for a write, or the end of a connect.
    auto writable() { return Readiness(*this, writing_); }
    bool is_read() const { return reading_.waiting != nullptr; }
    bool is_written() const { return writing_.waiting != nullptr; }

    /// A read of a stream took less than it could have: no octet is left (epoll(7)), but an end may be.
    void read_short() {
        if (!hung_up_) read_nothing();
    }
    /// A read found nothing: EAGAIN.
    void read_nothing() { reading_ = {.waiting = reading_.waiting}; }
    /// A write found no room: EAGAIN, or a connect has only begun.
    void wrote_nothing() { writing_ = {.waiting = writing_.waiting}; }

    /// Ends all waits: they succeed, and what is tried next tells what has become of the socket.
    void wake_all();

private:
    class Readiness : public Wait {
    public:
        Readiness(Descriptor& descriptor, Side& side) : descriptor_(descriptor), side_(side) {}

        bool await_ready() const noexcept { return false; }
        template <TaskPromise P>
        bool await_suspend(std::coroutine_handle<P> self) {
            scope_ = self.promise().context.scope;
            if (scope_->canceled()) return false;
            if (side_.ready) {
                if (side_.at_once++ < at_once_max) return false;
                side_.at_once = 0;
                descriptor_.reactor_.schedule_next_turn(self);
                return true;
            }
            ENSURE(side_.waiting == nullptr);
            self_ = self;
            side_.waiting = this;
            scope_->add(*this);
            return true;
        }
        Result<void> await_resume() const {
            if (scope_->canceled()) return std::unexpected(scope_->error());
            return {};
        }

        void wake() {
            unlink();
            cancel();
        }
        void cancel() override {
            side_.waiting = nullptr;
            descriptor_.reactor_.schedule(self_);
        }

    private:
        Descriptor& descriptor_;
        Side& side_;
        Scope* scope_ = nullptr;
        std::coroutine_handle<> self_;
    };

    struct Side {
        bool ready = false;
        uint32_t at_once = 0;  // Times in a row that nobody had to wait.
        Readiness* waiting = nullptr;
    };

    static constexpr uint32_t at_once_max = 16;  // Before other connections get their turn.

    void ready(uint32_t events) override;
    static void make_ready(Side& side) {
        side.ready = true;
        if (side.waiting) side.waiting->wake();
    }

    EpollReactor& reactor_;
    int number_;
    bool hung_up_ =
        false;  // The peer has ended its direction, or both are over: reads find that, whatever else there is.
    Side reading_;
    Side writing_;
};

}  // namespace polis::runtime
