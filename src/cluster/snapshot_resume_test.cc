// Stories of snapshots that are interrupted: what has arrived lies on the receiver's disk, is read again, and the transfer goes on behind it.
#include <gtest/gtest.h>

#include "cluster/cluster_testing.h"
#include "cluster/replica_keys.h"

namespace polis::cluster {
namespace {

using namespace std::chrono_literals;

constexpr size_t value_bytes = 64u << 10;  // Four of them fill a piece.
constexpr uint64_t bytes_per_s = 4u << 20;

class SnapshotResume : public testing::TestWithParam<int> {
protected:
    // A cluster whose node `away` has missed all values, and whose leader's log no longer has them; nor has the other's, if it is to
    // forget them as well. By 200 of them a transfer takes about three seconds and fifty pieces.
    void prepare(int count, bool other_forgets = true) {
        values = count;
        cluster.adjust([](HostOptions& options) {
            options.balance.enabled = false;
            options.replica.snapshot_bytes_per_s = bytes_per_s;
        });
        cluster.start_all();
        ASSERT_TRUE(cluster.eventually_led());
        leader = cluster.leader();
        away = leader % 3 + 1;
        receiver = cluster.node(away).host().self();
        cluster.node(away).kill();
        const std::string value(value_bytes, 'v');
        for (int i = 0; i < values; ++i) {
            ASSERT_TRUE(cluster.propose(leader, "k" + std::to_string(i) + "=" + value).has_value());
        }
        for (int number = 1; number <= 3; ++number) {
            if (number == away || (number != leader && !other_forgets)) continue;
            ASSERT_TRUE(runtime::run(cluster.reactor(), cluster.node(number).replica().flush()).has_value());
        }
        leader = cluster.leader();
        other = 6 - leader - away;
    }

    uint64_t sent_by_leader() { return cluster.node(leader).host().peers().traffic(receiver).bytes_sent; }
    void start_and_wait_for_a_part(Duration part) {
        cluster.start(away);
        ASSERT_TRUE(cluster.eventually([&] { return cluster.is_open(away); }));
        cluster.reactor().run_for(part);
        ASSERT_EQ(cluster.node(away).replica().status().snapshots_received, 0u);
    }
    void expect_all_there() {
        EXPECT_EQ(cluster.read(away, "k0", 60s).value().size(), value_bytes);
        EXPECT_EQ(cluster.read(away, "k" + std::to_string(values - 1)).value().size(), value_bytes);
        EXPECT_EQ(cluster.node(away).replica().status().snapshots_received, 1u);
        EXPECT_EQ(cluster.node(away).replica().store().get(arrival_row()).value(), std::nullopt);
        const auto hash_of = [&](int number) {
            return cluster.node(number).replica().store().hash({"v", "w"}).value();
        };
        EXPECT_EQ(hash_of(away), hash_of(leader));
    }

