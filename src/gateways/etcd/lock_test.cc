// The lock and election services over a store that behaves like etcd's.
#include <gtest/gtest.h>

#include "codec/etcd/election.pb.h"
#include "codec/etcd/lock.pb.h"
#include "gateways/etcd/fakes.h"
#include "gateways/etcd/recipe.h"

namespace polis::gateways {
namespace {

using fakes::Desk;
using fakes::FakeCall;

template <class Message>
Bytes octets(const Message& message) {
    return Bytes::take(message.SerializeAsString());
}

/// A unary call that waits: runs beside the test.
struct Waiting {
    Waiting(Desk& desk, const std::string& method, Bytes request) : call(method) {
        group.emplace(desk.reactor);
        group->spawn("waiting", run(*desk.routes.find_unary(method), call, std::move(request), outcome));
        desk.settle();
    }
    static runtime::Task<void> run(rpc::UnaryHandler handler, FakeCall& call, Bytes request,
                                   std::optional<rpc::Outcome>& outcome) {
        CO_LET(outcome, co_await handler(call, std::move(request)));
        co_return runtime::done();
    }
    FakeCall call;
    std::optional<rpc::Outcome> outcome;
    std::optional<runtime::TaskGroup> group;
};

v3lockpb::LockRequest lock_request(int64_t lease) {
    v3lockpb::LockRequest request;
    request.set_name("mutex");
    request.set_lease(lease);
    return request;
}

v3electionpb::CampaignRequest campaign_request(int64_t lease, const std::string& value) {
    v3electionpb::CampaignRequest request;
    request.set_name("seat");
    request.set_lease(lease);
    request.set_value(value);
    return request;
}

TEST(QueueKey, IsTheNameAndTheLeaseInHex) {
    EXPECT_EQ(queue_key("a/b", 0x7f3c), "a/b/7f3c");
    EXPECT_EQ(queue_key("", -26), "/-1a");  // Go's %x of a negative number.
    EXPECT_EQ(queue_key("x", INT64_MIN), "x/-8000000000000000");
}

TEST(Lock, IsWonAtOnceWhenFree) {
    Desk desk;
    const auto response = desk.ask<v3lockpb::LockResponse>("/v3lockpb.Lock/Lock", lock_request(0xab));
    EXPECT_EQ(response.key(), "mutex/ab");
    EXPECT_EQ(response.header().revision(), 2);
    EXPECT_EQ(desk.coord.keys.at("mutex/ab").lease(), 0xab);
    EXPECT_EQ(desk.coord.calls, std::vector<std::string>{"txn"});  // One round trip.
}

TEST(Lock, GrantsALeaseToWhoBringsNone) {
    Desk desk;
    EXPECT_EQ(desk.ask<v3lockpb::LockResponse>("/v3lockpb.Lock/Lock", lock_request(0)).key(), "mutex/1234");
}

TEST(Lock, IsTakenAgainByItsOwnLease) {
    Desk desk;
    desk.ask<v3lockpb::LockResponse>("/v3lockpb.Lock/Lock", lock_request(0xab));
    EXPECT_EQ(desk.ask<v3lockpb::LockResponse>("/v3lockpb.Lock/Lock", lock_request(0xab)).key(), "mutex/ab");
}

TEST(Lock, GoesToWaitersInTheOrderTheyCame) {
    Desk desk;
    desk.ask<v3lockpb::LockResponse>("/v3lockpb.Lock/Lock", lock_request(1));
    Waiting second(desk, "/v3lockpb.Lock/Lock", octets(lock_request(2)));
    Waiting third(desk, "/v3lockpb.Lock/Lock", octets(lock_request(3)));
    EXPECT_FALSE(second.outcome.has_value());
    v3lockpb::UnlockRequest unlock;
    unlock.set_key("mutex/1");
    desk.ask<v3lockpb::UnlockResponse>("/v3lockpb.Lock/Unlock", unlock);
    desk.settle();
    ASSERT_TRUE(second.outcome && second.outcome->status.ok());
    EXPECT_FALSE(third.outcome.has_value());
    desk.coord.delete_now("mutex/2");
    desk.settle();
    EXPECT_TRUE(third.outcome && third.outcome->status.ok());
}

// The waiter's own lease may expire before its turn: then it must not believe that it holds the lock.
TEST(Lock, IsNotWonByAnExpiredLease) {
    Desk desk;
    desk.ask<v3lockpb::LockResponse>("/v3lockpb.Lock/Lock", lock_request(1));
    Waiting second(desk, "/v3lockpb.Lock/Lock", octets(lock_request(2)));
    desk.coord.delete_now("mutex/2");
    desk.coord.delete_now("mutex/1");
    desk.settle();
    ASSERT_TRUE(second.outcome.has_value());
    EXPECT_EQ(second.outcome->status.message, "mutex: session is expired");
}

TEST(Lock, PlaceOfAClientThatWentAwayIsGivenBack) {
    Desk desk;
    desk.ask<v3lockpb::LockResponse>("/v3lockpb.Lock/Lock", lock_request(1));
    Waiting second(desk, "/v3lockpb.Lock/Lock", octets(lock_request(2)));
    EXPECT_EQ(desk.coord.keys.count("mutex/2"), 1u);
    EXPECT_TRUE(runtime::run(desk.reactor, second.group->stop()));
    desk.settle();
    EXPECT_EQ(desk.coord.keys.count("mutex/2"), 0u);
    EXPECT_EQ(desk.coord.keys.count("mutex/1"), 1u);
}

// etcd runs these services over its own client, whose errors keep the text and lose the code.
TEST(Lock, RefusalsKeepTheirTextAsUnknown) {
    Desk desk;
    desk.coord.refusal = services::Refusal::LeaseNotFound;
    const auto status = desk.call("/v3lockpb.Lock/Lock", octets(lock_request(9))).status;
    EXPECT_EQ(status.code, rpc::StatusCode::Unknown);
    EXPECT_EQ(status.message, "etcdserver: requested lease not found");
}

TEST(Election, LeaderProclaimsAndResigns) {
    Desk desk;
    const auto won =
        desk.ask<v3electionpb::CampaignResponse>("/v3electionpb.Election/Campaign", campaign_request(5, "v1"));
    EXPECT_EQ(won.leader().key(), "seat/5");
    EXPECT_EQ(won.leader().rev(), 2);
    EXPECT_EQ(won.leader().lease(), 5);

    v3electionpb::ProclaimRequest proclaim;
    *proclaim.mutable_leader() = won.leader();
    proclaim.set_value("v2");
    desk.ask<v3electionpb::ProclaimResponse>("/v3electionpb.Election/Proclaim", proclaim);
    v3electionpb::LeaderRequest who;
    who.set_name("seat");
    EXPECT_EQ(desk.ask<v3electionpb::LeaderResponse>("/v3electionpb.Election/Leader", who).kv().value(), "v2");

    v3electionpb::ResignRequest resign;
    *resign.mutable_leader() = won.leader();
    desk.ask<v3electionpb::ResignResponse>("/v3electionpb.Election/Resign", resign);
    EXPECT_EQ(desk.call("/v3electionpb.Election/Leader", octets(who)).status.message, "election: no leader");
    EXPECT_EQ(desk.call("/v3electionpb.Election/Proclaim", octets(proclaim)).status.message, "election: not leader");
}

TEST(Election, NeedsTheLeaderKey) {
    Desk desk;
    for (const char* method : {"Proclaim", "Resign"}) {
        EXPECT_EQ(desk.call("/v3electionpb.Election/" + std::string(method), {}).status.message,
                  "\"leader\" field must be provided");
    }
}

TEST(Election, NextCandidateWinsWhenTheLeaderGoes) {
    Desk desk;
    desk.ask<v3electionpb::CampaignResponse>("/v3electionpb.Election/Campaign", campaign_request(1, "one"));
    Waiting second(desk, "/v3electionpb.Election/Campaign", octets(campaign_request(2, "two")));
    EXPECT_FALSE(second.outcome.has_value());
    desk.coord.delete_now("seat/1");
    desk.settle();
    EXPECT_TRUE(second.outcome && second.outcome->status.ok());
}

TEST(Election, CampaigningAgainChangesTheValue) {
    Desk desk;
    desk.ask<v3electionpb::CampaignResponse>("/v3electionpb.Election/Campaign", campaign_request(1, "old"));
    desk.ask<v3electionpb::CampaignResponse>("/v3electionpb.Election/Campaign", campaign_request(1, "new"));
    EXPECT_EQ(desk.coord.keys.at("seat/1").value(), "new");
    EXPECT_EQ(desk.coord.keys.at("seat/1").create_revision(), 2);
}

TEST(Observe, TellsOfEveryLeaderAndItsValues) {
    Desk desk;
    FakeCall call("/v3electionpb.Election/Observe");
    v3electionpb::LeaderRequest request;
    request.set_name("seat");
    call.arrive(octets(request));
    std::optional<rpc::Status> status;
    desk.start(call, status);
    EXPECT_TRUE(call.sent.empty());
    desk.coord.put_now("seat/1", "a", 1);
    desk.settle();
    desk.coord.put_now("seat/1", "b", 1);
    desk.coord.put_now("seat/2", "c", 2);
    desk.settle();
    desk.coord.delete_now("seat/1");
    desk.settle();
    std::vector<std::string> values;
    for (const Bytes& message : call.sent) {
        v3electionpb::LeaderResponse response;
        ASSERT_TRUE(response.ParseFromString(message.str()));
        values.push_back(response.kv().value());
    }
    EXPECT_EQ(values, (std::vector<std::string>{"a", "b", "c"}));
    EXPECT_FALSE(status.has_value());
    desk.stop();
}

}  // namespace
}  // namespace polis::gateways
