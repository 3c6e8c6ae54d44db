// Random: unpredictable octets, for ids, tokens and secrets. Real or, in the simulator, from the seed.
#pragma once

#include <cstdint>
#include <span>

namespace polis::runtime {

class Random {
public:
    virtual ~Random() = default;
    /// Fills `target`. Never fails: a machine without entropy ends the process.
    virtual void fill(std::span<std::byte> target) = 0;

    uint64_t next() {
        uint64_t value = 0;
        fill(std::as_writable_bytes(std::span(&value, 1)));
        return value;
    }
};

}  // namespace polis::runtime
