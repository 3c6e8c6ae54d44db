#include "consensus/paxos/value.h"

#include <gtest/gtest.h>

namespace polis::consensus {
namespace {

const Ballot first{1, NodeId{1}};
const Ballot second{2, NodeId{3}};

Entry command(uint64_t slot, Ballot origin) { return {LogIndex(slot), origin, EntryKind::Command, Bytes::copy("c")}; }
Entry noop(uint64_t slot, Ballot origin) { return {LogIndex(slot), origin, EntryKind::Noop, {}}; }

TEST(Value, KeepsItsOriginUnderAnyBallot) {
    Entry stored{LogIndex(7), second, EntryKind::Command, with_origin(Bytes::copy("octets"), first)};
    const std::optional<Entry> value = value_of(stored);
    ASSERT_TRUE(value.has_value());
    EXPECT_EQ(*value, (Entry{LogIndex(7), first, EntryKind::Command, Bytes::copy("octets")}));
}

TEST(Value, OfAGapHasNoOrigin) { EXPECT_EQ(value_of(gap_filler(LogIndex(3), second))->ballot, Ballot()); }

TEST(Value, IsRefusedWhenMalformed) {
    EXPECT_FALSE(value_of({LogIndex(1), first, EntryKind::Command, {}}).has_value());
    EXPECT_FALSE(value_of({LogIndex(1), first, EntryKind::Noop, Bytes::copy("short")}).has_value());
    const Ballot nobodys{1, NodeId{~uint64_t{0}}};
    EXPECT_FALSE(value_of({LogIndex(1), first, EntryKind::Noop, with_origin({}, nobodys)}).has_value());
}

TEST(PrimaryOrder, FollowsALeaderFromItsNoopOn) {
    EXPECT_EQ(in_primary_order(noop(1, first), {}), noop(1, first));
    EXPECT_EQ(in_primary_order(command(2, first), first), command(2, first));
    EXPECT_EQ(in_primary_order(noop(3, second), first), noop(3, second));
}

TEST(PrimaryOrder, DropsWhatComesAfterAGap) {
    const Entry gap = in_primary_order(noop(2, {}), first);
    EXPECT_TRUE(is_void(gap));
    EXPECT_GT(gap.ballot, first);
    EXPECT_LT(gap.ballot, second);
    const Entry orphan = in_primary_order(command(3, first), gap.ballot);
    EXPECT_TRUE(is_void(orphan));
    EXPECT_EQ(orphan.kind, EntryKind::Noop);
    EXPECT_TRUE(orphan.payload.empty());
    EXPECT_EQ(in_primary_order(noop(4, second), orphan.ballot), noop(4, second));
}

TEST(PrimaryOrder, DropsALeaderOnceALaterOneHasBegun) {
    EXPECT_TRUE(is_void(in_primary_order(noop(5, first), second)));
    EXPECT_TRUE(is_void(in_primary_order(command(6, first), second)));
}

TEST(PrimaryOrder, DropsACommandWhoseLeaderHasNotBegun) {
    EXPECT_TRUE(is_void(in_primary_order(command(1, first), {})));
    EXPECT_TRUE(is_void(in_primary_order(command(2, second), first)));
    EXPECT_TRUE(is_void(in_primary_order(noop(1, {}), {})));
}

}  // namespace
}  // namespace polis::consensus
