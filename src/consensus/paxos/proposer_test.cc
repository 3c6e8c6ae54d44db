#include "consensus/paxos/proposer.h"

#include <gtest/gtest.h>

#include "consensus/paxos/value.h"

namespace polis::consensus {
namespace {

constexpr Ballot ours{9, NodeId{1}};
const Membership three{.voters = {NodeId{1}, NodeId{2}, NodeId{3}}};
const Membership two{.voters = {NodeId{1}, NodeId{2}}};

Entry accepted(uint64_t slot, uint64_t epoch, const std::string& command) {
    const Ballot ballot{epoch, NodeId{2}};
    return {LogIndex(slot), ballot, EntryKind::Command, with_origin(Bytes::copy(command), ballot)};
}

class ProposerTest : public testing::Test {
protected:
    void report(uint64_t node, std::vector<Entry> entries, uint64_t decided = 0) {
        const LogIndex to = entries.empty() ? LogIndex(4) : std::max(LogIndex(4), entries.back().index);
        EXPECT_TRUE(proposer_.take(
            NodeId{node},
            {.after = LogIndex(4), .to = to, .complete = true, .decided = LogIndex(decided), .accepted = entries}));
    }
    std::string propose() { return std::string(value_of(proposer_.propose_found())->payload.view()); }

    Proposer proposer_{ours, LogIndex(4)};
};

TEST_F(ProposerTest, NeedsAMajority) {
    report(1, {});
    EXPECT_FALSE(proposer_.is_prepared(three));
    report(3, {});
    EXPECT_TRUE(proposer_.is_prepared(three));
    EXPECT_FALSE(proposer_.has_found());
    EXPECT_EQ(proposer_.claim(), LogIndex(5));
    EXPECT_EQ(proposer_.run_start(), LogIndex(5));
}

TEST_F(ProposerTest, ProposesTheHighestBallotOfEachSlotAndFillsGaps) {
    report(1, {accepted(5, 1, "old"), accepted(7, 3, "new")});
    report(2, {accepted(5, 2, "newer"), accepted(7, 1, "older")});
    const Entry first = proposer_.propose_found();
    EXPECT_EQ(first.ballot, ours);
    EXPECT_EQ(value_of(first)->payload.view(), "newer");
    EXPECT_EQ(value_of(first)->ballot, (Ballot{2, NodeId{2}}));
    EXPECT_EQ(proposer_.propose_found(), gap_filler(LogIndex(6), ours));
    EXPECT_EQ(propose(), "new");
    EXPECT_FALSE(proposer_.has_found());
}

TEST_F(ProposerTest, TakesADecisionWhateverElseWasAccepted) {
    report(1, {accepted(5, 8, "accepted")});
    report(2, {accepted(5, 1, "decided")}, 5);
    EXPECT_EQ(propose(), "decided");
}

TEST_F(ProposerTest, TakesPartsInTheirOrder) {
    const std::vector<Entry> first{accepted(5, 1, "a")};
    const std::vector<Entry> second{accepted(6, 1, "b")};
    const Proposer::Report late{LogIndex(5), LogIndex(6), true, {}, second};
    EXPECT_FALSE(proposer_.take(NodeId{2}, late));
    EXPECT_TRUE(proposer_.take(NodeId{2}, {LogIndex(4), LogIndex(5), false, {}, first}));
    EXPECT_EQ(proposer_.reported_to(NodeId{2}), LogIndex(5));
    EXPECT_FALSE(proposer_.has_report(NodeId{2}));
    EXPECT_TRUE(proposer_.take(NodeId{2}, late));
    EXPECT_TRUE(proposer_.has_report(NodeId{2}));
    EXPECT_FALSE(proposer_.take(NodeId{2}, late));
}

// Of three, two others have to tell of a slot that one has lost; of two, the other alone: nothing is decided without it.
TEST_F(ProposerTest, HearsOthersAboutALostSlot) {
    report(1, {placeholder(LogIndex(5))});
    report(2, {accepted(5, 1, "a")});
    EXPECT_FALSE(proposer_.is_prepared(three));
    EXPECT_TRUE(proposer_.is_prepared(two));
    report(3, {});
    EXPECT_TRUE(proposer_.is_prepared(three));
}

TEST_F(ProposerTest, NeedsNobodyElseIfALostSlotIsKnownToBeDecided) {
    report(1, {placeholder(LogIndex(5))});
    report(2, {accepted(5, 1, "a")}, 5);
    EXPECT_TRUE(proposer_.is_prepared(three));
}

}  // namespace
}  // namespace polis::consensus
