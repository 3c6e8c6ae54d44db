// Stories about whole clusters: real hosts, logs and replicas on simulated disks, wires and time.
#include "cluster/host.h"

#include <gtest/gtest.h>

#include "cluster/cluster_testing.h"

namespace polis::cluster {
namespace {

using namespace std::chrono_literals;

constexpr int seeds = 5;

class HostStory : public testing::TestWithParam<int> {
protected:
    uint64_t seed() const { return static_cast<uint64_t>(GetParam()); }
};
INSTANTIATE_TEST_SUITE_P(Seeds, HostStory, testing::Range(1, seeds + 1));

TEST_P(HostStory, AThreeNodeClusterFoundsItselfAndAnswersOnEveryNode) {
    SimCluster cluster(seed(), 3);
    for (int number = 1; number <= 3; ++number) cluster.start(number);
    ASSERT_TRUE(cluster.eventually_led());
    for (int number = 1; number <= 3; ++number) {
        const std::string key = "k" + std::to_string(number);
        EXPECT_EQ(cluster.propose(number, key + "=v").value(), "1");
        for (int reader = 1; reader <= 3; ++reader) EXPECT_EQ(cluster.read(reader, key).value(), "v");
    }
    ASSERT_TRUE(cluster.eventually([&] { return cluster.node(1).host().members().size() == 3; }));
}

TEST_P(HostStory, AClusterOfOneLeadsItself) {
    SimCluster cluster(seed(), 1);
    cluster.start(1);
    ASSERT_TRUE(cluster.eventually_led());
    EXPECT_EQ(cluster.propose(1, "k=v").value(), "1");
    EXPECT_EQ(cluster.read(1, "k").value(), "v");
}

TEST_P(HostStory, WhatWasAcknowledgedSurvivesTheLeadersDeath) {
    SimCluster cluster(seed(), 3);
    for (int number = 1; number <= 3; ++number) cluster.start(number);
    ASSERT_TRUE(cluster.eventually_led());
    const int first = cluster.leader();
    ASSERT_TRUE(cluster.propose(first, "k=v").has_value());
    cluster.node(first).kill();
    ASSERT_TRUE(cluster.eventually([&] { return cluster.leader() != 0 && cluster.leader() != first; }));
    EXPECT_EQ(cluster.read(cluster.leader(), "k").value(), "v");
    cluster.start(first);
    EXPECT_EQ(cluster.read(first, "k").value(), "v");
}

TEST_P(HostStory, WhatWasAcknowledgedSurvivesTheDeathOfAllNodesAtOnce) {
    SimCluster cluster(seed(), 3);
    for (int number = 1; number <= 3; ++number) cluster.start(number);
    ASSERT_TRUE(cluster.eventually_led());
    for (int i = 0; i < 50; ++i) ASSERT_TRUE(cluster.propose(1 + i % 3, "k=" + std::to_string(i)).has_value());
    for (int number = 1; number <= 3; ++number) cluster.node(number).kill();
    for (int number = 1; number <= 3; ++number) cluster.start(number);
    EXPECT_EQ(cluster.read(2, "k").value(), "49");
    EXPECT_EQ(cluster.propose(3, "k=50").value(), "51");
}

// A command that was under way when the leader fell is sent again, and still applied once.
TEST_P(HostStory, ACommandUnderWayWhenTheLeaderFallsIsAppliedOnce) {
    SimCluster cluster(seed(), 3);
    for (int number = 1; number <= 3; ++number) cluster.start(number);
    ASSERT_TRUE(cluster.eventually_led());
    const int leader = cluster.leader();
    const int follower = leader % 3 + 1;
    runtime::TaskGroup tasks(cluster.reactor());
    std::vector<std::string> replies;
    const auto propose = [](GroupReplica& replica, std::vector<std::string>& into) -> runtime::Task<void> {
        const Replica::Caller itself;
        for (int i = 0; i < 20; ++i) {
            Bytes command = Bytes::copy("n=" + std::to_string(i));
            const Result<Bytes> reply = co_await replica.propose(itself, std::move(command));
            into.push_back(reply ? reply->str() : reply.error().what);
        }
        co_return runtime::done();
    };
    tasks.spawn("propose", propose(cluster.node(follower).replica(), replies));
    cluster.reactor().run_for(std::chrono::microseconds(seed() * 700));
    cluster.node(leader).kill();
    ASSERT_TRUE(cluster.eventually([&] { return tasks.running() == 0; }, 60s));
    ASSERT_EQ(replies.size(), 20u);
    for (int i = 0; i < 20; ++i) EXPECT_EQ(replies[static_cast<size_t>(i)], std::to_string(i + 1));
}

TEST_P(HostStory, WithoutAMajorityNothingIsAcknowledged) {
    SimCluster cluster(seed(), 3);
    for (int number = 1; number <= 3; ++number) cluster.start(number);
    ASSERT_TRUE(cluster.eventually_led());
    cluster.node(1).kill();
    cluster.node(2).kill();
    const Result<std::string> reply = cluster.propose(3, "k=v", 60s);
    ASSERT_FALSE(reply.has_value());
    EXPECT_TRUE(reply.error().code == Code::Unknown || reply.error().code == Code::Unavailable);
    EXPECT_FALSE(cluster.read(3, "k", 60s).has_value());
}

// A leader behind a cut must not serve what it remembers while the others go on.
TEST_P(HostStory, ACutOffLeaderServesNoStaleRead) {
    SimCluster cluster(seed(), 3);
    for (int number = 1; number <= 3; ++number) cluster.start(number);
    ASSERT_TRUE(cluster.eventually_led());
    const int old = cluster.leader();
    ASSERT_TRUE(cluster.propose(old, "k=old").has_value());
    for (int other = 1; other <= 3; ++other) {
        if (other != old) cluster.network().partition("n" + std::to_string(old), "n" + std::to_string(other));
    }
    const int next = old % 3 + 1;
    ASSERT_EQ(cluster.propose(next, "k=new", 60s).value(), "2");
    const Result<std::string> stale = cluster.read(old, "k", 10s);
    EXPECT_FALSE(stale.has_value());
    cluster.network().heal_all();
    EXPECT_EQ(cluster.read(old, "k", 120s).value(), "new");
}

TEST_P(HostStory, AnAddedNodeCatchesUpAndVotes) {
    SimCluster cluster(seed(), 3);
    for (int number = 1; number <= 3; ++number) cluster.start(number);
    ASSERT_TRUE(cluster.eventually_led());
    for (int i = 0; i < 20; ++i) ASSERT_TRUE(cluster.propose(1, "k=" + std::to_string(i)).has_value());
    const int fourth = cluster.add_node();
    const auto added =
        runtime::run(cluster.reactor(), cluster.node(1).host().add_member({SimCluster::url_of(fourth)}, false));
    ASSERT_TRUE(added.has_value()) << added.error().what;
    cluster.start_joining(fourth);
    ASSERT_TRUE(cluster.eventually([&] {
        return cluster.node(fourth).opened() && cluster.node(fourth).opened()->has_value() &&
               !cluster.node(fourth).replica().is_learner();
    })) << (cluster.node(fourth).opened() && !*cluster.node(fourth).opened()
                ? cluster.node(fourth).opened()->error().what
                : "");
    EXPECT_EQ(cluster.read(fourth, "k").value(), "19");
    EXPECT_EQ(cluster.propose(fourth, "k=20").value(), "21");
}

TEST_P(HostStory, ALearnerIsPromotedOnceItHasStartedAndCaughtUp) {
    SimCluster cluster(seed(), 3);
    for (int number = 1; number <= 3; ++number) cluster.start(number);
    ASSERT_TRUE(cluster.eventually_led());
    for (int i = 0; i < 20; ++i) ASSERT_TRUE(cluster.propose(1, "k=" + std::to_string(i)).has_value());
    const int fourth = cluster.add_node();
    Host& host = cluster.node(1).host();
    const auto added = runtime::run(cluster.reactor(), host.add_member({SimCluster::url_of(fourth)}, true));
    ASSERT_TRUE(added.has_value()) << added.error().what;
    EXPECT_EQ(runtime::run(cluster.reactor(), host.promote_member(added->id)).error().code, Code::Stale);
    EXPECT_EQ(runtime::run(cluster.reactor(), host.add_member({"http://elsewhere:2380"}, true)).error().code,
              Code::Invalid);
    cluster.start_joining(fourth);
    ASSERT_TRUE(cluster.eventually(
        [&] { return runtime::run(cluster.reactor(), host.promote_member(added->id)).has_value(); }));
    EXPECT_TRUE(cluster.eventually([&] { return !cluster.node(fourth).replica().is_learner(); }));
    EXPECT_EQ(runtime::run(cluster.reactor(), host.promote_member(added->id)).error().code, Code::Invalid);
}

// It had got its name but not yet the log: it must find the others again by itself.
TEST_P(HostStory, ANodeThatDiesWhileJoiningJoinsAtItsNextStart) {
    SimCluster cluster(seed(), 3);
    for (int number = 1; number <= 3; ++number) cluster.start(number);
    ASSERT_TRUE(cluster.eventually_led());
    const int fourth = cluster.add_node();
    const auto added =
        runtime::run(cluster.reactor(), cluster.node(1).host().add_member({SimCluster::url_of(fourth)}, false));
    ASSERT_TRUE(added.has_value()) << added.error().what;
    cluster.start_joining(fourth);
    ASSERT_TRUE(cluster.eventually([&] { return cluster.node(fourth).opened().has_value(); }));
    cluster.node(fourth).kill();
    cluster.start_joining(fourth);
    ASSERT_TRUE(cluster.eventually([&] {
        return cluster.node(fourth).opened() && cluster.node(fourth).opened()->has_value() &&
               !cluster.node(fourth).replica().is_learner();
    }));
    EXPECT_EQ(cluster.propose(fourth, "k=v").value(), "1");
}

TEST_P(HostStory, ARemovedNodeIsToldAndTheRestGoOn) {
    SimCluster cluster(seed(), 3);
    for (int number = 1; number <= 3; ++number) cluster.start(number);
    ASSERT_TRUE(cluster.eventually_led());
    const int gone = cluster.leader();
    const int stays = gone % 3 + 1;
    const auto removed =
        runtime::run(cluster.reactor(), cluster.node(stays).host().remove_member(cluster.node(gone).host().self()));
    ASSERT_TRUE(removed.has_value()) << removed.error().what;
    EXPECT_EQ(runtime::run(cluster.reactor(), cluster.node(gone).host().fatal()).value().substr(0, 21),
              "this node was removed");
    EXPECT_TRUE(cluster.propose(stays, "k=v", 60s).has_value());
}

// The disk of a follower is lost: it comes back as somebody else, in the lost one's place.
TEST_P(HostStory, AWipedNodeComesBackInItsPlace) {
    SimCluster cluster(seed(), 3);
    for (int number = 1; number <= 3; ++number) cluster.start(number);
    ASSERT_TRUE(cluster.eventually_led());
    for (int i = 0; i < 20; ++i) ASSERT_TRUE(cluster.propose(1, "k=" + std::to_string(i)).has_value());
    ASSERT_TRUE(cluster.eventually([&] { return cluster.all_published(1); }));
    const int wiped = cluster.leader() % 3 + 1;
    const NodeId before = cluster.node(wiped).host().self();
    cluster.node(wiped).kill();
    cluster.node(wiped).wipe();
    cluster.start(wiped);
    ASSERT_TRUE(cluster.eventually(
        [&] {
            return cluster.node(wiped).opened() && cluster.node(wiped).opened()->has_value() &&
                   !cluster.node(wiped).replica().is_learner();
        },
        60s));
    EXPECT_NE(cluster.node(wiped).host().self(), before);
    EXPECT_EQ(cluster.read(wiped, "k").value(), "19");
    EXPECT_EQ(cluster.node(wiped).host().members().size(), 3u);
}

// A node that was away for longer than the log is kept gets the state itself.
TEST_P(HostStory, ANodeTooFarBehindGetsASnapshot) {
    SimCluster cluster(seed(), 3);
    for (int number = 1; number <= 3; ++number) cluster.start(number);
    ASSERT_TRUE(cluster.eventually_led());
    const int away = cluster.leader() % 3 + 1;
    const int leader = cluster.leader();
    cluster.node(away).kill();
    for (int i = 0; i < 60; ++i) ASSERT_TRUE(cluster.propose(leader, "k" + std::to_string(i) + "=v").has_value());
    for (int number = 1; number <= 3; ++number) {
        if (number == away) continue;
        ASSERT_TRUE(runtime::run(cluster.reactor(), cluster.node(number).replica().flush()).has_value());
    }
    ASSERT_TRUE(cluster.propose(leader, "last=v").has_value());
    cluster.start(away);
    EXPECT_EQ(cluster.read(away, "k59", 60s).value(), "v");
    EXPECT_EQ(cluster.read(away, "last").value(), "v");
    EXPECT_EQ(cluster.node(away).replica().status().snapshots_received, 1u);
}

TEST_P(HostStory, FoundersRestoredFromABackupBeginWithItsState) {
    SimCluster cluster(seed(), 3);
    const auto fill = [](storage::Store& store) {
        storage::Batch batch;
        batch.put("vk", "kept");
        batch.put("nk", "7");
        return store.write(batch);
    };
    for (int number = 1; number <= 3; ++number) ASSERT_TRUE(cluster.restore(number, fill).has_value());
    EXPECT_EQ(cluster.restore(1, fill).error().code, Code::Exists);
    for (int number = 1; number <= 3; ++number) cluster.start(number);
    for (int number = 1; number <= 3; ++number) EXPECT_EQ(cluster.read(number, "k").value(), "kept");
    EXPECT_EQ(cluster.propose(2, "k=new").value(), "8");
    ASSERT_TRUE(cluster.eventually([&] { return cluster.node(3).host().is_founded(); }));
}

TEST_P(HostStory, LeadershipMovesOnDemand) {
    SimCluster cluster(seed(), 3);
    for (int number = 1; number <= 3; ++number) cluster.start(number);
    ASSERT_TRUE(cluster.eventually_led());
    const int from = cluster.leader();
    const int to = from % 3 + 1;
    const auto moved = runtime::run(cluster.reactor(),
                                    cluster.node(from).replica().transfer_leadership(cluster.node(to).host().self()));
    EXPECT_TRUE(moved.has_value()) << moved.error().what;
    EXPECT_TRUE(cluster.eventually([&] { return cluster.leader() == to; }));
}

}  // namespace
}  // namespace polis::cluster
