// LatencyHistogram: how often something took how long, in buckets that double.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/time.h"

namespace polis {

/// Counts durations from a millisecond to eight seconds in the buckets that etcd's dashboards expect. A regular value, small enough to
/// be copied with other figures.
class LatencyHistogram {
public:
    static constexpr size_t bound_count = 14;
    using Counts = std::array<uint64_t, bound_count + 1>;  // One a bound, and one for what took longer. Not cumulative.

    /// The upper bound of bucket `at`, in seconds. REQUIRES: at < bound_count.
    static constexpr double bound_seconds(size_t at) { return 0.001 * static_cast<double>(uint64_t{1} << at); }

    void note(Duration span) {
        const double seconds = std::chrono::duration<double>(span).count();
        size_t at = 0;
        while (at < bound_count && seconds > bound_seconds(at)) ++at;
        ++counts_[at];
        sum_ += span;
    }

    const Counts& counts() const { return counts_; }
    Duration sum() const { return sum_; }

private:
    Counts counts_{};
    Duration sum_{};
};

}  // namespace polis
