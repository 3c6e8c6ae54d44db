// SimRandom and SimPool: the simulated twins of randomness and of the pool for blocking work.
#pragma once

#include <algorithm>
#include <cstring>
#include <functional>
#include <span>

#include "base/random.h"
#include "runtime/wait.h"
#include "runtime/world.h"

namespace polis::runtime {

/// Octets from a seed.
class SimRandom : public Random {
public:
    explicit SimRandom(uint64_t seed) : chance_(seed) {}
    void fill(std::span<std::byte> target) override {
        while (!target.empty()) {
            const uint64_t bits = chance_.next();
            const size_t count = std::min(target.size(), sizeof bits);
            std::memcpy(target.data(), &bits, count);
            target = target.subspan(count);
        }
    }

private:
    Chance chance_;
};

/// Does the work at once, and lets its waiter go on after a time drawn from the seed.
class SimPool : public Pool {
public:
    explicit SimPool(uint64_t seed) : chance_(seed) {}
    Task<void> run(std::function<void()> work) override {
        const auto takes = std::chrono::microseconds(chance_.between(10, 2000));
        work();
        co_return co_await sleep_for(takes);
    }

private:
    Chance chance_;
};

}  // namespace polis::runtime
