#include "consensus/parts/entry_log.h"

#include <gtest/gtest.h>

#include "consensus/message.h"

namespace polis::consensus {
namespace {

Ballot ballot(uint64_t epoch) { return {epoch, NodeId::Nobody}; }
Entry entry(uint64_t index, uint64_t epoch) {
    return {LogIndex(index), ballot(epoch), EntryKind::Command, Bytes::copy("entry")};
}

EntryLog log_of(std::initializer_list<uint64_t> epochs) {
    EntryLog log;
    for (const uint64_t epoch : epochs) log.append(entry(log.last().index.value + 1, epoch));
    return log;
}

TEST(EntryLog, KnowsTheBallotOfEveryEntry) {
    const EntryLog log = log_of({1, 1, 2, 5, 5});
    EXPECT_EQ(log.ballot_at(LogIndex(2)), ballot(1));
    EXPECT_EQ(log.ballot_at(LogIndex(3)), ballot(2));
    EXPECT_EQ(log.ballot_at(LogIndex(5)), ballot(5));
    EXPECT_EQ(log.ballot_at(LogIndex(6)), std::nullopt);
}

TEST(EntryLog, SkipsWholeBallotsWhenItLooksForAgreement) {
    const EntryLog log = log_of({1, 1, 1, 4, 4, 4, 6});
    EXPECT_EQ(log.last_at_most(LogIndex(7), ballot(5)), (LogPosition{LogIndex(6), ballot(4)}));
    EXPECT_EQ(log.last_at_most(LogIndex(6), ballot(3)), (LogPosition{LogIndex(3), ballot(1)}));
    EXPECT_EQ(log.last_at_most(LogIndex(2), ballot(9)), (LogPosition{LogIndex(2), ballot(1)}));
    EXPECT_EQ(log.last_at_most(LogIndex(7), ballot(0)), LogPosition());
}

TEST(EntryLog, CutsAndGrowsAgain) {
    EntryLog log = log_of({1, 1, 2, 2});
    log.truncate_from(LogIndex(3));
    EXPECT_EQ(log.last(), (LogPosition{LogIndex(2), ballot(1)}));
    log.append(entry(3, 3));
    EXPECT_EQ(log.ballot_at(LogIndex(3)), ballot(3));
    EXPECT_TRUE(log.is_cached(LogIndex(1)));
}

TEST(EntryLog, KeepsTheBallotOfItsStartWhenCompacted) {
    EntryLog log = log_of({1, 2, 2, 3});
    log.compact({LogIndex(2), ballot(2)});
    EXPECT_TRUE(log.holds({LogIndex(2), ballot(2)}));
    EXPECT_EQ(log.ballot_at(LogIndex(1)), std::nullopt);
    EXPECT_EQ(log.ballot_at(LogIndex(3)), ballot(2));
    EXPECT_FALSE(log.is_cached(LogIndex(2)));
}

TEST(EntryLog, EvictsOnlyWhatIsDurable) {
    EntryLog log = log_of({1, 1, 1, 1});
    log.evict(LogIndex(2), 0);
    EXPECT_FALSE(log.is_cached(LogIndex(2)));
    EXPECT_TRUE(log.is_cached(LogIndex(3)));
    EXPECT_EQ(log.cache_bytes(), 2 * size_of(entry(1, 1)));
}

TEST(EntryLog, GivesAtLeastOneEntryHoweverLarge) {
    const EntryLog log = log_of({1, 1, 1});
    EXPECT_EQ(log.cached(LogIndex(1), LogIndex(3), 1).size(), 1u);
    EXPECT_EQ(log.cached(LogIndex(1), LogIndex(3), UINT64_MAX).size(), 3u);
}

TEST(EntryLog, EndsItsWholePartBeforeTheFirstDamage) {
    std::vector<LogPosition> positions;
    for (uint64_t index = 1; index <= 5; ++index) positions.push_back({LogIndex(index), ballot(1)});
    EntryLog log({}, positions, {entry(3, 1), entry(4, 1), entry(5, 1)}, {{LogIndex(2), LogIndex(3)}});
    EXPECT_EQ(log.whole_to(), LogIndex(1));
    EXPECT_FALSE(log.is_cached(LogIndex(3)));
    log.mark_repaired(LogIndex(2));
    EXPECT_EQ(log.whole_to(), LogIndex(2));
    log.mark_repaired(LogIndex(3));
    EXPECT_EQ(log.whole_to(), LogIndex(5));
}

}  // namespace
}  // namespace polis::consensus
