// Stories of clusters without work: silence, whose node stands for what, the members' health, and leaders that spread out.
#include <gtest/gtest.h>

#include "cluster/cluster_testing.h"

namespace polis::cluster {
namespace {

using namespace std::chrono_literals;

class HostLiveness : public testing::TestWithParam<int> {
protected:
    uint64_t seed() const { return static_cast<uint64_t>(GetParam()); }
};
INSTANTIATE_TEST_SUITE_P(Seeds, HostLiveness, testing::Range(1, 4));

Peers::Heard heard_by_all(SimCluster& cluster) {
    Peers::Heard sum;
    for (int number = 1; number <= cluster.size(); ++number) {
        const Peers::Heard& one = cluster.node(number).host().peers().heard();
        sum.group_messages += one.group_messages;
        sum.signs_of_life += one.signs_of_life;
        sum.others += one.others;
    }
    return sum;
}

bool is_settled(SimCluster& cluster) {
    for (int number = 1; number <= cluster.size(); ++number) {
        if (!cluster.is_open(number) || !cluster.all_published(number)) return false;
    }
    return cluster.leader() != 0;
}

bool all_quiet(SimCluster& cluster) {
    for (int number = 1; number <= cluster.size(); ++number) {
        for (const GroupId group : {GroupId::Meta, GroupId::Coord}) {
            if (!cluster.node(number).host().replica(group).core_status().quiet) return false;
        }
    }
    return true;
}

// Frames that arrive anywhere in ten seconds of a cluster without work.
Peers::Heard in_ten_idle_seconds(uint64_t seed, Duration quiesce_after) {
    SimCluster cluster(seed, 3);
    cluster.adjust([quiesce_after](HostOptions& options) {
        options.quiesce_after = quiesce_after;
        options.balance.enabled = false;
    });
    cluster.start_all();
    EXPECT_TRUE(cluster.eventually([&] { return is_settled(cluster); }));
    cluster.reactor().run_for(5s);
    const Peers::Heard before = heard_by_all(cluster);
    cluster.reactor().run_for(10s);
    const Peers::Heard after = heard_by_all(cluster);
    return {after.group_messages - before.group_messages, after.signs_of_life - before.signs_of_life,
            after.others - before.others};
}

TEST_P(HostLiveness, AnIdleClusterSendsNothingButSignsOfLife) {
    const Peers::Heard with_heartbeats = in_ten_idle_seconds(seed(), 0s);
    const Peers::Heard quiet = in_ten_idle_seconds(seed(), 1s);
    EXPECT_EQ(quiet.group_messages, 0u);
    EXPECT_EQ(quiet.others, 0u);
    // Six ways between three nodes, each 20 a second on one connection and 1 on the other; of each, one more may fall into the time.
    EXPECT_LE(quiet.signs_of_life, 6u * (21 * 10 + 2));
    EXPECT_GT(quiet.signs_of_life, 6u * 15 * 10);
    // Two groups, two followers, 20 heartbeats a second and their answers.
    EXPECT_GT(with_heartbeats.group_messages, 2u * 2 * 2 * 15 * 10);
    RecordProperty("group_messages_with_heartbeats", static_cast<int>(with_heartbeats.group_messages));
    RecordProperty("signs_of_life_with_heartbeats", static_cast<int>(with_heartbeats.signs_of_life));
    RecordProperty("signs_of_life_when_quiet", static_cast<int>(quiet.signs_of_life));
}

TEST_P(HostLiveness, AQuietClusterAnswersAtOnceAndFallsQuietAgain) {
    SimCluster cluster(seed(), 3);
    cluster.start_all();
    ASSERT_TRUE(cluster.eventually([&] { return is_settled(cluster) && all_quiet(cluster); }));
    const Instant asked = cluster.reactor().now();
    EXPECT_EQ(cluster.propose(cluster.leader() % 3 + 1, "k=v").value(), "1");
    EXPECT_EQ(cluster.read(cluster.leader() % 3 + 1, "k").value(), "v");
    EXPECT_LT(cluster.reactor().now() - asked, 200ms);
    EXPECT_TRUE(cluster.eventually([&] { return all_quiet(cluster); }));
}

// The node is dead at once when its connections end, so the next leader is there within an election timeout or two.
TEST_P(HostLiveness, TheDeathOfAQuietLeaderIsNoticedThroughItsNode) {
    SimCluster cluster(seed(), 3);
    cluster.start_all();
    ASSERT_TRUE(cluster.eventually([&] { return is_settled(cluster) && all_quiet(cluster); }));
    const int first = cluster.leader();
    ASSERT_TRUE(cluster.propose(first, "k=v").has_value());
    ASSERT_TRUE(cluster.eventually([&] { return all_quiet(cluster); }));
    cluster.node(first).kill();
    const Instant died = cluster.reactor().now();
    ASSERT_TRUE(cluster.eventually([&] { return cluster.leader() != 0; }));
    EXPECT_LT(cluster.reactor().now() - died, 2s);
    EXPECT_EQ(cluster.read(cluster.leader(), "k").value(), "v");
    cluster.start(first);
    EXPECT_EQ(cluster.read(first, "k").value(), "v");
    EXPECT_TRUE(cluster.eventually([&] { return all_quiet(cluster); }));
}

// No connection ends when a wire is cut: only the silence tells.
TEST_P(HostLiveness, AQuietLeaderBehindACutIsReplacedAndServesNothingStale) {
    SimCluster cluster(seed(), 3);
    cluster.start_all();
    ASSERT_TRUE(cluster.eventually([&] { return is_settled(cluster) && all_quiet(cluster); }));
    const int old = cluster.leader();
    for (int other = 1; other <= 3; ++other) {
        if (other != old) cluster.network().partition("n" + std::to_string(old), "n" + std::to_string(other));
    }
    const int next = old % 3 + 1;
    ASSERT_EQ(cluster.propose(next, "k=new", 60s).value(), "1");
    EXPECT_FALSE(cluster.read(old, "k", 10s).has_value());
    cluster.network().heal_all();
    EXPECT_EQ(cluster.read(old, "k", 120s).value(), "new");
    EXPECT_TRUE(cluster.eventually([&] { return all_quiet(cluster); }));
}

TEST_P(HostLiveness, HealthTellsTheDeadFromTheLiving) {
    SimCluster cluster(seed(), 3);
    cluster.start_all();
    ASSERT_TRUE(cluster.eventually([&] { return is_settled(cluster); }));
    cluster.reactor().run_for(5s);
    Host& host = cluster.node(1).host();
    const NodeId third = cluster.node(3).host().self();
    for (const MemberHealth& one : host.health()) {
        EXPECT_TRUE(one.alive && one.connected);
        EXPECT_FALSE(one.suspected) << one.phi;
        ASSERT_TRUE(one.heard_ago.has_value());
        EXPECT_LT(*one.heard_ago, 250ms);
    }
    cluster.node(3).kill();
    cluster.reactor().run_for(2s);
    ASSERT_EQ(host.health().size(), 3u);
    for (const MemberHealth& one : host.health()) {
        EXPECT_EQ(one.alive, one.id != third);
        EXPECT_EQ(one.suspected, one.id == third) << one.phi;
        if (one.id == third) {
            EXPECT_GE(*one.heard_ago, 1900ms);
        }
    }
    cluster.start(3);
    EXPECT_TRUE(cluster.eventually([&] {
        return std::ranges::all_of(host.health(), [](const MemberHealth& one) { return one.alive && !one.suspected; });
    }));
}

// ---- Leader balance ----

int leader_of(SimCluster& cluster, GroupId group) {
    for (int number = 1; number <= cluster.size(); ++number) {
        if (cluster.is_open(number) && cluster.node(number).host().replica(group).leadership().ready) return number;
    }
    return 0;
}

uint64_t leader_changes(SimCluster& cluster) {
    uint64_t changes = 0;
    for (int number = 1; number <= cluster.size(); ++number) {
        for (const GroupId group : {GroupId::Meta, GroupId::Coord}) {
            changes += cluster.node(number).host().status(group).leader_changes;
        }
    }
    return changes;
}

// Moves both groups to one node, not as a user would: the balance knows nothing of it.
void pile_up(SimCluster& cluster, int target) {
    for (const GroupId group : {GroupId::Meta, GroupId::Coord}) {
        ASSERT_TRUE(cluster.eventually([&] {
            const int leader = leader_of(cluster, group);
            if (leader == 0 || leader == target) return leader == target;
            const NodeId to = cluster.node(target).host().self();
            auto moving = cluster.node(leader).host().replica(group).transfer_leadership(to);
            return runtime::run(cluster.reactor(), std::move(moving)).has_value() &&
                   leader_of(cluster, group) == target;
        }));
    }
}

TEST_P(HostLiveness, LeadersSpreadOutAndThenStay) {
    SimCluster cluster(seed(), 3);
    cluster.start_all();
    ASSERT_TRUE(cluster.eventually([&] { return is_settled(cluster); }));
    pile_up(cluster, 2);
    const Instant piled = cluster.reactor().now();
    ASSERT_TRUE(cluster.eventually(
        [&] {
            const int meta = leader_of(cluster, GroupId::Meta);
            return meta != 0 && meta != 2;
        },
        120s));
    EXPECT_GE(cluster.reactor().now() - piled, 30s);
    EXPECT_EQ(leader_of(cluster, GroupId::Coord), 2);
    cluster.reactor().run_for(5s);
    const uint64_t changes = leader_changes(cluster);
    cluster.reactor().run_for(600s);
    EXPECT_EQ(leader_changes(cluster), changes);
    EXPECT_EQ(leader_of(cluster, GroupId::Coord), 2);
}

TEST_P(HostLiveness, BalanceSwitchedOffMovesNothing) {
    SimCluster cluster(seed(), 3);
    cluster.adjust([](HostOptions& options) { options.balance.enabled = false; });
    cluster.start_all();
    ASSERT_TRUE(cluster.eventually([&] { return is_settled(cluster); }));
    pile_up(cluster, 2);
    cluster.reactor().run_for(300s);
    EXPECT_EQ(leader_of(cluster, GroupId::Meta), 2);
    EXPECT_EQ(leader_of(cluster, GroupId::Coord), 2);
}

TEST_P(HostLiveness, BalanceSwitchedOnLaterMovesWhatHasPiledUp) {
    SimCluster cluster(seed(), 3);
    cluster.adjust([](HostOptions& options) { options.balance.enabled = false; });
    cluster.start_all();
    ASSERT_TRUE(cluster.eventually([&] { return is_settled(cluster); }));
    pile_up(cluster, 2);
    cluster.reactor().run_for(60s);
    for (int number = 1; number <= 3; ++number) cluster.node(number).host().set_balance({.hold = 10s});
    const Instant switched = cluster.reactor().now();
    ASSERT_TRUE(cluster.eventually([&] { return leader_of(cluster, GroupId::Meta) != 2; }, 30s));
    EXPECT_LT(cluster.reactor().now() - switched, 30s);
    EXPECT_EQ(leader_of(cluster, GroupId::Coord), 2);
}

// With both others gone from sight there is nobody to move to; and the one that comes back waits out the hold.
TEST_P(HostLiveness, NothingMovesToANodeThatIsDown) {
    SimCluster cluster(seed(), 3);
    cluster.start_all();
    ASSERT_TRUE(cluster.eventually([&] { return is_settled(cluster); }));
    pile_up(cluster, 1);
    cluster.node(2).kill();
    ASSERT_TRUE(cluster.eventually([&] { return leader_of(cluster, GroupId::Meta) == 3; }, 120s));
    EXPECT_EQ(leader_of(cluster, GroupId::Coord), 1);
    cluster.start(2);
    ASSERT_TRUE(cluster.eventually([&] { return is_settled(cluster); }));
    cluster.reactor().run_for(120s);
    EXPECT_EQ(leader_of(cluster, GroupId::Meta), 3);
}

TEST_P(HostLiveness, WhatAUserMovedStaysWhereItIs) {
    SimCluster cluster(seed(), 3);
    cluster.start_all();
    ASSERT_TRUE(cluster.eventually([&] { return is_settled(cluster); }));
    const int from = cluster.leader();
    const int to = from % 3 + 1;
    auto moving = cluster.node(from).host().transfer_leadership(cluster.node(to).host().self());
    ASSERT_TRUE(runtime::run(cluster.reactor(), std::move(moving)).has_value());
    ASSERT_TRUE(cluster.eventually([&] { return leader_of(cluster, GroupId::Coord) == to; }));
    cluster.reactor().run_for(300s);
    EXPECT_EQ(leader_of(cluster, GroupId::Coord), to);
}

// With an election timeout of a minute, an election would take one.
TEST_P(HostLiveness, WhoEndsAsPlannedHandsOverFirst) {
    SimCluster cluster(seed(), 3);
    cluster.adjust([](HostOptions& options) {
        options.timing.election_timeout = 60s;
        options.balance.enabled = false;
    });
    cluster.start_all();
    ASSERT_TRUE(cluster.eventually([&] { return is_settled(cluster); }, 300s));
    const int leader = cluster.leader();
    Host& host = cluster.node(leader).host();
    const Instant begun = cluster.reactor().now();
    EXPECT_TRUE(runtime::run(cluster.reactor(), host.hand_over(begun + 1s)));
    cluster.node(leader).kill();
    const int other = leader % 3 + 1;
    EXPECT_EQ(cluster.propose(other, "k=v", 1s).value(), "1");
    EXPECT_LT(cluster.reactor().now() - begun, 2s);
}

TEST_P(HostLiveness, WhoCannotHandOverEndsAllTheSame) {
    SimCluster cluster(seed(), 3);
    cluster.start_all();
    ASSERT_TRUE(cluster.eventually([&] { return is_settled(cluster); }));
    const int leader = cluster.leader();
    for (int number = 1; number <= 3; ++number) {
        if (number != leader) cluster.node(number).kill();
    }
    const Instant begun = cluster.reactor().now();
    EXPECT_TRUE(runtime::run(cluster.reactor(), cluster.node(leader).host().hand_over(begun + 1s)));
    EXPECT_LE(cluster.reactor().now() - begun, 2s);
}

// Group Meta's few entries lie in the oldest segment, and would keep all that others write after them.
TEST_P(HostLiveness, AnIdleGroupDoesNotKeepTheLogOfTheOthers) {
    SimCluster cluster(seed(), 1);
    cluster.adjust([](HostOptions& options) {
        options.replica.keep_entries = 1'000'000;
        options.replica.flush_pinned_bytes = 4u << 20;
    });
    cluster.start(1);
    ASSERT_TRUE(cluster.eventually_led());
    const std::string value(100'000, 'v');
    for (int i = 0; i < 200; ++i) ASSERT_TRUE(cluster.propose(1, "k=" + value));
    cluster.reactor().run_for(3s);
    // 20 MB were written in segments of 1 MiB; two more are kept for use.
    EXPECT_LE(cluster.node(1).host().wal_stats().segments, 4u + 2u + 1u);
    cluster.node(1).kill();
    cluster.start(1);
    ASSERT_TRUE(cluster.eventually_led());
    EXPECT_EQ(cluster.read(1, "k").value(), value);
}

}  // namespace
}  // namespace polis::cluster
