#include "consensus/paxos/slot_log.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "consensus/message.h"

namespace polis::consensus {
namespace {

Ballot ballot(uint64_t epoch) { return {epoch, NodeId{1}}; }
Entry entry(uint64_t slot, uint64_t epoch) {
    return {LogIndex(slot), ballot(epoch), EntryKind::Command, Bytes::copy("entry")};
}

TEST(SlotLog, LeavesSlotsEmptyBehindWhichOneIsWritten) {
    SlotLog log;
    log.put(entry(1, 1));
    log.put(entry(4, 1));
    EXPECT_EQ(log.last(), LogIndex(4));
    EXPECT_EQ(log.ballot_at(LogIndex(2)), Ballot());
    EXPECT_EQ(log.last_under(ballot(1), LogIndex(1)), LogIndex(1));
    log.put(entry(3, 1));
    log.put(entry(2, 1));
    EXPECT_EQ(log.last_under(ballot(1), LogIndex(1)), LogIndex(4));
}

TEST(SlotLog, IsWrittenAgainUnderHigherBallots) {
    SlotLog log;
    for (uint64_t slot = 1; slot <= 5; ++slot) log.put(entry(slot, 1));
    log.put(entry(3, 2));
    EXPECT_EQ(log.ballot_at(LogIndex(2)), ballot(1));
    EXPECT_EQ(log.ballot_at(LogIndex(3)), ballot(2));
    EXPECT_EQ(log.ballot_at(LogIndex(4)), ballot(1));
    EXPECT_EQ(log.highest_ballot(), ballot(2));
    EXPECT_EQ(log.last_under(ballot(1), LogIndex(1)), LogIndex(2));
    EXPECT_EQ(log.last_under(ballot(2), LogIndex(3)), LogIndex(3));
    EXPECT_EQ(log.last_under(ballot(2), LogIndex(2)), LogIndex(1));
}

// Against a map: whatever is written, evicted and compacted, each slot has the ballot of its last write.
TEST(SlotLog, KnowsTheBallotOfEverySlot) {
    Chance chance(3);
    SlotLog log;
    std::map<uint64_t, uint64_t> model;
    uint64_t start = 0;
    for (int step = 0; step < 4000; ++step) {
        const uint64_t last = log.last().value;
        const uint64_t kind = chance.below(20);
        if (kind == 0 && last > start) {
            start += chance.below(std::min<uint64_t>(last - start, 4) + 1);
            log.compact(LogIndex(start));
            model.erase(model.begin(), model.upper_bound(start));
        } else if (kind == 1) {
            log.evict(log.last(), chance.below(2000));
        } else {
            const uint64_t slot = std::max(start + 1, last + 3 - std::min<uint64_t>(last, chance.below(9)));
            const uint64_t epoch = std::max<uint64_t>(model.contains(slot) ? model[slot] : 1, chance.between(1, 4));
            for (uint64_t at = last + 1; at < slot; ++at) model[at] = 0;
            log.put(entry(slot, epoch));
            model[slot] = epoch;
        }
        ASSERT_EQ(log.start(), LogIndex(start));
        for (const auto& [slot, epoch] : model) {
            ASSERT_EQ(log.ballot_at(LogIndex(slot)), epoch == 0 ? Ballot() : ballot(epoch)) << step << ' ' << slot;
            const Entry* cached = log.cached(LogIndex(slot));
            if (cached != nullptr) {
                ASSERT_EQ(cached->ballot, log.ballot_at(LogIndex(slot)));
            }
        }
    }
}

TEST(SlotLog, EvictsOnlyWhatIsDurable) {
    SlotLog log;
    for (uint64_t slot = 1; slot <= 4; ++slot) log.put(entry(slot, 1));
    log.evict(LogIndex(2), 0);
    EXPECT_EQ(log.cached(LogIndex(2)), nullptr);
    EXPECT_NE(log.cached(LogIndex(3)), nullptr);
    // Written again below what is in memory.
    log.put(entry(1, 2));
    EXPECT_NE(log.cached(LogIndex(1)), nullptr);
    EXPECT_EQ(log.cached(LogIndex(2)), nullptr);
    EXPECT_EQ(log.cached({LogIndex(1), LogIndex(4)}, UINT64_MAX).size(), 1u);
}

TEST(SlotLog, GivesAtLeastOneEntryHoweverLarge) {
    SlotLog log;
    for (uint64_t slot = 1; slot <= 3; ++slot) log.put(entry(slot, 1));
    EXPECT_EQ(log.cached({LogIndex(1), LogIndex(3)}, 1).size(), 1u);
    EXPECT_EQ(log.cached({LogIndex(1), LogIndex(3)}, UINT64_MAX).size(), 3u);
}

TEST(SlotLog, CountsNothingThatIsLost) {
    std::vector<LogPosition> positions;
    for (uint64_t slot = 1; slot <= 5; ++slot) positions.push_back({LogIndex(slot), ballot(1)});
    const std::vector<LogRange> damaged{{LogIndex(2), LogIndex(3)}};
    SlotLog log({}, positions, {entry(3, 1), entry(4, 1), entry(5, 1)}, damaged, {});
    EXPECT_EQ(log.last_under(ballot(1), LogIndex(1)), LogIndex(1));
    EXPECT_EQ(log.cached(LogIndex(3)), nullptr);
    log.put(entry(2, 2));
    EXPECT_TRUE(log.is_lost(LogIndex(2)));  // Until it is durable.
    log.mark_found(LogIndex(2));
    EXPECT_FALSE(log.is_lost(LogIndex(2)));
    EXPECT_TRUE(log.is_lost(LogIndex(3)));
}

TEST(SlotLog, KnowsWhereMembershipsAre) {
    SlotLog log;
    Entry membership = entry(2, 1);
    membership.kind = EntryKind::Membership;
    log.put(entry(1, 1));
    log.put(membership);
    EXPECT_TRUE(log.has_membership({LogIndex(1), LogIndex(2)}));
    EXPECT_FALSE(log.has_membership({LogIndex(3), LogIndex(9)}));
    log.put(entry(2, 2));
    EXPECT_FALSE(log.has_membership({LogIndex(1), LogIndex(9)}));
}

}  // namespace
}  // namespace polis::consensus
