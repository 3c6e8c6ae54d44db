// Ways for coroutines of one reactor to wait: for one answer, for a signal, for an item, for a time.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <utility>

#include "base/list.h"
#include "runtime/task.h"

namespace polis::runtime {

/// One answer, given once by `complete`, awaited at most once. Owner and completer may come in any order; both live on
/// one reactor. REQUIRES: it outlives the coroutine that awaits it (keep it in the frame or in a shared_ptr).
template <class T = void>
class Completion {
public:
    Completion() = default;
    Completion(const Completion&) = delete;
    Completion& operator=(const Completion&) = delete;

    /// Gives the answer and lets the waiter run later in this turn. Later calls change nothing (a cancelled waiter has had
    /// its error already).
    void complete(Result<T> value) {
        if (value_) return;
        value_.emplace(std::move(value));
        if (waiter_) waiter_->wake();
    }

    bool completed() const { return value_.has_value(); }

    /// `co_await completion.wait()` gives the answer, or the scope's error if cancelled first.
    auto wait() { return Awaiter(*this); }

private:
    class Awaiter : public Wait {
    public:
        explicit Awaiter(Completion& completion) : completion_(completion) {}
        ~Awaiter() override {
            if (completion_.waiter_ == this) completion_.waiter_ = nullptr;
        }

        bool await_ready() const noexcept { return completion_.value_.has_value(); }

        template <TaskPromise P>
        bool await_suspend(std::coroutine_handle<P> self) {
            context_ = self.promise().context;
            if (context_.scope->canceled()) {
                completion_.complete(std::unexpected(context_.scope->error()));
                return false;
            }
            self_ = self;
            completion_.waiter_ = this;
            context_.scope->add(*this);
            return true;
        }
        Result<T> await_resume() { return *std::move(completion_.value_); }

        void wake() {
            unlink();
            completion_.waiter_ = nullptr;
            context_.reactor->schedule(self_);
        }
        void cancel() override { completion_.complete(std::unexpected(context_.scope->error())); }

    private:
        Completion& completion_;
        Context context_;
        std::coroutine_handle<> self_;
    };

    std::optional<Result<T>> value_;  // Set once.
    Awaiter* waiter_ = nullptr;       // While a coroutine sleeps on it.
};

/// A condition that may have changed. A waiter sleeps until the next `notify_all` after it began to wait, then looks
/// again itself. No memory: a notification with nobody waiting is lost, so test the condition before waiting.
class Signal {
public:
    void notify_all() {
        List<Waiter, Waiter> woken;
        woken.splice(waiters_);
        while (!woken.empty()) {
            Waiter& waiter = woken.front();
            waiter.Linked<Waiter>::unlink();
            waiter.complete({});
        }
    }
    Task<void> wait() {
        Waiter waiter;
        waiters_.push_back(waiter);
        co_return co_await waiter.wait();
    }

private:
    struct Waiter : Completion<void>, Linked<Waiter> {};
    List<Waiter, Waiter> waiters_;
};

/// A bounded first-in first-out queue between coroutines of one reactor. `capacity` items at most; a pusher waits
/// while it is full. After `close`, pushes fail with Canceled and pops give what is left, then fail with Canceled.
template <class T>
class Channel {
public:
    explicit Channel(size_t capacity) : capacity_(capacity) { ENSURE(capacity > 0); }

    /// False, and nothing done, if full or closed.
    bool try_push(T item) {
        if (closed_ || items_.size() >= capacity_) return false;
        items_.push_back(std::move(item));
        changed_.notify_all();
        return true;
    }
    Task<void> push(T item) {
        while (!closed_ && items_.size() >= capacity_) CO_TRY(co_await changed_.wait());
        if (closed_) co_return fail(Code::Canceled, "the queue is closed");
        items_.push_back(std::move(item));
        changed_.notify_all();
        co_return done();
    }
    Task<T> pop() {
        while (items_.empty() && !closed_) CO_TRY(co_await changed_.wait());
        if (items_.empty()) co_return fail(Code::Canceled, "the queue is closed");
        T item = std::move(items_.front());
        items_.pop_front();
        changed_.notify_all();
        co_return item;
    }
    void close() {
        closed_ = true;
        changed_.notify_all();
    }
    size_t size() const { return items_.size(); }
    bool closed() const { return closed_; }

private:
    size_t capacity_;
    std::deque<T> items_;
    Signal changed_;
    bool closed_ = false;
};

/// Sleeps for `span`. Ends early with the scope's error if cancelled.
Task<void> sleep_for(Duration span);
/// Sleeps until `when`, not at all if it has passed.
Task<void> sleep_until(Instant when);

namespace detail {
class DeadlineScope {
public:
    DeadlineScope(Context outer, Instant when);
    ~DeadlineScope() = default;
    Context context() { return {reactor_, &scope_}; }

private:
    Reactor* reactor_;
    Scope scope_;
    std::unique_ptr<Alarm> alarm_;
};

/// Awaits `task` in a context of the caller's choosing.
template <class T>
struct InContext {
    Task<T>& task;
    Context context;
    bool await_ready() const noexcept { return false; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> parent) noexcept {
        return task.start(parent, context);
    }
    Result<T> await_resume() { return task.await_resume(); }
};
}  // namespace detail

/// Runs `task`; at `when` everything it waits for is cancelled with Timeout. Deadlines nest: the earlier one wins.
template <class T>
Task<T> with_deadline(Instant when, Task<T> task) {
    detail::DeadlineScope deadline(co_await this_context(), when);
    co_return co_await detail::InContext<T>{task, deadline.context()};
}

/// Runs `task` inside `scope`, which the caller can cancel. REQUIRES: `scope` outlives it.
template <class T>
Task<T> in_scope(Scope& scope, Task<T> task) {
    const Context here = co_await this_context();
    co_return co_await detail::InContext<T>{task, Context{here.reactor, &scope}};
}

}  // namespace polis::runtime
