// Commands and read barriers on their way to the leader and back: copies of one command, waits given up.
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
