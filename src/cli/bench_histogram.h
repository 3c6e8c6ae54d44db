// Histogram: latencies in buckets of about 1.5 % width, for polis bench.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

#include "base/time.h"

namespace polis::cli {

/// 64 linear steps in each power of two, in nanoseconds. A fixed 32 KiB, whatever is added.
class Histogram {
public:
    void add(Duration latency) {
        const auto value = static_cast<uint64_t>(std::max<int64_t>(latency.count(), 1));
        ++counts_[index_of(value)];
        ++total_;
        maximum_ = std::max(maximum_, value);
    }

    uint64_t total() const { return total_; }
    double maximum_us() const { return static_cast<double>(maximum_) / 1e3; }

    /// Upper edge of the bucket in which the share lies, in microseconds, and never more than the maximum; 0 if empty.
    double quantile_us(double share) const {
        const auto wanted = static_cast<uint64_t>(share * static_cast<double>(total_));
        uint64_t seen = 0;
        for (size_t i = 0; i < counts_.size(); ++i) {
            seen += counts_[i];
            if (seen > wanted) return std::min(static_cast<double>(upper_edge(i)) / 1e3, maximum_us());
        }
        return maximum_us();
    }

private:
    static constexpr int step_bits = 6;
    static size_t index_of(uint64_t value) {
        const int magnitude = std::max(0, static_cast<int>(std::bit_width(value)) - 1 - step_bits);
        return static_cast<size_t>(magnitude) * (1u << step_bits) + static_cast<size_t>(value >> magnitude);
    }
    static uint64_t upper_edge(size_t index) {
        if (index < (2u << step_bits)) return index + 1;
        const size_t magnitude = index / (1u << step_bits) - 1;
        const size_t step = index - magnitude * (1u << step_bits);
        return (step + 1) << magnitude;
    }

    std::vector<uint64_t> counts_ = std::vector<uint64_t>(64 * 64);
    uint64_t total_ = 0;
    uint64_t maximum_ = 0;
};

}  // namespace polis::cli
