// A snapshot that is installed while the log goes on, and one that cannot be used.
#include <gtest/gtest.h>

#include "cluster/cluster_testing.h"
#include "cluster/replica_keys.h"
#include "cluster/replica_state.h"
#include "storage/kv/transfer.h"

namespace polis::cluster {
namespace {

using namespace std::chrono_literals;

runtime::Task<void> count_up(GroupReplica& replica, std::vector<std::string>& replies) {
    const Replica::Caller itself;
    Bytes command = Bytes::copy(std::string("n=v"));
    const Result<Bytes> reply = co_await replica.propose(itself, std::move(command));
    replies.push_back(reply ? reply->str() : reply.error().what);
    co_return runtime::done();
}

// All of `state`, in one transfer, to `to`.
Result<void> give(SimCluster& cluster, int from, int to, const storage::View& state) {
    LET(const AppliedState applied, load_applied_state(state));
    const auto pairs = state.cursor({});
    storage::PairExporter exporter(*pairs, 1u << 20);
    SnapshotChunk chunk{.transfer = 7, .position = applied.position, .number = 0, .frame = Bytes()};
    for (;; ++chunk.number) {
        LET(std::string frame, exporter.next());
        if (frame.empty()) return {};
        chunk.frame = Bytes::take(std::move(frame));
        TRY(runtime::run(cluster.reactor(), cluster.node(to).replica().on_request(
                                                cluster.node(from).host().self(),
                                                static_cast<uint8_t>(ReplicaRequest::Snapshot), encode(chunk))));
    }
}

TEST(ReplicaSnapshot, EntriesThatCameMeanwhileAreApplied) {
    uint64_t installed = 0;
    for (uint64_t seed = 1; seed <= 20; ++seed) {
        SCOPED_TRACE(seed);
        SimCluster cluster(seed, 3);
        cluster.start_all();
        ASSERT_TRUE(cluster.eventually_led());
        const int leader = cluster.leader();
        const int follower = leader % 3 + 1;
        runtime::TaskGroup tasks(cluster.reactor());
        std::vector<std::string> replies;
        const auto propose_some = [&] {
            for (int i = 0; i < 5; ++i) tasks.spawn("count", count_up(cluster.node(leader).replica(), replies));
        };
        for (int i = 0; i < 20; ++i) {
            propose_some();
            cluster.reactor().run_for(100us);
        }
        tasks.spawn("more", [](auto propose) -> runtime::Task<void> {
            for (int i = 0; i < 20; ++i) {
                propose();
                CO_TRY(co_await runtime::sleep_for(100us));
            }
            co_return runtime::done();
        }(propose_some));
        const auto state = cluster.node(leader).replica().store().view();
        const Result<void> given = give(cluster, leader, follower, *state);
        ASSERT_TRUE(given) << given.error().what;
        ASSERT_TRUE(cluster.eventually([&] { return replies.size() == 200; }));
        EXPECT_EQ(replies.back(), "200");
        ASSERT_TRUE(cluster.read(follower, "n").has_value());
        EXPECT_EQ(cluster.node(follower).replica().store().get("nn").value(), "200");
        installed += cluster.node(follower).replica().status().snapshots_received;
    }
    EXPECT_GT(installed, 0u);
}

TEST(ReplicaSnapshot, KeepsItsPaceHoweverLargeTheStateIs) {
    EXPECT_EQ(time_for(0, 200), Duration(0));
    EXPECT_EQ(time_for(150, 100), 1500ms);
    EXPECT_EQ(time_for(40'000'000'000, 200'000'000), 200s);
    EXPECT_EQ(time_for(uint64_t{1} << 50, uint64_t{1} << 30), std::chrono::seconds(1 << 20));
}

// It is found out before it takes the place of a state that can be used.
TEST(ReplicaSnapshot, OneThatCannotBeUsedChangesNothing) {
    SimCluster cluster(1, 3);
    cluster.start_all();
    ASSERT_TRUE(cluster.eventually_led());
    const int leader = cluster.leader();
    const int follower = leader % 3 + 1;
    ASSERT_EQ(cluster.propose(follower, "n=v").value(), "1");
    storage::MemoryStore crafted;
    storage::Overlay rows(crafted);
    AppliedState state;
    state.position = {LogIndex(1'000'000), cluster.node(leader).replica().leadership().ballot};
    state.membership = cluster.node(leader).replica().membership();
    save_applied_state(state, rows);
    rows.put(origin_row(NodeId{99}), "\xff");
    ASSERT_TRUE(crafted.write(rows.batch()));
    EXPECT_EQ(give(cluster, leader, follower, *crafted.view()).error().code, Code::Corrupt);
    EXPECT_EQ(cluster.propose(follower, "n=w").value(), "2");
    EXPECT_EQ(cluster.read(follower, "n").value(), "w");
}

}  // namespace
}  // namespace polis::cluster
