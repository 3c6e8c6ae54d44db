// Mailbox: work that one reactor hands to another, posted in one go at the end of the turn.
#pragma once

#include <functional>
#include <utility>
#include <vector>

#include "base/ensure.h"
#include "runtime/reactor.h"

namespace polis::runtime {

/// One direction between two reactors. What is put in runs on `to`, in the order put; waking another thread costs a system call, so a
/// whole turn's work shares one. Lives on `from`. REQUIRES: `to` outlives it; `from` does not run when it is destroyed on another thread.
class Mailbox : public TurnHook {
public:
    Mailbox(Reactor& from, Reactor& to) : from_(from), to_(to) {}
    Mailbox(const Mailbox&) = delete;
    Mailbox& operator=(const Mailbox&) = delete;
    ~Mailbox() override { from_.forget(*this); }

    void put(std::function<void()> work) {
        ENSURE(from_.is_current());
        if (work_.empty()) from_.at_turn_end(*this);
        work_.push_back(std::move(work));
    }

    /// Posts what has gathered now. For shutting down: else the turn's end does it.
    void flush() {
        if (work_.empty()) return;
        to_.post([work = std::exchange(work_, {})] {
            for (const std::function<void()>& each : work) each();
        });
    }

    void turn_end() override { flush(); }

private:
    Reactor& from_;
    Reactor& to_;
    std::vector<std::function<void()>> work_;
};

}  // namespace polis::runtime
