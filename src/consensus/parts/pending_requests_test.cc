#include "consensus/parts/pending_requests.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace polis::consensus {
namespace {

LogPosition at(uint64_t index, uint64_t epoch) { return {LogIndex(index), {epoch, NodeId::Nobody}}; }

TEST(PendingRequests, EndWithTheirSlot) {
    PendingRequests pending;
    pending.add(at(5, 1), 50);
    std::vector<RequestId> rejected;
    EXPECT_EQ(pending.take(at(4, 1), rejected), 0u);
    EXPECT_EQ(pending.take(at(5, 1), rejected), 50u);
    EXPECT_TRUE(rejected.empty());
    EXPECT_TRUE(pending.empty());
}

// Ongaro 2014, Fig. 3.7: another node may still have the entry and commit it.
TEST(PendingRequests, SurviveBeingCutOff) {
    PendingRequests pending;
    pending.add(at(5, 2), 50);
    pending.cut_from(LogIndex(5));
    std::vector<RequestId> rejected;
    EXPECT_EQ(pending.take(at(5, 2), rejected), 50u);
    EXPECT_TRUE(rejected.empty());
}

TEST(PendingRequests, AreRuledOutByAHigherBallotBeforeTheirSlot) {
    PendingRequests pending;
    pending.add(at(5, 2), 50);
    pending.add(at(9, 2), 90);
    pending.cut_from(LogIndex(5));
    std::vector<RequestId> rejected;
    EXPECT_EQ(pending.take(at(4, 1), rejected), 0u);
    EXPECT_TRUE(rejected.empty());
    EXPECT_EQ(pending.take(at(5, 3), rejected), 0u);
    EXPECT_THAT(rejected, testing::UnorderedElementsAre(50, 90));
}

TEST(PendingRequests, AreUnknownBelowASnapshot) {
    PendingRequests pending;
    pending.add(at(5, 2), 50);
    pending.add(at(6, 2), 60);
    EXPECT_EQ(pending.jump_to(LogIndex(5)), (std::vector<RequestId>{50}));
    EXPECT_FALSE(pending.empty());
}

}  // namespace
}  // namespace polis::consensus
