// TaskGroup: owns tasks that run beside their owner: starts them, cancels them, waits for them to end.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string_view>

#include "runtime/task.h"
#include "runtime/wait.h"

namespace polis::runtime {

/// The root of tasks that live as long as some object: a server's connections, a replica's loops. One reactor.
///
/// Lifecycle: spawn ... stop (awaited) ... destroy. REQUIRES: empty when destroyed.
class TaskGroup {
public:
    explicit TaskGroup(Reactor& reactor) : reactor_(reactor) {}
    TaskGroup(const TaskGroup&) = delete;
    TaskGroup& operator=(const TaskGroup&) = delete;
    ~TaskGroup() { ENSURE(running_ == 0); }

    /// Starts `task` later in this turn. Its error is logged under `name` (at debug; Canceled is not), a thrown exception
    /// as an error. After stop() the task is dropped without being started.
    void spawn(std::string_view name, Task<void> task);

    /// Cancels all tasks and waits until the last has ended. May be called more than once.
    Task<void> stop();

    /// Waits until no task runs, without cancelling any.
    Task<void> join();

    size_t running() const { return running_; }
    Scope& scope() { return scope_; }
    Reactor& reactor() { return reactor_; }

private:
    struct Root;
    static Root run(TaskGroup& group, std::string_view name, Task<void> task);

    Reactor& reactor_;
    Scope scope_;
    size_t running_ = 0;
    Signal ended_;
};

namespace detail {
/// For running a task as the root of everything: keeps what it gives.
template <class T>
Task<void> keep_result(Task<T> task, std::optional<Result<T>>& result) {
    result.emplace(co_await task);
    co_return done();
}
}  // namespace detail

}  // namespace polis::runtime
