#include "base/latency_histogram.h"

#include <gtest/gtest.h>

#include <numeric>

namespace polis {
namespace {

using namespace std::chrono_literals;

TEST(LatencyHistogram, CountsIntoTheFirstBucketThatIsNotTooSmall) {
    LatencyHistogram histogram;
    histogram.note(0ms);
    histogram.note(1ms);
    histogram.note(1ms + 1ns);
    histogram.note(8192ms);
    histogram.note(1h);
    EXPECT_EQ(histogram.counts()[0], 2u);
    EXPECT_EQ(histogram.counts()[1], 1u);
    EXPECT_EQ(histogram.counts()[13], 1u);
    EXPECT_EQ(histogram.counts()[14], 1u);
    EXPECT_EQ(std::accumulate(histogram.counts().begin(), histogram.counts().end(), uint64_t{0}), 5u);
    EXPECT_EQ(histogram.sum(), 1h + 8192ms + 2ms + 1ns);
}

TEST(LatencyHistogram, HasEtcdsBounds) {
    EXPECT_DOUBLE_EQ(LatencyHistogram::bound_seconds(0), 0.001);
    EXPECT_DOUBLE_EQ(LatencyHistogram::bound_seconds(13), 8.192);
}

}  // namespace
}  // namespace polis
