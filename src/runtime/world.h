// World: everything outside the process that a node's shell may touch, in one bundle; real or simulated.
#pragma once

#include <functional>

#include "runtime/disk.h"
#include "runtime/random.h"
#include "runtime/reactor.h"
#include "runtime/stream.h"

namespace polis::runtime {

/// Runs blocking or long computations (a cold read, password hashing, a snapshot's encoding) off the reactor.
class Pool {
public:
    virtual ~Pool() = default;
    /// Runs `work` on some other thread, then ends on the caller's reactor. `work` must not touch reactor state.
    virtual Task<void> run(std::function<void()> work) = 0;
};

/// Handed down by reference; outlives every object built on it. One per node and reactor.
struct World {
    Reactor& reactor;
    Network& network;
    Disk& disk;
    Random& random;
    Pool& pool;
};

}  // namespace polis::runtime
