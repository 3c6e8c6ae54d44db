#include "runtime/task_group.h"

#include <string>

#include "base/log.h"

namespace polis::runtime {

// A coroutine without a parent. Its frame frees itself when it ends, after the group has been told.
struct TaskGroup::Root {
    struct promise_type : detail::PromiseBase {
        promise_type(TaskGroup& group, std::string_view, Task<void>&) { context = {&group.reactor_, &group.scope_}; }
        Root get_return_object() { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
        std::suspend_always initial_suspend() noexcept { return {}; }
        std::suspend_never final_suspend() noexcept { return {}; }
        void return_void() {}
        void unhandled_exception() { std::terminate(); }
    };
    std::coroutine_handle<promise_type> handle;
};

TaskGroup::Root TaskGroup::run(TaskGroup& group, std::string_view name, Task<void> task) {
    if (!group.scope_.canceled()) {
        try {
            const Result<void> result = co_await task;
            if (!result && result.error().code != Code::Canceled) {
                log::debug("task_failed", {"task", name}, {"code", name_of(result.error().code)},
                           {"why", result.error().what});
            }
        } catch (const std::exception& exception) {
            log::error("task_threw", {"task", name}, {"what", exception.what()});
        }
    }
    --group.running_;
    group.ended_.notify_all();
}

void TaskGroup::spawn(std::string_view name, Task<void> task) {
    ++running_;
    reactor_.schedule(run(*this, name, std::move(task)).handle);
}

Task<void> TaskGroup::stop() {
    scope_.cancel();
    return join();
}

Task<void> TaskGroup::join() {
    // Not cut short by the awaiter's own cancellation: the tasks still use what the owner is about to destroy.
    Scope unbroken;
    while (running_ > 0) {
        const Result<void> ended = co_await in_scope(unbroken, ended_.wait());
        ENSURE(ended.has_value());
    }
    co_return done();
}

}  // namespace polis::runtime
