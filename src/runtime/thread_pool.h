// ThreadPool: threads for blocking work, fed by an intrusive queue; each job ends on the reactor of whoever awaits it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <coroutine>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "runtime/world.h"

namespace polis::runtime {

/// One piece of blocking work, living in the frame of the coroutine that awaits it.
class Job {
public:
    virtual ~Job() = default;
    /// On a worker thread. Must not touch reactor state.
    virtual void run() = 0;

protected:
    friend class Workers;
    void finish();  // On the worker: hands the coroutine back to its reactor.

    std::coroutine_handle<> waiter_;
    Reactor* reactor_ = nullptr;
    std::exception_ptr exception_;

private:
    Job* next_ = nullptr;
};

/// A fixed number of threads that take jobs in the order given. Thread-safe.
///
/// A worker that runs out of work may spin for a short while before it sleeps, because waking an idle core costs more than a
/// short job does. The spin adapts: it is worth its price only while jobs keep coming within it.
class Workers {
public:
    struct Options {
        uint32_t threads = 2;
        Duration spin_max{0};  // 0: sleep at once.
    };

    explicit Workers(Options options);
    Workers(const Workers&) = delete;
    Workers& operator=(const Workers&) = delete;
    /// Finishes what was given, then ends the threads.
    ~Workers();

    /// REQUIRES: `job` lives until its coroutine is resumed.
    void submit(Job& job);

private:
    void work();
    Job* take();
    bool spin(Duration budget) const;

    const Options options_;
    std::mutex mutex_;
    std::condition_variable wake_;
    Job* first_ = nullptr;  // A queue, by mutex_.
    Job* last_ = nullptr;
    uint32_t sleeping_ = 0;             // Threads in wake_, by mutex_.
    std::atomic<bool> waiting_{false};  // The queue is not empty; lets a spinning worker look without the lock.
    std::atomic<bool> stopping_{false};
    std::vector<std::thread> threads_;
};

/// `co_await OnWorker(workers, work)` runs `work()` on a worker and gives what it returns. Not cut short by cancellation.
template <class Work>
class [[nodiscard]] OnWorker : public Job {
public:
    using Value = std::invoke_result_t<Work&>;

    OnWorker(Workers& workers, Work work) : workers_(workers), work_(std::move(work)) {}

    bool await_ready() const noexcept { return false; }
    template <TaskPromise P>
    void await_suspend(std::coroutine_handle<P> self) {
        waiter_ = self;
        reactor_ = self.promise().context.reactor;
        workers_.submit(*this);
    }
    Value await_resume() {
        if (exception_) std::rethrow_exception(exception_);
        return *std::move(value_);
    }

    void run() override { value_.emplace(work_()); }

private:
    Workers& workers_;
    Work work_;
    std::optional<Value> value_;
};

/// The pool of a World.
class ThreadPool : public Pool {
public:
    explicit ThreadPool(uint32_t threads = 2) : workers_({.threads = threads, .spin_max = Duration(0)}) {}

    Task<void> run(std::function<void()> work) override;

private:
    Workers workers_;
};

}  // namespace polis::runtime
