// EpollReactor: the real reactor: one thread's loop over one epoll descriptor, with the machine's clock.
#pragma once

#include <sys/epoll.h>

#include <atomic>
#include <coroutine>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "runtime/alarm_queue.h"
#include "runtime/reactor.h"
#include "runtime/task_group.h"

namespace polis::runtime {

/// Lifecycle: make, spawn first tasks, run() on the thread that is to own it, stop() from anywhere. Only `post` and `stop`
/// may be called from other threads. REQUIRES: outlives every alarm, stream and task group made on it.
class EpollReactor : public Reactor {
public:
    struct Options {
        /// For how long to look for events before the thread goes to sleep. Waking an idle core costs some 20 µs, so
        /// 20..50 µs halves the latency of a busy node's round trips for one core's CPU. Only done while events come that
        /// fast on average; 0: never.
        Duration spin{0};
        /// How many ready events one turn handles before their coroutines run. Bounds a turn's length, and with it
        /// how late an alarm can be.
        uint32_t events_per_turn_max = 256;
    };

    EpollReactor();
    explicit EpollReactor(Options options);
    ~EpollReactor() override;

    void post(std::function<void()> work) override;
    void schedule(std::coroutine_handle<> coroutine) override { ready_.push_back(coroutine); }
    void at_turn_end(TurnHook& hook) override;
    void forget(TurnHook& hook) override;
    std::unique_ptr<Alarm> make_alarm(std::function<void()> ring) override;
    Instant now() const override { return now_; }
    Instant fresh_now() const override;
    WallTime wall_now() const override;
    /// Before the first run(): true on the thread that made it.
    bool is_current() const override { return owner_.load(std::memory_order_relaxed) == std::this_thread::get_id(); }

    /// Runs until stop(). The calling thread owns the reactor from here on.
    void run();
    /// Runs until `condition`, looked at after each turn, holds. For tests and for shutting down.
    void run_until(const std::function<bool()>& condition);
    /// Makes run() return after its current turn. From any thread. A stop before run() makes that return at once.
    void stop();

    /// Calls `handle` on the reactor each time the process gets `signal` (SIGTERM, SIGINT, SIGHUP), instead of the signal's
    /// default action. One handler a signal.
    void on_signal(int signal, std::function<void()> handle);

    /// A descriptor that the reactor watches, once for all: it is told of what changes (epoll's edges), so that waiting costs no
    /// system call of its own.
    class Watched {
    public:
        virtual ~Watched() = default;
        /// In the part of a turn that runs no user code. `events`: epoll's, as they hold now.
        virtual void ready(uint32_t events) = 0;
    };

    /// Begins to watch `descriptor`; what is ready already is told too. REQUIRES: unwatched before either is gone, and not in ready().
    void watch(int descriptor, Watched& watched);
    void unwatch(int descriptor);

    /// Resumes `coroutine` in the next turn: after other connections had theirs.
    void schedule_next_turn(std::coroutine_handle<> coroutine) { next_turn_.push_back(coroutine); }

private:
    class QueuedAlarm;
    class WakeUp;
    class Signals;
    struct Epoll {
        Epoll();
        ~Epoll();
        const int descriptor;
    };

    void turn();
    void handle_events();
    uint32_t poll(int timeout_ms);
    uint32_t wait_for_events();
    uint32_t sleep();
    uint32_t spin_for_events();
    void note_idle(Duration idle);
    void arm_timer();
    void run_posted();
    void settle();
    void wake();
    bool work_is_left() const;

    const Options options_;
    const Epoll epoll_;
    std::vector<epoll_event> events_;         // Room for those of one turn.
    const std::unique_ptr<WakeUp> timer_;     // Rings for the earliest alarm.
    const std::unique_ptr<WakeUp> doorbell_;  // Rung by other threads.
    std::unique_ptr<Signals> signals_;        // Made when first asked for.
    std::atomic<bool> knocked_ = false;       // Not to sleep once: stop() was called.
    std::atomic<bool> asleep_ = false;        // The owner waits, or is about to: it must be woken for what is posted.
    std::atomic<std::thread::id> owner_;
    std::atomic<bool> stopping_ = false;

    Instant now_;  // Read once a turn.
    AlarmQueue alarms_;
    Instant timer_at_ =
        Instant::never();  // What the kernel's timer is set to. Never later than the first alarm while asleep.
    Duration idle_average_ = Duration::max();  // How long recent waits for an event took; decides about spinning.
    std::vector<std::coroutine_handle<>> ready_;
    std::vector<std::coroutine_handle<>> next_turn_;
    std::vector<TurnHook*> hooks_;  // In the order asked for, each once; null: forgotten.

    std::mutex posted_mutex_;
    std::vector<std::function<void()>> posted_;  // Under posted_mutex_.
    std::atomic<bool> has_posted_ = false;       // posted_ is not empty; changed under posted_mutex_.
    std::vector<std::function<void()>> running_posted_;
};

/// Runs `task` to its end on `reactor` and returns its result. For tests and command-line programs.
template <class T>
Result<T> run(EpollReactor& reactor, Task<T> task) {
    TaskGroup group(reactor);
    std::optional<Result<T>> result;
    group.spawn("run", detail::keep_result(std::move(task), result));
    reactor.run_until([&group] { return group.running() == 0; });
    ENSURE(result.has_value());
    return *std::move(result);
}

}  // namespace polis::runtime
