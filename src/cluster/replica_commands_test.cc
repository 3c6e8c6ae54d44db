// Commands and read barriers on their way to the leader and back: copies of one command, large bursts, waits given up.
#include <gtest/gtest.h>

#include "cluster/cluster_testing.h"

namespace polis::cluster {
namespace {

using namespace std::chrono_literals;

// The log has the first copy, so the refusal of the second says nothing about the command.
TEST(ReplicaCommands, TheRefusalOfACopyIsNoAnswer) {
    SimCluster cluster(1, 3);
    cluster.adjust([](HostOptions& options) { options.timing.uncommitted_bytes_max = 1000; });
    cluster.start_all();
    ASSERT_TRUE(cluster.eventually_led());
    const int leader = cluster.leader();
    ASSERT_EQ(cluster.propose(leader, "first=v").value(), "1");
    for (int number = 1; number <= 3; ++number) {
        cluster.node(number).disk().faults() = {.stall_permille = 1000, .stall = 900ms};
    }
    EXPECT_EQ(cluster.propose(leader, "k=" + std::string(1000, 'v')).value_or("refused"), "1");
}

// More than a frame may hold, all in one turn.
TEST(ReplicaCommands, ABurstIsForwardedInFramesOfBoundedSize) {
    SimCluster cluster(1, 3);
    cluster.start_all();
    ASSERT_TRUE(cluster.eventually_led());
    const int follower = cluster.leader() % 3 + 1;
    runtime::TaskGroup tasks(cluster.reactor());
    std::vector<std::string> replies;
    const auto propose = [](GroupReplica& replica, Bytes command,
                            std::vector<std::string>& into) -> runtime::Task<void> {
        const Replica::Caller itself;
        const Result<Bytes> reply = co_await replica.propose(itself, std::move(command));
        into.push_back(reply ? reply->str() : reply.error().what);
        co_return runtime::done();
    };
    const Bytes command = Bytes::copy("k=" + std::string(1u << 20, 'v'));
    for (uint64_t octets = 0; octets <= frame_bytes_max; octets += command.size()) {
        tasks.spawn("propose", propose(cluster.node(follower).replica(), command, replies));
    }
    ASSERT_TRUE(cluster.eventually([&] { return !replies.empty(); }, 60s));
    EXPECT_EQ(replies.front(), "1");
    cluster.node(follower).stop();
    ASSERT_TRUE(cluster.eventually([&] { return tasks.running() == 0; }));
}

// What carries it (a frame, a record of the log) has a limit: whoever asks is told so, and nothing is half done.
TEST(ReplicaCommands, ACommandThatNoFrameHoldsIsRefusedAnywhere) {
    SimCluster cluster(1, 3);
    cluster.start_all();
    ASSERT_TRUE(cluster.eventually_led());
    const std::string large = "k=" + std::string(command_bytes_max, 'v');
    for (int number = 1; number <= 3; ++number) {
        const auto refused = cluster.propose(number, large);
        ASSERT_FALSE(refused.has_value());
        EXPECT_EQ(refused.error().code, Code::Invalid);
    }
    EXPECT_EQ(cluster.propose(cluster.leader(), "k=small").value(), "1");
}

// With all that is put around it.
TEST(ReplicaCommands, TheLargestCommandFitsTheLog) {
    SimCluster cluster(1, 1);
    cluster.start_all();
    ASSERT_TRUE(cluster.eventually_led());
    const std::string largest = "k=" + std::string(command_bytes_max - 2, 'v');
    EXPECT_EQ(cluster.propose(1, largest, 60s).value_or("refused"), "1");
}

TEST(ReplicaCommands, ReadsThatWereGivenUpAreForgotten) {
    SimCluster cluster(1, 3);
    cluster.start_all();
    ASSERT_TRUE(cluster.eventually_led());
    cluster.node(2).kill();
    cluster.node(3).kill();
    GroupReplica& replica = cluster.node(1).replica();
    runtime::TaskGroup tasks(cluster.reactor());
    for (int i = 0; i < 20; ++i) tasks.spawn("read", replica.read_barrier());
    cluster.reactor().run_for(100ms);
    EXPECT_EQ(replica.reads_waiting(), 20u);
    ASSERT_TRUE(cluster.eventually([&] { return tasks.running() == 0; }));
    cluster.reactor().run_for(1s);
    EXPECT_EQ(replica.reads_waiting(), 0u);
}

}  // namespace
}  // namespace polis::cluster
