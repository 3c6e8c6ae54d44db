// HandlingTimes: how often the calls of one method took how long, in buckets that double.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "base/time.h"

namespace polis::rpc {

/// Counts durations from 50 microseconds to 26 seconds. A regular value of fixed size; noting one costs a few nanoseconds.
class HandlingTimes {
public:
    static constexpr size_t bound_count = 20;
    using Counts = std::array<uint64_t, bound_count + 1>;  // One a bound, and one for what took longer. Not cumulative.

    /// The upper bound of bucket `at`; what took exactly so long is in it. REQUIRES: at < bound_count.
    static constexpr Duration bound(size_t at) { return unit * (int64_t{1} << at); }

    void note(Duration span) {
        const auto units_begun = static_cast<uint64_t>(std::max(span, Duration(1)).count() - 1) / unit.count();
        ++counts_[std::min<size_t>(std::bit_width(units_begun), bound_count)];
        sum_ += span;
    }

    const Counts& counts() const { return counts_; }
    Duration sum() const { return sum_; }

private:
    static constexpr Duration unit = std::chrono::microseconds(50);

    Counts counts_{};
    Duration sum_{};
};

}  // namespace polis::rpc