    SimCluster cluster{static_cast<uint64_t>(GetParam()), 3};
    int values = 0;
    int leader = 0;
    int away = 0;
    int other = 0;
    NodeId receiver{};
};
INSTANTIATE_TEST_SUITE_P(Seeds, SnapshotResume, testing::Range(1, 2));

TEST_P(SnapshotResume, AReceiverStoppedInTheMiddleGoesOnWhereItWas) {
    prepare(200);
    start_and_wait_for_a_part(2s);
    cluster.node(away).stop();
    const uint64_t before = sent_by_leader();
    cluster.start(away);
    expect_all_there();
    // Far less than all of it had to be sent again.
    EXPECT_LT(sent_by_leader() - before, values * value_bytes * 2 / 3);
    EXPECT_EQ(cluster.node(leader).replica().status().snapshots_sent, 1u);
}

// Flushed is every 64th piece, 16 MiB: what came after the last of them is gone, and only that.
TEST_P(SnapshotResume, AReceiverThatLosesPowerGoesOnBehindWhatWasFlushed) {
    prepare(500);
    start_and_wait_for_a_part(6s);  // About 24 of 32 MB.
    cluster.node(away).kill();
    const uint64_t before = sent_by_leader();
    cluster.start(away);
    expect_all_there();
    EXPECT_LT(sent_by_leader() - before, 500 * value_bytes * 6 / 10);
    EXPECT_EQ(cluster.node(leader).replica().status().snapshots_sent, 1u);
}

TEST_P(SnapshotResume, AReceiverThatFallsAgainAndAgainHasItAllInTheEnd) {
    prepare(300);
    for (int life = 0; life < 6; ++life) {
        start_and_wait_for_a_part(500ms);
        life % 2 == 0 ? cluster.node(away).stop() : cluster.node(away).kill();
    }
    cluster.start(away);
    expect_all_there();
}

// The new leader's is another transfer: it waits until nothing has come of the old one for a while, and begins anew.
TEST_P(SnapshotResume, AnotherSenderTakesOver) {
    prepare(200);
    start_and_wait_for_a_part(2s);
    cluster.node(leader).kill();
    ASSERT_TRUE(cluster.eventually([&] { return cluster.leader() == other; }));
    const int lost = std::exchange(leader, other);
    expect_all_there();
    EXPECT_EQ(cluster.node(away).closings_on_reactor(), 0u);
    cluster.start(lost);
    ASSERT_TRUE(cluster.propose(lost, "after=1").has_value());
    EXPECT_EQ(cluster.read(away, "after").value(), "1");
}

// As does a sender that comes back after the receiver was started again.
TEST_P(SnapshotResume, AnotherSenderTakesOverFromAnInterruptedOne) {
    prepare(200);
    start_and_wait_for_a_part(2s);
    cluster.node(leader).kill();
    cluster.node(away).stop();
    cluster.start(away);
    ASSERT_TRUE(cluster.eventually([&] { return cluster.leader() == other; }));
    leader = other;
    expect_all_there();
}

// Nobody is left who could go on with it: the room on the disk is given back, and the next one arrives as if there had been none.
TEST_P(SnapshotResume, AnAbandonedTransferIsRemoved) {
    prepare(200);
    start_and_wait_for_a_part(2s);
    ASSERT_TRUE(cluster.node(away).has_next_store());
    cluster.node(leader).kill();
    cluster.node(other).kill();
    cluster.reactor().run_for(110s);
    EXPECT_TRUE(cluster.node(away).has_next_store());
    cluster.reactor().run_for(30s);
    EXPECT_FALSE(cluster.node(away).has_next_store());
    EXPECT_EQ(cluster.node(away).closings_on_reactor(), 0u);
    cluster.start(leader);
    cluster.start(other);
    ASSERT_TRUE(cluster.eventually_led());
    leader = cluster.leader();
    expect_all_there();
}

// The new leader's log still has everything: the receiver is up to date before anybody sends it a snapshot again.
TEST_P(SnapshotResume, AnOvertakenTransferIsRemoved) {
    prepare(200, false);
    start_and_wait_for_a_part(2s);
    cluster.node(leader).kill();
    ASSERT_TRUE(cluster.eventually([&] { return cluster.leader() == other; }));
    EXPECT_EQ(cluster.read(away, "k199", 60s).value().size(), value_bytes);
    EXPECT_EQ(cluster.node(away).replica().status().snapshots_received, 0u);
    cluster.reactor().run_for(130s);  // In the first two minutes after a start nothing is removed.
    EXPECT_FALSE(cluster.node(away).has_next_store());
    EXPECT_EQ(cluster.node(away).closings_on_reactor(), 0u);
}

// ---- Flushes ----

// The second is asked for while the first, which began before the last value, is under way.
TEST_P(SnapshotResume, AFlushIncludesWhatWasAppliedWhenItWasAskedFor) {
    cluster.adjust([](HostOptions& options) { options.replica.keep_entries = 1; });
    cluster.start_all();
    ASSERT_TRUE(cluster.eventually_led());
    const int at = cluster.leader();
    GroupReplica& replica = cluster.node(at).replica();
    for (int round = 0; round < 20; ++round) {
        runtime::TaskGroup tasks(cluster.reactor());
        tasks.spawn("flush", replica.flush());
        cluster.reactor().run_for(10us);  // Less than any flush takes here.
        ASSERT_TRUE(cluster.propose(at, "k=" + std::to_string(round)).has_value());
        const LogIndex applied = replica.applied_index();
        ASSERT_TRUE(runtime::run(cluster.reactor(), replica.flush()).has_value());
        // The log forgets no more than is durable, and all but one entry of that.
        EXPECT_GE(replica.core_status().first.value + 1, applied.value) << round;
        ASSERT_TRUE(runtime::run(cluster.reactor(), tasks.join()).has_value());
    }
}

// ---- What is kept of it ----

std::shared_ptr<storage::MemoryStore> arrived(Arrival& arrival) {
    auto store = std::make_shared<storage::MemoryStore>();
    storage::Batch batch;
    batch.put("a", "1");
    batch.put("b", "2");
    arrival.hash = Arrival::hash_with(0, batch);
    arrival.progress = {.frames = 1, .pairs = 2, .last_key = "b"};
    batch.put(arrival_row(), encode(arrival));
    EXPECT_TRUE(store->write(batch).has_value());
    return store;
}

TEST(Arrival, IsTakenForWhatItIs) {
    Arrival arrival{.transfer = 7, .position = {LogIndex(9), {3, NodeId{1}}}, .progress = {}};
    const auto store = arrived(arrival);
    const auto found = verified_arrival(*store);
    ASSERT_TRUE(found.has_value() && found->has_value());
    EXPECT_EQ((*found)->transfer, 7u);
    EXPECT_EQ((*found)->position, arrival.position);
    EXPECT_EQ((*found)->progress.pairs, 2u);
    EXPECT_EQ((*found)->hash, arrival.hash);
    EXPECT_EQ(verified_arrival(storage::MemoryStore())->has_value(), false);
}

TEST(Arrival, WhateverWasChangedSinceIsNoticed) {
    const std::vector<std::pair<std::string, std::string>> changes = {{"a", "x"}, {"b", ""}, {"c", "3"}};
    for (const auto& [key, value] : changes) {
        Arrival arrival;
        const auto store = arrived(arrival);
        storage::Batch batch;
        value.empty() ? batch.remove(key) : batch.put(key, value);
        ASSERT_TRUE(store->write(batch).has_value());
        const auto found = verified_arrival(*store);
        ASSERT_FALSE(found.has_value()) << key;
        EXPECT_EQ(found.error().code, Code::Corrupt);
    }
}

TEST(Arrival, ARowCutAnywhereIsRefused) {
    const std::string octets = encode(Arrival{.transfer = 7, .position = {}, .progress = {3, 4, "key"}, .hash = 5});
    EXPECT_EQ(decode_arrival(octets)->progress.last_key, "key");
    for (size_t size = 0; size < octets.size(); ++size) {
        EXPECT_FALSE(decode_arrival(octets.substr(0, size)).has_value()) << size;
    }
}

}  // namespace
}  // namespace polis::cluster
