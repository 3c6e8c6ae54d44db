#include "gateways/etcd/gateway.h"

#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "gateways/etcd/fakes.h"
#include "gateways/etcd/health.pb.h"
#include "gateways/etcd/map.h"
#include "gateways/etcd/reflection_v1.pb.h"
#include "gateways/etcd/session.h"

namespace polis::gateways {
namespace {

using fakes::Desk;
using fakes::FakeCall;
using rpc::StatusCode;
using services::Refusal;
namespace pb = ::etcdserverpb;

rpc::Metadata metadata(std::initializer_list<std::pair<std::string, std::string>> fields) {
    rpc::Metadata made;
    for (const auto& [name, value] : fields) made.add(name, value);
    return made;
}

template <class Message>
Bytes octets(const Message& message) {
    return Bytes::take(message.SerializeAsString());
}

pb::PutRequest put_request(std::string key) {
    pb::PutRequest request;
    request.set_key(std::move(key));
    return request;
}

// Every method that the .proto files declare must be served, and nothing else under their names.
TEST(Gateway, ServesEveryDeclaredMethod) {
    Desk desk;
    for (const char* file :
         {"codec/etcd/rpc.proto", "codec/etcd/lock.proto", "codec/etcd/election.proto", "gateways/etcd/health.proto",
          "gateways/etcd/reflection_v1.proto", "gateways/etcd/reflection_v1alpha.proto"}) {
        const auto* described = google::protobuf::DescriptorPool::generated_pool()->FindFileByName(file);
        ASSERT_NE(described, nullptr) << file;
        for (int s = 0; s < described->service_count(); ++s) {
            for (int m = 0; m < described->service(s)->method_count(); ++m) {
                const auto* method = described->service(s)->method(m);
                const std::string name = "/" + described->service(s)->full_name() + "/" + method->name();
                const bool streams = method->client_streaming() || method->server_streaming();
                EXPECT_EQ(desk.routes.find_stream(name) != nullptr, streams) << name;
                EXPECT_EQ(desk.routes.find_unary(name) != nullptr, !streams) << name;
            }
        }
    }
}

TEST(Gateway, HandsAPutToCoordAndItsAnswerBack) {
    Desk desk;
    const auto response = desk.ask<pb::PutResponse>("/etcdserverpb.KV/Put", put_request("a"));
    EXPECT_EQ(response.header().cluster_id(), 0xc1u);
    EXPECT_EQ(desk.coord.keys.count("a"), 1u);
}

TEST(Gateway, PassesEveryAuthMethodToItsOwn) {
    Desk desk;
    const std::vector<std::pair<std::string, std::string>> methods = {
        {"AuthEnable", "auth_enable"},
        {"AuthDisable", "auth_disable"},
        {"AuthStatus", "auth_status"},
        {"Authenticate", "authenticate"},
        {"UserAdd", "user_add"},
        {"UserGet", "user_get"},
        {"UserList", "user_list"},
        {"UserDelete", "user_delete"},
        {"UserChangePassword", "user_change_password"},
        {"UserGrantRole", "user_grant_role"},
        {"UserRevokeRole", "user_revoke_role"},
        {"RoleAdd", "role_add"},
        {"RoleGet", "role_get"},
        {"RoleList", "role_list"},
        {"RoleDelete", "role_delete"},
        {"RoleGrantPermission", "role_grant_permission"},
        {"RoleRevokePermission", "role_revoke_permission"}};
    ASSERT_EQ(methods.size(), 17u);
    for (const auto& [wire, name] : methods) {
        EXPECT_TRUE(desk.call("/etcdserverpb.Auth/" + wire, {}).status.ok()) << wire;
        EXPECT_EQ(desk.coord.calls.back(), name);
    }
}

TEST(Gateway, AnswersRefusalsAndFailuresWithEtcdsTexts) {
    Desk desk;
    desk.coord.refusal = Refusal::EmptyKey;
    EXPECT_EQ(desk.call("/etcdserverpb.KV/Put", {}).status,
              (rpc::Status{StatusCode::InvalidArgument, "etcdserver: key is not provided", {}}));
    desk.coord.failure = Error{Code::Unavailable, "no leader known"};
    EXPECT_EQ(desk.call("/etcdserverpb.KV/Put", {}).status,
              (rpc::Status{StatusCode::Unavailable, "etcdserver: no leader", {}}));
}

TEST(Gateway, RefusesOctetsThatAreNoMessage) {
    Desk desk;
    EXPECT_EQ(desk.call("/etcdserverpb.KV/Put", Bytes::forever("\xff\xff")).status.code, StatusCode::Internal);
    EXPECT_TRUE(desk.coord.calls.empty());
}

TEST(Gateway, RefusesWritesOverTheLimitButNotReads) {
    Desk desk({.request_bytes_max = 100});
    const Bytes large = octets(put_request(std::string(101, 'k')));
    EXPECT_EQ(desk.call("/etcdserverpb.KV/Put", large).status.message, "etcdserver: request is too large");
    EXPECT_TRUE(desk.call("/etcdserverpb.KV/Range", large).status.ok());
}

TEST(Gateway, TakesOtherLimitsWhileItServes) {
    Desk desk({.request_bytes_max = 100});
    const Bytes large = octets(put_request(std::string(101, 'k')));
    desk.gateway.reconfigure({.request_bytes_max = 200});
    EXPECT_TRUE(desk.call("/etcdserverpb.KV/Put", large).status.ok());
    desk.gateway.reconfigure({.request_bytes_max = 50});
    EXPECT_EQ(desk.call("/etcdserverpb.KV/Put", large).status.message, "etcdserver: request is too large");
}

TEST(Metadata, GivesTheTokenBeforeTheAuthorization) {
    EXPECT_EQ(headers_of(metadata({{"authorization", "b"}, {"token", "a"}})).token, "a");
    EXPECT_EQ(headers_of(metadata({{"authorization", "b"}})).token, "b");
}

TEST(Metadata, TokenReachesCoord) {
    Desk desk;
    desk.call("/etcdserverpb.KV/Range", {}, metadata({{"token", "secret.7"}}));
    EXPECT_EQ(desk.coord.last_caller.token, "secret.7");
}

TEST(Metadata, CertificateNamesAUserOnlyIfConfigured) {
    for (const bool configured : {false, true}) {
        Desk desk({.certificate_identity = configured});
        FakeCall call("/etcdserverpb.KV/Range");
        call.client.certificate_common_name = "alice";
        const auto* handler = desk.routes.find_unary(call.method());
        EXPECT_TRUE(runtime::run(desk.reactor, (*handler)(call, {})).value().status.ok());
        EXPECT_EQ(desk.coord.last_caller.common_name, configured ? "alice" : "");
    }
}

TEST(Metadata, RequiringALeaderFailsAtOnceWithoutOne) {
    Desk desk;
    desk.cluster.group.leader = NodeId::Nobody;
    const auto wants = metadata({{"hasleader", "true"}});
    EXPECT_EQ(desk.call("/etcdserverpb.KV/Range", {}, wants).status.message, "etcdserver: no leader");
    EXPECT_TRUE(desk.call("/etcdserverpb.KV/Range", {}, metadata({{"hasleader", "false"}})).status.ok());
}

TEST(Metadata, RefusesAClientVersionThatIsNotUtf8) {
    Desk desk;
    EXPECT_EQ(desk.call("/etcdserverpb.KV/Range", {}, metadata({{"client-api-version", "\xc0\xaf"}})).status.message,
              "etcdserver: invalid client api version");
    EXPECT_TRUE(desk.call("/etcdserverpb.KV/Range", {}, metadata({{"client-api-version", "3.6.14"}})).status.ok());
}

TEST(Learner, ServesOnlySerializableReadsStatusAndSnapshot) {
    Desk desk;
    desk.cluster.own = NodeId{0xb2};
    const std::string refused = "etcdserver: rpc not supported for learner";
    pb::RangeRequest serializable;
    serializable.set_serializable(true);
    EXPECT_TRUE(desk.call("/etcdserverpb.KV/Range", octets(serializable)).status.ok());
    EXPECT_EQ(desk.call("/etcdserverpb.KV/Range", {}).status.message, refused);
    EXPECT_EQ(desk.call("/etcdserverpb.KV/Put", {}).status.message, refused);
    EXPECT_EQ(desk.call("/etcdserverpb.Cluster/MemberList", {}).status.message, refused);
    EXPECT_TRUE(desk.call("/etcdserverpb.Maintenance/Status", {}).status.ok());
    for (const std::string name : {"/etcdserverpb.Watch/Watch", "/etcdserverpb.Lease/LeaseKeepAlive"}) {
        FakeCall call(name);
        std::optional<rpc::Status> status;
        desk.start(call, status);
        ASSERT_TRUE(status.has_value());
        EXPECT_EQ(status->message, refused);
    }
    FakeCall snapshot("/etcdserverpb.Maintenance/Snapshot");
    snapshot.arrive({});
    std::optional<rpc::Status> status;
    desk.start(snapshot, status);
    EXPECT_TRUE(status && status->ok());
    desk.stop();
}

TEST(Learner, ServesAllOnceItIsPromoted) {
    Desk desk;
    desk.cluster.own = NodeId{0xb2};
    EXPECT_FALSE(desk.call("/etcdserverpb.KV/Put", {}).status.ok());
    desk.cluster.all[1].learner = false;
    EXPECT_TRUE(desk.call("/etcdserverpb.KV/Put", octets(put_request("a"))).status.ok());
}

TEST(RangeStream, SendsThePartsInOrder) {
    Desk desk;
    for (const int64_t count : {1, 2, 3}) {
        desk.coord.range_parts.emplace_back().mutable_range_response()->set_count(count);
    }
    FakeCall call("/etcdserverpb.KV/RangeStream");
    call.arrive({});
    std::optional<rpc::Status> status;
    desk.start(call, status);
    ASSERT_TRUE(status && status->ok());
    ASSERT_EQ(call.sent.size(), 3u);
    EXPECT_EQ(call.sent[2].view(), desk.coord.range_parts[2].SerializeAsString());
    desk.stop();
}

TEST(RangeStream, NamesWhatItDoesNotSupport) {
    Desk desk;
    desk.coord.refusal = Refusal::RangeStreamUnsupported;
    const auto text = [&desk](const pb::RangeRequest& request) {
        FakeCall call("/etcdserverpb.KV/RangeStream");
        call.arrive(octets(request));
        std::optional<rpc::Status> status;
        desk.start(call, status);
        EXPECT_TRUE(status && status->code == StatusCode::Unimplemented);
        return status ? status->message : "";
    };
    pb::RangeRequest filters;
    filters.set_min_mod_revision(3);
    EXPECT_EQ(text(filters), "RangeStream does not support revision filters");
    filters.set_sort_order(pb::RangeRequest::DESCEND);
    EXPECT_EQ(text(filters), "RangeStream does not support custom sort orders");
    desk.stop();
}

TEST(LeaseKeepAlive, AnswersEachRenewalUntilTheClientIsDone) {
    Desk desk;
    FakeCall call("/etcdserverpb.Lease/LeaseKeepAlive");
    std::optional<rpc::Status> status;
    desk.start(call, status);
    for (const int64_t id : {7, 404}) {
        pb::LeaseKeepAliveRequest request;
        request.set_id(id);
        call.arrive(octets(request));
    }
    desk.settle();
    ASSERT_EQ(call.sent.size(), 2u);
    pb::LeaseKeepAliveResponse gone;
    ASSERT_TRUE(gone.ParseFromString(call.sent[1].str()));
    EXPECT_EQ(gone.id(), 404);
    EXPECT_EQ(gone.ttl(), 0);
    EXPECT_FALSE(status.has_value());
    call.finish();
    desk.settle();
    EXPECT_TRUE(status && status->ok());
    desk.stop();
}

TEST(Health, ServesAndFollowsChanges) {
    Desk desk;
    grpc::health::v1::HealthCheckRequest request;
    const auto state = [&desk, &request] {
        return desk.ask<grpc::health::v1::HealthCheckResponse>("/grpc.health.v1.Health/Check", request).status();
    };
    EXPECT_EQ(state(), grpc::health::v1::HealthCheckResponse::SERVING);
    FakeCall watch("/grpc.health.v1.Health/Watch");
    watch.arrive({});
    std::optional<rpc::Status> status;
    desk.start(watch, status);
    EXPECT_EQ(watch.sent.size(), 1u);
    desk.gateway.set_serving(false);
    desk.settle();
    EXPECT_EQ(watch.sent.size(), 2u);
    EXPECT_EQ(state(), grpc::health::v1::HealthCheckResponse::NOT_SERVING);
    request.set_service("etcdserverpb.KV");
    EXPECT_EQ(desk.call("/grpc.health.v1.Health/Check", octets(request)).status.code, StatusCode::NotFound);
    desk.stop();
}

grpc::reflection::v1::ServerReflectionResponse reflect(Desk& desk,
                                                       const grpc::reflection::v1::ServerReflectionRequest& request) {
    FakeCall call("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo");
    call.arrive(octets(request));
    call.finish();
    std::optional<rpc::Status> status;
    desk.start(call, status);
    EXPECT_TRUE(status && status->ok());
    grpc::reflection::v1::ServerReflectionResponse response;
    EXPECT_TRUE(call.sent.size() == 1 && response.ParseFromString(call.sent[0].str()));
    return response;
}

TEST(Reflection, ListsServicesAndFindsTheFileOfEach) {
    Desk desk;
    grpc::reflection::v1::ServerReflectionRequest list;
    list.set_list_services("*");
    const auto services = reflect(desk, list).list_services_response();
    EXPECT_EQ(services.service_size(), 11);
    for (const auto& service : services.service()) {
        grpc::reflection::v1::ServerReflectionRequest symbol;
        symbol.set_file_containing_symbol(service.name());
        EXPECT_GT(reflect(desk, symbol).file_descriptor_response().file_descriptor_proto_size(), 0) << service.name();
    }
}

TEST(Reflection, SendsTheImportsOfAFileAlong) {
    Desk desk;
    grpc::reflection::v1::ServerReflectionRequest request;
    request.set_file_by_filename("codec/etcd/rpc.proto");
    EXPECT_EQ(reflect(desk, request).file_descriptor_response().file_descriptor_proto_size(), 3);
}

TEST(Reflection, SaysNotFound) {
    Desk desk;
    grpc::reflection::v1::ServerReflectionRequest request;
    request.set_file_containing_symbol("no.such.Thing");
    EXPECT_EQ(reflect(desk, request).error_response().error_code(), 5);
}

TEST(PeerUrls, AreThoseThatEtcdTakes) {
    for (const char* good : {"http://127.0.0.1:2380", " https://host.example:1 ", "http://[::1]:2380", "unix://x"}) {
        EXPECT_TRUE(are_peer_urls({good})) << good;
    }
    for (const char* bad : {"", "127.0.0.1:2380", "http://host", "http://h:1/path", "ftp://h:1", "http://h:1:2"}) {
        EXPECT_FALSE(are_peer_urls({bad})) << bad;
    }
    EXPECT_FALSE(are_peer_urls({}));
}

TEST(Version, IsReadAsEtcdReadsIt) {
    EXPECT_EQ(parse_version("3.5").value(), (ShortVersion{3, 5}));
    EXPECT_EQ(parse_version("3.5.7-rc.1").value(), (ShortVersion{3, 5}));
    for (const char* bad : {"", "3", "3.", "3.5.", "v3.5", "3.05", "3.5.1x", "a.b"}) {
        EXPECT_FALSE(parse_version(bad).has_value()) << bad;
    }
}

}  // namespace
}  // namespace polis::gateways
