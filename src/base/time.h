// Points and spans of time. Nobody here reads a clock: a reactor does (runtime/reactor.h), everyone else is told.
#pragma once

#include <chrono>
#include <cstdint>

namespace polis {

using Duration = std::chrono::nanoseconds;

/// Time since this machine booted, counting suspension (CLOCK_BOOTTIME): never goes back, means nothing elsewhere.
struct Instant {
    Duration since_boot{0};

    constexpr auto operator<=>(const Instant&) const = default;
    friend constexpr Instant operator+(Instant at, Duration span) { return {at.since_boot + span}; }
    friend constexpr Instant operator-(Instant at, Duration span) { return {at.since_boot - span}; }
    friend constexpr Duration operator-(Instant a, Instant b) { return a.since_boot - b.since_boot; }
    static constexpr Instant never() { return {Duration::max()}; }
};

/// Wall time, UTC since 1970. May jump; for people, certificates and time stamps in commands only.
struct WallTime {
    std::chrono::microseconds since_epoch{0};

    constexpr auto operator<=>(const WallTime&) const = default;
};

}  // namespace polis
