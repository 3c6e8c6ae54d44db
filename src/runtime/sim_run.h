// run(): a task from start to end on a simulated reactor, for tests. Included by sim_reactor.h.
#pragma once

#include <optional>

#include "runtime/task_group.h"

namespace polis::runtime {

template <class T>
Result<T> run(SimReactor& reactor, Task<T> task, Duration limit) {
    TaskGroup group(reactor);
    std::optional<Result<T>> result;
    group.spawn("test", detail::keep_result(std::move(task), result));
    const bool ended = reactor.run_until([&] { return group.running() == 0; }, reactor.now() + limit);
    ENSURE(ended);
    return *std::move(result);
}

}  // namespace polis::runtime
