// A small deterministic generator: the chance inside pure cores and tests, always from a seed.
#pragma once

#include <cstdint>
#include <string_view>

namespace polis {

/// SplitMix64 (Steele, Lea, Flood 2014). A regular value: two equal ones draw the same numbers. Not for secrets:
/// those come from runtime/random.h.
class Chance {
public:
    explicit constexpr Chance(uint64_t seed) : state_(seed) {}

    constexpr uint64_t next() {
        state_ += 0x9e3779b97f4a7c15;
        uint64_t bits = (state_ ^ (state_ >> 30)) * 0xbf58476d1ce4e5b9;
        bits = (bits ^ (bits >> 27)) * 0x94d049bb133111eb;
        return bits ^ (bits >> 31);
    }

    /// Uniform in [0, bound). REQUIRES: bound > 0.
    constexpr uint64_t below(uint64_t bound) {
        return static_cast<uint64_t>((static_cast<unsigned __int128>(next()) * bound) >> 64);
    }

    /// Uniform in [low, high]. REQUIRES: low <= high, and not the whole range of uint64_t.
    constexpr uint64_t between(uint64_t low, uint64_t high) { return low + below(high - low + 1); }

    /// True in `permille` of 1000 draws.
    constexpr bool happens(uint32_t permille) { return below(1000) < permille; }

    /// A generator of its own for the part called `name`, so that a draw added elsewhere does not reshuffle it.
    constexpr Chance split(std::string_view name) const {
        uint64_t hash = 0xcbf29ce484222325 ^ state_;
        for (const char letter : name) hash = (hash ^ static_cast<uint8_t>(letter)) * 0x100000001b3;
        return Chance(hash);
    }

    friend constexpr bool operator==(const Chance&, const Chance&) = default;

private:
    uint64_t state_;
};

}  // namespace polis
