// PhiDetector and NodeLiveness: silence becomes suspicion in proportion to how regular a peer used to be, and death at once when
// its connection ends.
#include "cluster/node_liveness.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"

namespace polis::cluster {
namespace {

using namespace std::chrono_literals;

constexpr Instant start{1000s};

PhiOptions every_50_ms() { return {.expected = 50ms, .samples_max = 100, .deviation_min = 10ms, .threshold = 8}; }

// Heard `count` times, `interval` apart, from `at` on; returns the time of the last.
Instant hear(PhiDetector& detector, Instant at, Duration interval, int count) {
    for (int i = 0; i < count; ++i) detector.heard(at = at + interval);
    return at;
}

TEST(PhiDetector, KnowsNothingBeforeItHeardAnything) {
    const PhiDetector detector(every_50_ms());
    EXPECT_EQ(detector.phi(start + 1h), 0);
    EXPECT_FALSE(detector.suspects(start + 1h));
    EXPECT_FALSE(detector.last_heard().has_value());
    EXPECT_EQ(detector.mean(), 50ms);
}

// Against the normal distribution's table: half of all intervals exceed the mean, 15.87 % by one deviation, 2.275 % by two.
TEST(PhiDetector, IsTheLogarithmOfTheNormalTail) {
    PhiDetector detector(every_50_ms());
    const Instant last = hear(detector, start, 50ms, 50);
    EXPECT_EQ(detector.mean(), 50ms);
    EXPECT_EQ(detector.deviation(), 10ms);
    EXPECT_NEAR(detector.phi(last + 50ms), -std::log10(0.5), 1e-6);
    EXPECT_NEAR(detector.phi(last + 60ms), -std::log10(0.158655), 1e-4);
    EXPECT_NEAR(detector.phi(last + 70ms), -std::log10(0.0227501), 1e-4);
}

TEST(PhiDetector, RisesWithSilenceWithoutBoundAndFallsWithASign) {
    PhiDetector detector(every_50_ms());
    const Instant last = hear(detector, start, 50ms, 50);
    double before = 0;
    for (Duration silence = 1ms; silence < 2s; silence += 1ms) {
        const double phi = detector.phi(last + silence);
        ASSERT_GE(phi, before) << silence.count();
        ASSERT_TRUE(std::isfinite(phi));
        before = phi;
    }
    EXPECT_GT(before, 1000);
    EXPECT_TRUE(detector.suspects(last + 2s));
    detector.heard(last + 2s);
    EXPECT_LT(detector.phi(last + 2001ms), 1);
}

// Where the double's range ends the approximation takes over: without a step back.
TEST(PhiDetector, GoesOnWhereTheTailUnderflows) {
    PhiDetector detector(every_50_ms());
    const Instant last = hear(detector, start, 50ms, 50);
    const double near_the_end = detector.phi(last + 50ms + 369ms);
    const double beyond = detector.phi(last + 50ms + 373ms);
    EXPECT_GT(near_the_end, 290);
    EXPECT_GT(beyond, near_the_end);
    EXPECT_LT(beyond, near_the_end + 10);
}

TEST(PhiDetector, SuspectsARegularPeerSoonerThanAnIrregularOne) {
    PhiDetector regular(every_50_ms());
    PhiDetector irregular(every_50_ms());
    Chance chance(7);
    Instant at = start;
    Instant other = start;
    for (int i = 0; i < 100; ++i) {
        regular.heard(at = at + 50ms);
        irregular.heard(other = other + std::chrono::milliseconds(chance.between(30, 200)));
    }
    EXPECT_TRUE(regular.suspects(at + 120ms));
    EXPECT_FALSE(irregular.suspects(other + 120ms));
    EXPECT_TRUE(irregular.suspects(other + 1s));
}

// Thousands of messages a second, then the quiet of an idle peer: no reason to suspect it.
TEST(PhiDetector, ABurstIsNoNewRhythm) {
    PhiDetector detector(every_50_ms());
    const Instant last = hear(detector, start, 100us, 100'000);
    EXPECT_GE(detector.mean(), 25ms);
    EXPECT_FALSE(detector.suspects(last + 60ms));
    EXPECT_TRUE(detector.suspects(last + 200ms));
}

TEST(PhiDetector, ForgetsOldIntervals) {
    PhiDetector detector(every_50_ms());
    Instant last = hear(detector, start, 500ms, 100);
    EXPECT_EQ(detector.mean(), 500ms);
    last = hear(detector, last, 50ms, 100);
    EXPECT_EQ(detector.mean(), 50ms);
    EXPECT_EQ(detector.deviation(), 10ms);
}

TEST(PhiDetector, AnAbsenceIsNoInterval) {
    PhiDetector detector(every_50_ms());
    Instant last = hear(detector, start, 50ms, 100);
    detector.restarted();
    last = hear(detector, last + 1h, 50ms, 2);
    EXPECT_EQ(detector.mean(), 50ms);
    EXPECT_EQ(detector.deviation(), 10ms);
    EXPECT_TRUE(detector.suspects(last + 1s));
}

// ---- NodeLiveness ----

constexpr NodeId a{1};
constexpr NodeId b{2};

NodeLiveness liveness() { return NodeLiveness({.dead_after = 250ms, .phi = every_50_ms()}); }

TEST(NodeLiveness, ANewNodeHasItsTimeToSpeak) {
    NodeLiveness nodes = liveness();
    nodes.watch(a, start);
    EXPECT_TRUE(nodes.is_alive(a));
    EXPECT_EQ(nodes.next_deadline(), start + 250ms);
    EXPECT_TRUE(nodes.newly_silent(start + 249ms).empty());
    EXPECT_EQ(nodes.newly_silent(start + 250ms), std::vector{a});
    EXPECT_FALSE(nodes.is_alive(a));
}

TEST(NodeLiveness, SilenceIsToldOnceAndSoIsTheReturn) {
    NodeLiveness nodes = liveness();
    nodes.watch(a, start);
    nodes.watch(b, start);
    EXPECT_FALSE(nodes.heard(a, start + 200ms));
    EXPECT_EQ(nodes.newly_silent(start + 300ms), std::vector{b});
    EXPECT_TRUE(nodes.newly_silent(start + 310ms).empty());
    EXPECT_EQ(nodes.next_deadline(), start + 450ms);
    EXPECT_TRUE(nodes.heard(b, start + 400ms));
    EXPECT_FALSE(nodes.heard(b, start + 401ms));
    EXPECT_TRUE(nodes.is_alive(b));
}

TEST(NodeLiveness, ALostConnectionIsDeathAtOnce) {
    NodeLiveness nodes = liveness();
    nodes.watch(a, start);
    nodes.heard(a, start + 10ms);
    EXPECT_TRUE(nodes.lost(a));
    EXPECT_FALSE(nodes.lost(a));
    EXPECT_FALSE(nodes.is_alive(a));
    EXPECT_EQ(nodes.next_deadline(), Instant::never());
    EXPECT_TRUE(nodes.newly_silent(start + 1h).empty());
    EXPECT_TRUE(nodes.heard(a, start + 20ms));
}

TEST(NodeLiveness, StrangersAreNobodys) {
    NodeLiveness nodes = liveness();
    EXPECT_FALSE(nodes.heard(a, start));
    EXPECT_FALSE(nodes.lost(a));
    EXPECT_FALSE(nodes.is_alive(a));
    EXPECT_EQ(nodes.detector(a), nullptr);
    nodes.watch(a, start);
    nodes.heard(a, start + 1ms);
    EXPECT_EQ(nodes.last_heard(a), start + 1ms);
    nodes.watch(a, start + 1s);  // Changes nothing.
    EXPECT_EQ(nodes.last_heard(a), start + 1ms);
    nodes.forget(a);
    EXPECT_FALSE(nodes.last_heard(a).has_value());
}

}  // namespace
}  // namespace polis::cluster
