#include "runtime/alarm_queue.h"

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"

namespace polis::runtime {
namespace {

using namespace std::chrono_literals;

constexpr Instant at(int seconds) { return {std::chrono::seconds(seconds)}; }

TEST(AlarmQueue, RingsWhatIsDueInTheOrderOfTime) {
    AlarmQueue queue;
    std::vector<int> rung;
    AlarmQueue::Entry one([&] { rung.push_back(1); });
    AlarmQueue::Entry two([&] { rung.push_back(2); });
    AlarmQueue::Entry three([&] { rung.push_back(3); });
    queue.set(two, at(2));
    queue.set(three, at(3));
    queue.set(one, at(1));
    queue.ring_due(at(2), 100);
    EXPECT_EQ(rung, (std::vector<int>{1, 2}));
    EXPECT_EQ(queue.earliest(), at(3));
    queue.clear(three);
    EXPECT_EQ(queue.earliest(), Instant::never());
}

TEST(AlarmQueue, SettingAgainReplacesTheEarlierTime) {
    AlarmQueue queue;
    int rung = 0;
    AlarmQueue::Entry entry([&] { ++rung; });
    queue.set(entry, at(1));
    queue.set(entry, at(5));
    queue.ring_due(at(4), 100);
    EXPECT_EQ(rung, 0);
    queue.ring_due(at(5), 100);
    EXPECT_EQ(rung, 1);
    EXPECT_EQ(queue.size(), 0u);
}

TEST(AlarmQueue, AlarmMaySetItselfAgainWhileItRings) {
    AlarmQueue queue;
    int rung = 0;
    AlarmQueue::Entry* self = nullptr;
    AlarmQueue::Entry entry([&] {
        if (++rung < 3) queue.set(*self, at(rung + 1));
    });
    self = &entry;
    queue.set(entry, at(1));
    queue.ring_due(at(10), 100);
    EXPECT_EQ(rung, 3);
}

TEST(AlarmQueue, AlarmMayDestroyItselfWhileItRings) {
    AlarmQueue queue;
    std::unique_ptr<AlarmQueue::Entry> entry;
    bool rung = false;
    entry = std::make_unique<AlarmQueue::Entry>([&, keep = std::string(100, 'x')] {
        queue.forget(*entry);
        entry.reset();
        rung = keep.size() == 100;  // Captures must still be alive.
    });
    queue.set(*entry, at(1));
    queue.ring_due(at(1), 100);
    EXPECT_TRUE(rung);
}

TEST(AlarmQueue, RingsAtMostTheGivenNumberAtOnce) {
    AlarmQueue queue;
    int rung = 0;
    std::deque<AlarmQueue::Entry> entries;
    for (int i = 0; i < 10; ++i) queue.set(entries.emplace_back([&] { ++rung; }), at(1));
    queue.ring_due(at(1), 4);
    EXPECT_EQ(rung, 4);
    EXPECT_EQ(queue.size(), 6u);
    for (auto& entry : entries) queue.forget(entry);
}

// Against a sorted map, over many draws.
TEST(AlarmQueue, AgreesWithASortedMap) {
    for (uint64_t seed = 1; seed <= 20; ++seed) {
        SCOPED_TRACE(seed);
        Chance chance(seed);
        AlarmQueue queue;
        std::map<size_t, Instant> expected;
        std::deque<AlarmQueue::Entry> entries;
        for (size_t i = 0; i < 60; ++i) entries.emplace_back([&expected, i] { expected.erase(i); });
        for (int step = 0; step < 2000; ++step) {
            const size_t which = chance.below(entries.size());
            const Instant when = at(static_cast<int>(chance.below(1000)));
            if (chance.happens(700)) {
                queue.set(entries[which], when);
                expected[which] = when;
            } else if (chance.happens(900)) {
                queue.clear(entries[which]);
                expected.erase(which);
            } else {
                queue.ring_due(at(static_cast<int>(chance.below(200))), 3);
            }
            ASSERT_EQ(queue.size(), expected.size());
            Instant earliest = Instant::never();
            for (const auto& [_, due] : expected) earliest = std::min(earliest, due);
            ASSERT_EQ(queue.earliest(), earliest);
        }
        for (auto& entry : entries) queue.forget(entry);
    }
}

}  // namespace
}  // namespace polis::runtime
