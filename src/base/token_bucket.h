// TokenBucket: lets so much through a second, with bursts, and refuses the rest.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/ensure.h"
#include "base/time.h"

namespace polis {

/// A rate with a burst, by the generic cell rate algorithm (ITU-T I.371 annex A): one time is its whole state. Told the time, so
/// that it is the same in the simulator.
class TokenBucket {
public:
    /// Full at first. REQUIRES: per_second and burst from 1 to a billion.
    TokenBucket(uint64_t per_second, uint64_t burst)
        : interval_(interval_of(per_second)), depth_(interval_ * static_cast<int64_t>(burst)) {
        ENSURE(burst >= 1 && burst <= 1'000'000'000);
    }

    /// Takes one token, if there is one.
    bool take(Instant now) {
        const Instant from = std::max(full_at_, now);
        if (from + interval_ - now > depth_) return false;
        full_at_ = from + interval_;
        return true;
    }

    /// Whether it is as if it had never been used.
    bool is_full(Instant now) const { return full_at_ <= now; }

private:
    static Duration interval_of(uint64_t per_second) {
        ENSURE(per_second >= 1 && per_second <= 1'000'000'000);
        return Duration(std::chrono::seconds(1)) / static_cast<int64_t>(per_second);
    }

    Duration interval_;
    Duration depth_;     // How far ahead of now full_at_ may be.
    Instant full_at_{};  // When all tokens are there again.
};

}  // namespace polis
