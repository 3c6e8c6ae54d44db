// Reactor: one thread's loop. Runs coroutines, timers and what other threads post. epoll behind it in production, an
// event heap in the simulator.
#pragma once

#include <coroutine>
#include <functional>
#include <memory>

#include "base/time.h"

namespace polis::runtime {

/// Work for the end of a turn: what has gathered while the turn's events were handled is sent or stored in one go.
class TurnHook {
public:
    virtual ~TurnHook() = default;
    virtual void turn_end() = 0;

private:
    friend class EpollReactor;
    bool is_asked_for_ = false;  // Waits in its reactor's list. There may be a hook a connection: no search tells this.
};

/// A one-shot alarm. Owned by whoever waits; destroying it disarms it. Lives on its reactor.
class Alarm {
public:
    virtual ~Alarm() = default;
    /// Calls the function given to `Reactor::make_alarm` once at `when` (not before); replaces an earlier setting.
    virtual void set(Instant when) = 0;
    /// After this returns the function is not called until set again.
    virtual void clear() = 0;
};

/// One thread's event loop. A *turn* handles the events that are ready, then resumes the coroutines these made
/// ready, then calls the turn hooks, and repeats the last two until nothing is left; then it sleeps.
///
/// Everything but `post` is called on the reactor's own thread only.
class Reactor {
public:
    virtual ~Reactor() = default;

    /// Runs `work` on the reactor's thread, in the order posted. From any thread.
    virtual void post(std::function<void()> work) = 0;

    /// Resumes `coroutine` later in this turn, after those scheduled before it. Never inline.
    virtual void schedule(std::coroutine_handle<> coroutine) = 0;

    /// Calls `hook.turn_end()` once at the end of this turn, however often it is asked for.
    /// REQUIRES: `hook` lives until then, or `forget(hook)` is called before it dies.
    virtual void at_turn_end(TurnHook& hook) = 0;
    virtual void forget(TurnHook& hook) = 0;

    virtual std::unique_ptr<Alarm> make_alarm(std::function<void()> ring) = 0;

    /// When this turn began; the same throughout it. Monotonic, counts suspension. Costs no clock's read.
    virtual Instant now() const = 0;

    /// The time at this very moment, read anew: for decisions that a pause of the process in mid-turn must not fool, such as
    /// whether a lease still holds.
    virtual Instant fresh_now() const { return now(); }

    /// Wall time, for people and for time stamps that the leader puts into commands.
    virtual WallTime wall_now() const = 0;

    /// True on the thread that runs this reactor.
    virtual bool is_current() const = 0;
};

}  // namespace polis::runtime
