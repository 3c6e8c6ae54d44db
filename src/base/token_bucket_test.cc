#include "base/token_bucket.h"

#include <gtest/gtest.h>

namespace polis {
namespace {

using namespace std::chrono_literals;

constexpr Instant start{1000s};

int taken(TokenBucket& bucket, Instant now, int attempts) {
    int count = 0;
    for (int i = 0; i < attempts; ++i) count += bucket.take(now);
    return count;
}

TEST(TokenBucket, LetsABurstThroughAndThenTheRate) {
    TokenBucket bucket(100, 20);
    EXPECT_EQ(taken(bucket, start, 50), 20);
    EXPECT_EQ(taken(bucket, start + 10ms, 50), 1);
    EXPECT_EQ(taken(bucket, start + 60ms, 50), 5);
}

TEST(TokenBucket, HoldsNoMoreThanItsBurst) {
    TokenBucket bucket(100, 20);
    EXPECT_TRUE(bucket.is_full(start));
    EXPECT_EQ(taken(bucket, start, 20), 20);
    EXPECT_FALSE(bucket.is_full(start + 199ms));
    EXPECT_TRUE(bucket.is_full(start + 200ms));
    EXPECT_EQ(taken(bucket, start + 1h, 50), 20);
}

TEST(TokenBucket, KeepsItsRateOverALongTime) {
    TokenBucket bucket(1000, 1);
    int count = 0;
    for (int i = 0; i < 100'000; ++i) count += bucket.take(start + i * 100us);
    EXPECT_EQ(count, 10'000);
}

TEST(TokenBucketDeathTest, RateOfNothingIsNamedAsTheBug) {
    EXPECT_DEATH(TokenBucket(0, 1), "per_second >= 1");
    EXPECT_DEATH(TokenBucket(1, 0), "burst >= 1");
}

}  // namespace
}  // namespace polis
