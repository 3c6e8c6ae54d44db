// Task<T>: a lazy coroutine that ends in a Result<T>. It starts when its parent awaits it, in the parent's scope.
#pragma once

#include <coroutine>
#include <exception>
#include <optional>
#include <utility>

#include "base/ensure.h"
#include "base/result.h"
#include "runtime/frame_memory.h"
#include "runtime/reactor.h"
#include "runtime/scope.h"

namespace polis::runtime {

/// Where a coroutine runs and what can cancel it. Handed from parent to child.
struct Context {
    Reactor* reactor = nullptr;
    Scope* scope = nullptr;
};

namespace detail {

/// The part of a promise that does not depend on the result's type, so that waits can reach the context of
/// whoever awaits them.
struct PromiseBase {
    std::coroutine_handle<> parent;
    Context context;
    std::exception_ptr exception;

    static void* operator new(size_t bytes) { return FrameMemory::allocate(bytes); }
    static void operator delete(void* frame, size_t bytes) noexcept { FrameMemory::free(frame, bytes); }
};

}  // namespace detail

template <class P>
concept TaskPromise = std::derived_from<P, detail::PromiseBase>;

/// One piece of sequential work on one reactor. Awaited exactly once, by the parent that owns it; dropping a Task that
/// was never awaited drops the work. A Task that is running is never destroyed: its parent awaits it, and cuts it short by
/// cancelling a scope (scope.h), upon which every wait inside returns an error.
///
/// An exception (from a library, or out of memory) passes through to the root, which logs it (TaskGroup).
template <class T = void>
class [[nodiscard]] Task {
public:
    struct promise_type : detail::PromiseBase {
        Task get_return_object() { return Task(Handle::from_promise(*this)); }
        std::suspend_always initial_suspend() noexcept { return {}; }
        auto final_suspend() noexcept { return ResumeParent{}; }
        void return_value(Result<T> value) { result.emplace(std::move(value)); }
        void unhandled_exception() { exception = std::current_exception(); }

        std::optional<Result<T>> result;  // Set once, before the final suspension; else `exception` is.
    };

    Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
    Task& operator=(Task&& other) noexcept {
        std::swap(handle_, other.handle_);
        return *this;
    }
    Task(const Task&) = delete;
    Task& operator=(const Task&) = delete;
    ~Task() {
        if (handle_) handle_.destroy();
    }

    bool await_ready() const noexcept { return false; }

    template <TaskPromise P>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<P> parent) noexcept {
        return start(parent, parent.promise().context);
    }

    Result<T> await_resume() {
        if (handle_.promise().exception) std::rethrow_exception(handle_.promise().exception);
        return *std::move(handle_.promise().result);
    }

    /// For roots and wrappers: sets parent and context; the caller resumes what is returned.
    std::coroutine_handle<> start(std::coroutine_handle<> parent, Context context) noexcept {
        handle_.promise().parent = parent;
        handle_.promise().context = context;
        return handle_;
    }

    /// Runs work that never has to wait, as tests over in-memory twins do.
    Result<T> run_ready() {
        handle_.resume();
        ENSURE(handle_.done());
        return await_resume();
    }

private:
    using Handle = std::coroutine_handle<promise_type>;

    struct ResumeParent {
        bool await_ready() const noexcept { return false; }
        std::coroutine_handle<> await_suspend(Handle child) const noexcept {
            if (child.promise().parent) return child.promise().parent;
            return std::noop_coroutine();
        }
        void await_resume() const noexcept {}
    };

    explicit Task(Handle handle) : handle_(handle) {}

    Handle handle_;
};

/// `co_return done();` at the end of a Task<void>.
inline Result<void> done() { return {}; }

/// The awaiting coroutine's context: `const Context here = co_await this_context();`
struct this_context {
    Context context;
    bool await_ready() const noexcept { return false; }
    template <TaskPromise P>
    bool await_suspend(std::coroutine_handle<P> self) noexcept {
        context = self.promise().context;
        return false;
    }
    Context await_resume() const noexcept { return context; }
};

}  // namespace polis::runtime
