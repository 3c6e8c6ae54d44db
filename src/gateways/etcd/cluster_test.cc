// The Cluster and Maintenance services.
#include <gtest/gtest.h>
#include <openssl/sha.h>

#include "gateways/etcd/fakes.h"
#include "gateways/etcd/version.h"

namespace polis::gateways {
namespace {

using fakes::Desk;
using fakes::FakeCall;
using rpc::StatusCode;
using services::Refusal;
namespace pb = ::etcdserverpb;

template <class Message>
Bytes octets(const Message& message) {
    return Bytes::take(message.SerializeAsString());
}

pb::MemberAddRequest add_request(bool learner) {
    pb::MemberAddRequest request;
    request.add_peerurls("http://127.0.0.1:2390");
    request.set_islearner(learner);
    return request;
}

TEST(MemberList, ShowsMembersWithoutARevision) {
    Desk desk;
    const auto list = desk.ask<pb::MemberListResponse>("/etcdserverpb.Cluster/MemberList", pb::MemberListRequest());
    ASSERT_EQ(list.members_size(), 2);
    EXPECT_EQ(list.members(0).name(), "one");
    EXPECT_EQ(list.members(0).clienturls(0), "http://127.0.0.1:2379");
    EXPECT_TRUE(list.members(1).islearner());
    EXPECT_EQ(list.header().member_id(), 0xa1u);
    EXPECT_EQ(list.header().revision(), 0);
    EXPECT_TRUE(desk.cluster.calls.empty());
}

TEST(MemberList, WaitsForTheNewestIfLinearizable) {
    Desk desk;
    pb::MemberListRequest request;
    request.set_linearizable(true);
    desk.ask<pb::MemberListResponse>("/etcdserverpb.Cluster/MemberList", request);
    EXPECT_EQ(desk.cluster.calls, std::vector<std::string>{"members_barrier"});
}

// etcd since 3.6.9: any user may see the members and the status, nobody unknown may (CVE-2026-33413).
TEST(MemberList, NeedsSomeUserWhileAuthIsEnabled) {
    Desk desk;
    desk.coord.admin_refusal = Refusal::PermissionDenied;
    EXPECT_TRUE(desk.call("/etcdserverpb.Cluster/MemberList", {}).status.ok());
    EXPECT_TRUE(desk.call("/etcdserverpb.Maintenance/Status", {}).status.ok());
    desk.coord.admin_refusal = Refusal::UserEmpty;
    EXPECT_EQ(desk.call("/etcdserverpb.Cluster/MemberList", {}).status.message, "etcdserver: user name is empty");
    EXPECT_EQ(desk.call("/etcdserverpb.Maintenance/Status", {}).status.message, "etcdserver: user name is empty");
}

TEST(Members, AreChangedByRootOnly) {
    Desk desk;
    desk.coord.admin_refusal = Refusal::PermissionDenied;
    pb::MemberUpdateRequest update;
    update.add_peerurls("http://127.0.0.1:2390");
    const std::vector<std::pair<std::string, Bytes>> calls = {
        {"/etcdserverpb.Cluster/MemberAdd", octets(add_request(false))},
        {"/etcdserverpb.Cluster/MemberRemove", {}},
        {"/etcdserverpb.Cluster/MemberUpdate", octets(update)},
        {"/etcdserverpb.Cluster/MemberPromote", {}},
        {"/etcdserverpb.Maintenance/Defragment", {}},
        {"/etcdserverpb.Maintenance/MoveLeader", {}},
        {"/etcdserverpb.Maintenance/Downgrade", {}}};
    for (const auto& [method, request] : calls) {
        EXPECT_EQ(desk.call(method, request).status.code, StatusCode::PermissionDenied) << method;
    }
    EXPECT_TRUE(desk.cluster.calls.empty());
}

TEST(MemberAdd, AnswersTheNewMemberAndAll) {
    Desk desk;
    const auto added = desk.ask<pb::MemberAddResponse>("/etcdserverpb.Cluster/MemberAdd", add_request(true));
    EXPECT_EQ(added.member().id(), 0xd4u);
    EXPECT_TRUE(added.member().islearner());
    EXPECT_EQ(added.members_size(), 3);
}

TEST(MemberAdd, RefusesBadUrlsBeforeAskingAnybody) {
    Desk desk;
    EXPECT_EQ(desk.call("/etcdserverpb.Cluster/MemberAdd", {}).status.message,
              "etcdserver: given member URLs are invalid");
    EXPECT_TRUE(desk.cluster.calls.empty());
}

struct Case {
    std::string method;
    Bytes request;
    Code failure;
    std::string text;
};

TEST(Members, FailuresHaveEtcdsTexts) {
    pb::MemberUpdateRequest update;
    update.add_peerurls("http://127.0.0.1:2390");
    const Bytes voter = octets(add_request(false)), learner = octets(add_request(true));
    const std::vector<Case> cases = {
        {"MemberAdd", voter, Code::Exists, "Peer URLs already exists"},
        {"MemberAdd", voter, Code::Invalid, "given member URLs are invalid"},
        {"MemberAdd", learner, Code::Invalid, "too many learner members in cluster"},
        {"MemberAdd", voter, Code::Unavailable, "re-configuration failed due to not enough started members"},
        {"MemberAdd", voter, Code::Stale, "unhealthy cluster"},
        {"MemberRemove", {}, Code::NotFound, "member not found"},
        {"MemberUpdate", octets(update), Code::NotFound, "member not found"},
        {"MemberUpdate", octets(update), Code::Exists, "Peer URLs already exists"},
        {"MemberPromote", {}, Code::Invalid, "can only promote a learner member"},
        {"MemberPromote", {}, Code::Stale, "can only promote a learner member which is in sync with leader"},
        {"MemberPromote", {}, Code::NotFound, "member not found"}};
    for (const Case& c : cases) {
        Desk desk;
        desk.cluster.failure = Error{c.failure, "inner"};
        EXPECT_EQ(desk.call("/etcdserverpb.Cluster/" + c.method, c.request).status.message, "etcdserver: " + c.text);
    }
}

TEST(Status, TellsSizesLogAndVersions) {
    Desk desk;
    desk.coord.state.db_bytes = 1000;
    desk.coord.state.db_bytes_in_use = 900;
    desk.coord.state.quota_bytes = 5000;
    const auto status = desk.ask<pb::StatusResponse>("/etcdserverpb.Maintenance/Status", pb::StatusRequest());
    EXPECT_EQ(status.version(), etcd_server_version);
    EXPECT_EQ(status.storageversion(), "3.6.0");
    EXPECT_EQ(status.dbsize(), 1000);
    EXPECT_EQ(status.dbsizeinuse(), 900);
    EXPECT_EQ(status.dbsizequota(), 5000);
    EXPECT_EQ(status.leader(), 0xa1u);
    EXPECT_EQ(status.raftindex(), 11u);
    EXPECT_EQ(status.raftappliedindex(), 10u);
    EXPECT_EQ(status.raftterm(), 7u);
    EXPECT_TRUE(status.has_downgradeinfo());
    EXPECT_EQ(status.errors_size(), 0);
}

TEST(Status, ListsAlarmsAndTheLackOfALeader) {
    Desk desk;
    desk.cluster.group.leader = NodeId::Nobody;
    pb::AlarmMember alarm;
    alarm.set_memberid(7);
    alarm.set_alarm(pb::NOSPACE);
    desk.coord.state.alarms = {alarm};
    const auto status = desk.ask<pb::StatusResponse>("/etcdserverpb.Maintenance/Status", pb::StatusRequest());
    ASSERT_EQ(status.errors_size(), 2);
    EXPECT_EQ(status.errors(0), "etcdserver: no leader");
    EXPECT_EQ(status.errors(1), "memberID:7 alarm:NOSPACE ");
}

TEST(MoveLeader, IsTheLeadersToGrantAndAVotersToTake) {
    Desk desk;
    const auto text = [&desk](uint64_t target) {
        pb::MoveLeaderRequest request;
        request.set_targetid(target);
        return desk.call("/etcdserverpb.Maintenance/MoveLeader", octets(request)).status.message;
    };
    EXPECT_EQ(text(0xb2), "etcdserver: bad leader transferee");  // A learner.
    EXPECT_EQ(text(0x99), "etcdserver: bad leader transferee");  // Nobody.
    EXPECT_EQ(text(0xa1), "");
    desk.cluster.failure = Error{Code::Timeout, ""};
    EXPECT_EQ(text(0xa1), "etcdserver: request timed out, leader transfer took too long");
    desk.cluster.group.leader = NodeId{0xb2};
    EXPECT_EQ(text(0xa1), "etcdserver: not leader");
}

TEST(Downgrade, TellsBadFormatsFromBadTargets) {
    Desk desk;
    pb::DowngradeRequest request;
    const auto status = [&] { return desk.call("/etcdserverpb.Maintenance/Downgrade", octets(request)).status; };
    request.set_version("three");
    EXPECT_EQ(status().message, "etcdserver: wrong downgrade target version format");
    request.set_version("3.5");
    EXPECT_EQ(status().message, "etcdserver: invalid downgrade target version");
    request.set_action(pb::DowngradeRequest::CANCEL);
    EXPECT_EQ(desk.ask<pb::DowngradeResponse>("/etcdserverpb.Maintenance/Downgrade", request).version(), "3.6");
    request.set_action(static_cast<pb::DowngradeRequest::DowngradeAction>(9));
    EXPECT_EQ(status().code, StatusCode::Unknown);
}

TEST(Snapshot, EndsWithTheDigestOfItsBlobs) {
    Desk desk;
    const std::string first(32 << 10, 'a'), second(100, 'b');
    desk.coord.snapshot_chunks = {{Bytes::copy(first), 100}, {Bytes::copy(second), 0}};
    FakeCall call("/etcdserverpb.Maintenance/Snapshot");
    call.arrive({});
    std::optional<rpc::Status> status;
    desk.start(call, status);
    ASSERT_TRUE(status && status->ok());
    ASSERT_EQ(call.sent.size(), 3u);
    pb::SnapshotResponse parts[3];
    for (size_t i = 0; i < 3; ++i) ASSERT_TRUE(parts[i].ParseFromString(call.sent[i].str()));
    EXPECT_EQ(parts[0].blob(), first);
    EXPECT_EQ(parts[0].remaining_bytes(), 100u);
    EXPECT_EQ(parts[0].version(), "3.6.0");
    EXPECT_EQ(parts[2].remaining_bytes(), 0u);
    const std::string all = first + second;
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256(reinterpret_cast<const unsigned char*>(all.data()), all.size(), digest);
    EXPECT_EQ(parts[2].blob(), std::string(reinterpret_cast<char*>(digest), sizeof digest));
    desk.stop();
}

TEST(Snapshot, IsRefusedByCoord) {
    Desk desk;
    desk.coord.refusal = Refusal::PermissionDenied;
    FakeCall call("/etcdserverpb.Maintenance/Snapshot");
    call.arrive({});
    std::optional<rpc::Status> status;
    desk.start(call, status);
    EXPECT_TRUE(status && status->code == StatusCode::PermissionDenied);
    EXPECT_TRUE(call.sent.empty());
    desk.stop();
}

}  // namespace
}  // namespace polis::gateways
