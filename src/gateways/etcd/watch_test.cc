#include <gtest/gtest.h>

#include "gateways/etcd/fakes.h"
#include "gateways/etcd/watch_message.h"

namespace polis::gateways {
namespace {

using fakes::Desk;
using fakes::FakeCall;
namespace pb = ::etcdserverpb;

Bytes create_request(const std::string& key) {
    pb::WatchRequest request;
    request.mutable_create_request()->set_key(key);
    return Bytes::take(request.SerializeAsString());
}

pb::WatchResponse response_of(const Bytes& octets) {
    pb::WatchResponse response;
    EXPECT_TRUE(response.ParseFromString(octets.str()));
    return response;
}

TEST(WatchMessage, JoinsHeadAndEventsIntoOneResponse) {
    pb::WatchResponse events;
    for (const char* key : {"a", "b"}) events.add_events()->mutable_kv()->set_key(key);
    services::WatchMessage message;
    message.head.mutable_header()->set_revision(9);
    message.head.set_watch_id(3);
    message.head.set_fragment(true);
    message.events = {Bytes::take(events.SerializeAsString())};
    pb::ResponseHeader node;
    node.set_cluster_id(1);
    node.set_member_id(2);
    node.set_raft_term(4);
    node.set_revision(77);
    const pb::WatchResponse response = response_of(encode_watch_message(message, node));
    EXPECT_EQ(response.header().revision(), 9);  // The message's, not the node's.
    EXPECT_EQ(response.header().cluster_id(), 1u);
    EXPECT_EQ(response.header().member_id(), 2u);
    EXPECT_EQ(response.header().raft_term(), 4u);
    EXPECT_EQ(response.watch_id(), 3);
    EXPECT_TRUE(response.fragment());
    ASSERT_EQ(response.events_size(), 2);
    EXPECT_EQ(response.events(1).kv().key(), "b");
}

TEST(Watch, SendsEventsInOrder) {
    Desk desk;
    FakeCall call("/etcdserverpb.Watch/Watch");
    call.arrive(create_request("a"));
    std::optional<rpc::Status> status;
    desk.start(call, status);
    desk.coord.put_now("a", "1");
    desk.coord.put_now("other", "x");
    desk.coord.delete_now("a");
    desk.settle();
    ASSERT_EQ(call.sent.size(), 3u);
    EXPECT_TRUE(response_of(call.sent[0]).created());
    EXPECT_EQ(response_of(call.sent[1]).events(0).kv().value(), "1");
    EXPECT_EQ(response_of(call.sent[2]).events(0).type(), mvccpb::Event::DELETE);
    EXPECT_FALSE(status.has_value());
    desk.stop();
}

// A one-shot HTTP request ends its body at once and still wants its events.
TEST(Watch, OutlivesTheEndOfTheClientsRequests) {
    Desk desk;
    FakeCall call("/etcdserverpb.Watch/Watch");
    call.arrive(create_request("a"));
    call.finish();
    std::optional<rpc::Status> status;
    desk.start(call, status);
    desk.coord.put_now("a", "1");
    desk.settle();
    EXPECT_EQ(call.sent.size(), 2u);
    EXPECT_FALSE(status.has_value());
    desk.stop();
}

TEST(Watch, EndsWhenTheClientCannotBeWrittenTo) {
    Desk desk;
    FakeCall call("/etcdserverpb.Watch/Watch");
    call.write_failure = Error{Code::Io, "gone"};
    call.arrive(create_request("a"));
    std::optional<rpc::Status> status;
    desk.start(call, status);
    EXPECT_TRUE(status.has_value());
    EXPECT_EQ(desk.coord.live_streams, 0u);
    desk.stop();
}

TEST(Watch, FreesItsWatchersWhenTheCallIsCanceled) {
    Desk desk;
    FakeCall call("/etcdserverpb.Watch/Watch");
    call.arrive(create_request("a"));
    std::optional<rpc::Status> status;
    desk.start(call, status);
    EXPECT_EQ(desk.coord.live_streams, 1u);
    EXPECT_TRUE(runtime::run(desk.reactor, desk.tasks.stop()));
    EXPECT_EQ(desk.coord.live_streams, 0u);
    EXPECT_TRUE(status && status->code == rpc::StatusCode::Cancelled);
}

TEST(Watch, RefusesOctetsThatAreNoRequest) {
    Desk desk;
    FakeCall call("/etcdserverpb.Watch/Watch");
    call.arrive(Bytes::forever("\xff\xff"));
    std::optional<rpc::Status> status;
    desk.start(call, status);
    EXPECT_TRUE(status && status->code == rpc::StatusCode::Internal);
    desk.stop();
}

TEST(LeaderGuard, EndsStreamsAfterThreeElectionTimeoutsWithoutALeader) {
    Desk desk({.election_timeout = std::chrono::seconds(1)});
    FakeCall guarded("/etcdserverpb.Watch/Watch"), other("/etcdserverpb.Watch/Watch");
    guarded.request_metadata.add("hasleader", "true");
    std::optional<rpc::Status> status, other_status;
    desk.start(guarded, status);
    desk.start(other, other_status);
    desk.cluster.group.leader = NodeId::Nobody;
    desk.reactor.run_for(std::chrono::milliseconds(2900));
    EXPECT_FALSE(status.has_value());
    desk.reactor.run_for(std::chrono::milliseconds(200));
    ASSERT_TRUE(status.has_value());
    EXPECT_EQ(status->message, "etcdserver: no leader");
    EXPECT_FALSE(other_status.has_value());
    desk.stop();
}

TEST(LeaderGuard, ForgivesShortElections) {
    Desk desk({.election_timeout = std::chrono::seconds(1)});
    FakeCall guarded("/etcdserverpb.Watch/Watch");
    guarded.request_metadata.add("hasleader", "true");
    std::optional<rpc::Status> status;
    desk.start(guarded, status);
    for (int round = 0; round < 5; ++round) {
        desk.cluster.group.leader = NodeId::Nobody;
        desk.reactor.run_for(std::chrono::milliseconds(2000));
        desk.cluster.group.leader = desk.cluster.own;
        desk.reactor.run_for(std::chrono::milliseconds(1000));
    }
    EXPECT_FALSE(status.has_value());
    desk.stop();
}

}  // namespace
}  // namespace polis::gateways
