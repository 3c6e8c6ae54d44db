#include "runtime/thread_pool.h"

#include <algorithm>

#include "base/ensure.h"

namespace polis::runtime {
namespace {

Duration monotonic_now() { return std::chrono::steady_clock::now().time_since_epoch(); }

void pause_core() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

}  // namespace

void Job::finish() {
    // After post() the job may be gone at any moment: nothing of it is touched here any more. One captured pointer fits
    // std::function without an allocation.
    reactor_->post([this] { reactor_->schedule(waiter_); });
}

Workers::Workers(Options options) : options_(options) {
    ENSURE(options_.threads > 0);
    for (uint32_t i = 0; i < options_.threads; ++i) threads_.emplace_back([this] { work(); });
}

Workers::~Workers() {
    {
        const std::scoped_lock lock(mutex_);
        stopping_ = true;
    }
    wake_.notify_all();
    for (std::thread& thread : threads_) thread.join();
    ENSURE(first_ == nullptr);
}

void Workers::submit(Job& job) {
    bool wake = false;
    {
        const std::scoped_lock lock(mutex_);
        ENSURE(!stopping_);
        job.next_ = nullptr;
        (last_ ? last_->next_ : first_) = &job;
        last_ = &job;
        waiting_.store(true, std::memory_order_release);
        wake = sleeping_ > 0;
    }
    if (wake) wake_.notify_one();
}

Job* Workers::take() {
    Job* job = first_;
    if (!job) return nullptr;
    first_ = job->next_;
    if (!first_) {
        last_ = nullptr;
        waiting_.store(false, std::memory_order_relaxed);
    }
    return job;
}

bool Workers::spin(Duration budget) const {
    const Duration end = monotonic_now() + budget;
    do {
        for (int i = 0; i < 32; ++i) {
            if (waiting_.load(std::memory_order_acquire)) return true;
            pause_core();
        }
    } while (!stopping_.load(std::memory_order_relaxed) && monotonic_now() < end);
    return false;
}

void Workers::work() {
    Duration budget = options_.spin_max;
    for (;;) {
        if (budget.count() > 0) {
            // Halve after each spin in vain, so that an idle node burns nothing; the reset is below.
            budget = spin(budget) ? options_.spin_max : budget / 2;
            if (budget < std::chrono::microseconds(1)) budget = Duration(0);
        }
        std::unique_lock lock(mutex_);
        if (!first_) {
            const Duration asleep_since = monotonic_now();
            ++sleeping_;
            wake_.wait(lock, [this] { return first_ != nullptr || stopping_; });
            --sleeping_;
            if (monotonic_now() - asleep_since < 2 * options_.spin_max) budget = options_.spin_max;
        }
        Job* job = take();
        if (!job) return;  // Stopping, and all is done.
        lock.unlock();
        try {
            job->run();
        } catch (...) {
            job->exception_ = std::current_exception();
        }
        job->finish();
    }
}

Task<void> ThreadPool::run(std::function<void()> work) {
    const auto call = [&work] {
        work();
        return true;
    };
    co_await OnWorker(workers_, call);
    co_return done();
}

}  // namespace polis::runtime
