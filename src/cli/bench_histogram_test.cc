// Histogram: quantiles lie within a bucket's width of the truth, over the whole range of durations.
#include "cli/bench_histogram.h"

#include <gtest/gtest.h>

namespace polis::cli {
namespace {

TEST(Histogram, IsZeroWhileEmpty) {
    EXPECT_EQ(Histogram().quantile_us(0.99), 0);
    EXPECT_EQ(Histogram().maximum_us(), 0);
}

TEST(Histogram, TellsQuantilesToWithinTwoPercent) {
    Histogram histogram;
    for (int microseconds = 1; microseconds <= 100'000; ++microseconds) {
        histogram.add(std::chrono::microseconds(microseconds));
    }
    for (const double share : {0.001, 0.1, 0.5, 0.9, 0.99, 0.999}) {
        EXPECT_NEAR(histogram.quantile_us(share), share * 100'000, share * 100'000 * 0.02 + 1) << share;
    }
    EXPECT_EQ(histogram.quantile_us(1), 100'000);
    EXPECT_EQ(histogram.total(), 100'000u);
}

TEST(Histogram, NeverTellsMoreThanTheMaximum) {
    Histogram histogram;
    histogram.add(std::chrono::nanoseconds(1'000'001));
    EXPECT_EQ(histogram.quantile_us(0.5), histogram.maximum_us());
}

TEST(Histogram, HoldsTheShortestAndTheLongestDuration) {
    Histogram histogram;
    histogram.add(Duration(-5));
    histogram.add(Duration(0));
    histogram.add(Duration::max());
    EXPECT_EQ(histogram.total(), 3u);
    EXPECT_EQ(histogram.quantile_us(0), 0.002);
    EXPECT_GT(histogram.quantile_us(0.9), 9e15);
}

}  // namespace
}  // namespace polis::cli
