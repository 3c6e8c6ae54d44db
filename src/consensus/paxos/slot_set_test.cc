#include "consensus/paxos/slot_set.h"

#include <gtest/gtest.h>

#include <set>

#include "base/random.h"

namespace polis::consensus {
namespace {

LogRange range(uint64_t first, uint64_t last) { return {LogIndex(first), LogIndex(last)}; }

TEST(SlotSet, JoinsNeighbours) {
    SlotSet set;
    set.add(range(5, 6));
    set.add(range(9, 9));
    set.add(range(7, 8));
    EXPECT_EQ(set.ranges(), (std::vector{range(5, 9)}));
    set.add(range(1, 2));
    EXPECT_EQ(set.ranges().size(), 2u);
}

TEST(SlotSet, SplitsWhenASlotGoes) {
    SlotSet set;
    set.add(range(1, 5));
    set.remove(LogIndex(3));
    EXPECT_EQ(set.ranges(), (std::vector{range(1, 2), range(4, 5)}));
    EXPECT_FALSE(set.contains(LogIndex(3)));
    set.remove_to(LogIndex(4));
    EXPECT_EQ(set.ranges(), (std::vector{range(5, 5)}));
}

TEST(SlotSet, IsASetOfSlots) {
    Chance chance(7);
    SlotSet set;
    std::set<uint64_t> model;
    for (int step = 0; step < 3000; ++step) {
        const uint64_t first = chance.between(1, 60);
        const uint64_t last = first + chance.below(6);
        switch (chance.below(8)) {
            case 0: set.remove_to(LogIndex(first / 4)), model.erase(model.begin(), model.upper_bound(first / 4)); break;
            case 1:
            case 2:
            case 3: set.remove(LogIndex(first)), model.erase(first); break;
            default:
                set.add(range(first, last));
                for (uint64_t slot = first; slot <= last; ++slot) model.insert(slot);
        }
        for (uint64_t slot = 0; slot <= 70; ++slot)
            ASSERT_EQ(set.contains(LogIndex(slot)), model.contains(slot)) << step;
        for (size_t at = 1; at < set.ranges().size(); ++at) {
            ASSERT_GT(set.ranges()[at].first, set.ranges()[at - 1].last.next());
        }
    }
}

}  // namespace
}  // namespace polis::consensus
