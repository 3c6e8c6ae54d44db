// Service: what all connections of one server share.
#pragma once

#include "rpc/deadline_queue.h"
#include "rpc/method_table.h"
#include "rpc/server.h"

namespace polis::rpc {

/// Outlives every connection. One reactor.
struct Service {
    Service(runtime::World& given_world, const Routes& given_routes, const ServerOptions& given_options)
        : world(given_world),
          routes(given_routes),
          options(given_options),
          methods(given_routes),
          deadlines(given_world.reactor) {}

    runtime::World& world;
    const Routes& routes;
    const ServerOptions& options;
    MethodTable methods;
    DeadlineQueue deadlines;
};

}  // namespace polis::rpc
