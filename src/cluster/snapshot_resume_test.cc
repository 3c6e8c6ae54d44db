// Stories of snapshots that are interrupted: what has arrived lies on the receiver's disk, is read again, and the transfer goes on behind it.
#include <gtest/gtest.h>

#include "cluster/cluster_testing.h"
#include "cluster/replica_keys.h"

namespace polis::cluster {
namespace {

using namespace std::chrono_literals;

constexpr int values = 200;
constexpr size_t value_bytes = 64u << 10;  // Four of them fill a piece: about fifty pieces.

class SnapshotResume : public testing::TestWithParam<int> {
protected:
    // A cluster whose node `away` has missed all values, and whose log no longer has them.
    void SetUp() override {
        cluster.adjust([](HostOptions& options) {
            options.balance.enabled = false;
            options.replica.snapshot_bytes_per_s = 4u << 20;  // About three seconds for all of it.
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
            if (number == away) continue;
            ASSERT_TRUE(runtime::run(cluster.reactor(), cluster.node(number).replica().flush()).has_value());
        }
        leader = cluster.leader();
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
    int leader = 0;
    int away = 0;
    NodeId receiver{};
};
INSTANTIATE_TEST_SUITE_P(Seeds, SnapshotResume, testing::Range(1, 2));

TEST_P(SnapshotResume, AReceiverStoppedInTheMiddleGoesOnWhereItWas) {
    start_and_wait_for_a_part(2s);
    cluster.node(away).stop();
    const uint64_t before = sent_by_leader();
    cluster.start(away);
    expect_all_there();
    // Far less than all of it had to be sent again.
    EXPECT_LT(sent_by_leader() - before, values * value_bytes * 2 / 3);
    EXPECT_EQ(cluster.node(leader).replica().status().snapshots_sent, 1u);
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
