// Stories of founding: who takes part, and when; disks that were wiped before the cluster knew them.
#include <gtest/gtest.h>

#include "cluster/cluster_testing.h"

namespace polis::cluster {
namespace {

using namespace std::chrono_literals;

class HostFounding : public testing::TestWithParam<int> {
protected:
    uint64_t seed() const { return static_cast<uint64_t>(GetParam()); }
};
INSTANTIATE_TEST_SUITE_P(Seeds, HostFounding, testing::Range(1, 6));

bool votes(SimCluster& cluster, int number) {
    return cluster.is_open(number) && cluster.node(number).opened()->has_value() &&
           !cluster.node(number).replica().is_learner();
}

TEST_P(HostFounding, NobodyTakesPartBeforeAllFoundersWereThere) {
    SimCluster cluster(seed(), 3);
    cluster.start(1);
    cluster.start(2);
    cluster.reactor().run_for(60s);
    EXPECT_FALSE(cluster.is_open(1));
    EXPECT_FALSE(cluster.is_open(2));
    cluster.start(3);
    ASSERT_TRUE(cluster.eventually_led());
    EXPECT_EQ(cluster.propose(1, "k=v").value(), "1");
}

// Whoever lists the members right after the first election must find each by its name, also those that have not said it themselves.
TEST_P(HostFounding, FoundersHaveTheirNamesFromTheBeginning) {
    SimCluster cluster(seed(), 3);
    cluster.start_all();
    bool seen_early = false;
    ASSERT_TRUE(cluster.eventually([&] {
        if (!cluster.is_open(1)) return false;
        seen_early = seen_early || !cluster.all_published(1);
        for (const Member& member : cluster.node(1).host().members()) EXPECT_FALSE(member.name.empty());
        return cluster.all_published(1);
    }));
    EXPECT_TRUE(seen_early);
}

// Once all were there, a majority is enough, also for the first election.
TEST_P(HostFounding, AFounderThatDiesAfterItWasNotedIsNotWaitedFor) {
    SimCluster cluster(seed(), 3);
    cluster.start_all();
    ASSERT_TRUE(cluster.eventually([&] { return cluster.is_open(1) && cluster.is_open(2) && cluster.is_open(3); }));
    cluster.node(3).kill();
    ASSERT_TRUE(cluster.eventually_led());
    EXPECT_EQ(cluster.propose(1, "k=v").value(), "1");
    cluster.start(3);
    EXPECT_EQ(cluster.read(3, "k", 60s).value(), "v");
}

TEST_P(HostFounding, AFounderThatDiesWhileItWaitsIsTheSameAfterwards) {
    SimCluster cluster(seed(), 3);
    cluster.start(1);
    cluster.start(2);
    cluster.reactor().run_for(std::chrono::milliseconds(1 + seed() * 37));
    cluster.node(1).kill();
    cluster.node(2).kill();
    cluster.start_all();
    ASSERT_TRUE(cluster.eventually_led());
    for (int number = 1; number <= 3; ++number) EXPECT_TRUE(cluster.eventually([&] { return votes(cluster, number); }));
    EXPECT_EQ(cluster.propose(2, "k=v").value(), "1");
}

// The hole that this closes. A third node votes and acknowledges, the second hears of nothing; then the third loses its disk before it
// was written down anywhere. Under its old name it would elect the second, and what was acknowledged would be gone.
TEST_P(HostFounding, AWipedFounderTheClusterNeverWroteDownDoesNotVoteAgain) {
    SimCluster cluster(seed(), 3);
    cluster.start_all();
    ASSERT_TRUE(cluster.eventually([&] { return cluster.is_open(1) && cluster.is_open(2) && cluster.is_open(3); }));
    const NodeId before = cluster.node(3).host().self();
    cluster.network().partition("n1", "n2");
    cluster.network().partition("n2", "n3");
    cluster.reactor().run_for(std::chrono::milliseconds(seed() * 150));
    cluster.node(3).kill();
    cluster.node(3).wipe();
    cluster.node(1).kill();
    cluster.network().heal_all();
    cluster.start(3);  // With the second, a majority of names. It may not be one of nodes.
    cluster.reactor().run_for(30s);
    EXPECT_FALSE(votes(cluster, 3));
    EXPECT_EQ(cluster.leader(), 0);
    cluster.start(1);
    ASSERT_TRUE(cluster.eventually([&] { return votes(cluster, 3); }, 120s));
    EXPECT_NE(cluster.node(3).host().self(), before);
    EXPECT_EQ(cluster.propose(3, "k=v", 60s).value(), "1");
}

TEST_P(HostFounding, AFounderWipedBeforeAnybodyVotedGetsANewPlace) {
    SimCluster cluster(seed(), 3);
    cluster.start(1);
    cluster.start(2);
    cluster.reactor().run_for(5s);
    cluster.node(1).kill();
    cluster.node(1).wipe();
    cluster.start(1);
    cluster.reactor().run_for(5s);
    EXPECT_FALSE(cluster.is_open(1));
    cluster.start(3);  // The other two are a majority, and know that the first is not who it was.
    ASSERT_TRUE(cluster.eventually([&] { return votes(cluster, 1); }, 120s));
    EXPECT_EQ(cluster.propose(1, "k=v", 60s).value(), "1");
    EXPECT_EQ(cluster.node(2).host().members().size(), 3u);
}

// A second process with a member's addresses must not push the living one out.
TEST_P(HostFounding, ALivingMembersPlaceCannotBeClaimed) {
    SimCluster cluster(seed(), 3);
    cluster.start_all();
    ASSERT_TRUE(cluster.eventually([&] { return cluster.leader() != 0 && cluster.all_published(1); }));
    std::vector<NodeId> before;
    for (const Member& member : cluster.node(1).host().members()) before.push_back(member.id);
    const int twin = cluster.add_node();
    cluster.adjust([](HostOptions& options) { options.advertised_peer_urls = {SimCluster::url_of(3)}; });
    cluster.start(twin);
    cluster.reactor().run_for(60s);
    EXPECT_FALSE(cluster.is_open(twin));
    std::vector<NodeId> after;
    for (const Member& member : cluster.node(1).host().members()) after.push_back(member.id);
    EXPECT_EQ(before, after);
    EXPECT_TRUE(votes(cluster, 3));
}

TEST_P(HostFounding, AClusterOfTwoFoundsItself) {
    SimCluster cluster(seed(), 2);
    cluster.start_all();
    ASSERT_TRUE(cluster.eventually_led());
    EXPECT_EQ(cluster.propose(2, "k=v").value(), "1");
}

}  // namespace
}  // namespace polis::cluster
