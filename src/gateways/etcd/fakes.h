// Twins for this gateway's tests: a coord that keeps keys in a map, a cluster, a gRPC call and an HTTP exchange in memory.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "gateways/etcd/gateway.h"
#include "runtime/sim_reactor.h"
#include "runtime/wait.h"

namespace polis::gateways::fakes {

using runtime::Task;
using services::Credentials;
using services::Refusal;
using services::Reply;
namespace pb = ::etcdserverpb;

/// A key-value store with revisions, watches and leases, enough for the recipes; everything else answers an empty message.
/// With `refusal` set, every call is refused with it; with `failure`, it fails.
class FakeCoord : public services::Coord {
public:
    std::optional<Refusal> refusal;
    std::optional<Error> failure;
    Duration delay{0};                     // Before each answer.
    std::optional<Refusal> admin_refusal;  // What permit_admin says.
    std::vector<std::string> calls;        // Names of the methods called, in order.
    Credentials last_caller;
    services::CoordStatus state;
    std::map<std::string, mvccpb::KeyValue> keys;
    std::vector<mvccpb::Event> history;
    std::vector<std::pair<Bytes, uint64_t>> snapshot_chunks;
    std::vector<pb::RangeStreamResponse> range_parts;
    int64_t revision = 1;
    int64_t next_lease = 0x1234;
    uint64_t live_streams = 0;

    Task<Reply<pb::RangeResponse>> range(const Credentials& who, pb::RangeRequest request) override;
    Task<Reply<void>> range_stream(const Credentials& who, pb::RangeRequest request,
                                   std::function<Task<void>(pb::RangeStreamResponse)> sink) override;
    Task<Reply<pb::PutResponse>> put(const Credentials& who, pb::PutRequest request) override;
    Task<Reply<pb::DeleteRangeResponse>> delete_range(const Credentials& who, pb::DeleteRangeRequest request) override;
    Task<Reply<pb::TxnResponse>> txn(const Credentials& who, pb::TxnRequest request) override;
    Task<Reply<pb::CompactionResponse>> compact(const Credentials& who, pb::CompactionRequest) override {
        return answer<pb::CompactionResponse>(who, "compact");
    }
    std::unique_ptr<services::WatchStream> watch(const Credentials& who) override;

    Task<Reply<pb::LeaseGrantResponse>> lease_grant(const Credentials& who, pb::LeaseGrantRequest request) override;
    Task<Reply<pb::LeaseRevokeResponse>> lease_revoke(const Credentials& who, pb::LeaseRevokeRequest) override {
        return answer<pb::LeaseRevokeResponse>(who, "lease_revoke");
    }
    Task<Reply<pb::LeaseKeepAliveResponse>> lease_keep_alive(const Credentials& who,
                                                             pb::LeaseKeepAliveRequest request) override;
    Task<Reply<pb::LeaseTimeToLiveResponse>> lease_time_to_live(const Credentials& who,
                                                                pb::LeaseTimeToLiveRequest) override {
        return answer<pb::LeaseTimeToLiveResponse>(who, "lease_time_to_live");
    }
    Task<Reply<pb::LeaseLeasesResponse>> lease_leases(const Credentials& who, pb::LeaseLeasesRequest) override {
        return answer<pb::LeaseLeasesResponse>(who, "lease_leases");
    }

    Task<Reply<pb::AuthEnableResponse>> auth_enable(const Credentials& who) override {
        return answer<pb::AuthEnableResponse>(who, "auth_enable");
    }
    Task<Reply<pb::AuthDisableResponse>> auth_disable(const Credentials& who) override {
        return answer<pb::AuthDisableResponse>(who, "auth_disable");
    }
    Task<Reply<pb::AuthStatusResponse>> auth_status(const Credentials& who) override {
        return answer<pb::AuthStatusResponse>(who, "auth_status");
    }
    Task<Reply<pb::AuthenticateResponse>> authenticate(pb::AuthenticateRequest) override {
        return answer<pb::AuthenticateResponse>({}, "authenticate");
    }
    Task<Reply<pb::AuthUserAddResponse>> user_add(const Credentials& who, pb::AuthUserAddRequest) override {
        return answer<pb::AuthUserAddResponse>(who, "user_add");
    }
    Task<Reply<pb::AuthUserGetResponse>> user_get(const Credentials& who, pb::AuthUserGetRequest) override {
        return answer<pb::AuthUserGetResponse>(who, "user_get");
    }
    Task<Reply<pb::AuthUserListResponse>> user_list(const Credentials& who) override {
        return answer<pb::AuthUserListResponse>(who, "user_list");
    }
    Task<Reply<pb::AuthUserDeleteResponse>> user_delete(const Credentials& who, pb::AuthUserDeleteRequest) override {
        return answer<pb::AuthUserDeleteResponse>(who, "user_delete");
    }
    Task<Reply<pb::AuthUserChangePasswordResponse>> user_change_password(const Credentials& who,
                                                                         pb::AuthUserChangePasswordRequest) override {
        return answer<pb::AuthUserChangePasswordResponse>(who, "user_change_password");
    }
    Task<Reply<pb::AuthUserGrantRoleResponse>> user_grant_role(const Credentials& who,
                                                               pb::AuthUserGrantRoleRequest) override {
        return answer<pb::AuthUserGrantRoleResponse>(who, "user_grant_role");
    }
    Task<Reply<pb::AuthUserRevokeRoleResponse>> user_revoke_role(const Credentials& who,
                                                                 pb::AuthUserRevokeRoleRequest) override {
        return answer<pb::AuthUserRevokeRoleResponse>(who, "user_revoke_role");
    }
    Task<Reply<pb::AuthRoleAddResponse>> role_add(const Credentials& who, pb::AuthRoleAddRequest) override {
        return answer<pb::AuthRoleAddResponse>(who, "role_add");
    }
    Task<Reply<pb::AuthRoleGetResponse>> role_get(const Credentials& who, pb::AuthRoleGetRequest) override {
        return answer<pb::AuthRoleGetResponse>(who, "role_get");
    }
    Task<Reply<pb::AuthRoleListResponse>> role_list(const Credentials& who) override {
        return answer<pb::AuthRoleListResponse>(who, "role_list");
    }
    Task<Reply<pb::AuthRoleDeleteResponse>> role_delete(const Credentials& who, pb::AuthRoleDeleteRequest) override {
        return answer<pb::AuthRoleDeleteResponse>(who, "role_delete");
    }
    Task<Reply<pb::AuthRoleGrantPermissionResponse>> role_grant_permission(
        const Credentials& who, pb::AuthRoleGrantPermissionRequest) override {
        return answer<pb::AuthRoleGrantPermissionResponse>(who, "role_grant_permission");
    }
    Task<Reply<pb::AuthRoleRevokePermissionResponse>> role_revoke_permission(
        const Credentials& who, pb::AuthRoleRevokePermissionRequest) override {
        return answer<pb::AuthRoleRevokePermissionResponse>(who, "role_revoke_permission");
    }

    Task<Reply<pb::AlarmResponse>> alarm(const Credentials& who, pb::AlarmRequest) override {
        return answer<pb::AlarmResponse>(who, "alarm");
    }
    Task<Reply<pb::HashResponse>> hash(const Credentials& who) override {
        return answer<pb::HashResponse>(who, "hash");
    }
    Task<Reply<pb::HashKVResponse>> hash_kv(const Credentials& who, pb::HashKVRequest) override {
        return answer<pb::HashKVResponse>(who, "hash_kv");
    }
    Task<Reply<void>> snapshot(const Credentials& who, services::SnapshotSink sink) override;
    Reply<void> permit_admin(const Credentials&) const override {
        if (admin_refusal) return std::unexpected(*admin_refusal);
        return {};
    }
    services::CoordStatus status() const override { return state; }
    pb::ResponseHeader header() const override;
    void reconfigure(const services::CoordOptions&) override {}
    Task<void> stop() override { co_return runtime::done(); }

    /// A change of the store as a client of another node would make it.
    void put_now(const std::string& key, const std::string& value, int64_t lease = 0);
    void delete_now(const std::string& key);
    runtime::Signal& changed() { return changed_; }

private:
    template <class Message>
    Task<Reply<Message>> answer(Credentials who, std::string name) {
        calls.push_back(std::move(name));
        last_caller = std::move(who);
        if (delay > Duration(0)) CO_TRY(co_await runtime::sleep_for(delay));
        if (failure) co_return std::unexpected(*failure);
        if (refusal) co_return Reply<Message>(std::unexpected(*refusal));
        Message message;
        *message.mutable_header() = header();
        co_return Reply<Message>(std::move(message));
    }
    pb::RangeResponse range_now(const pb::RangeRequest& request) const;

    runtime::Signal changed_;
};

class FakeCluster : public cluster::Cluster {
public:
    std::vector<cluster::Member> all;
    NodeId own{0xa1};
    cluster::GroupStatus group;
    std::optional<Error> failure;  // What every change of the members fails with.
    std::vector<std::string> calls;

    FakeCluster();
    ClusterId id() const override { return ClusterId{0xc1}; }
    NodeId self() const override { return own; }
    std::vector<cluster::Member> members() const override { return all; }
    Task<void> members_barrier() override { return change("members_barrier"); }
    Task<cluster::Member> add_member(std::vector<std::string> peer_urls, bool learner) override;
    Task<void> remove_member(NodeId) override { return change("remove_member"); }
    Task<void> update_member(NodeId, std::vector<std::string>) override { return change("update_member"); }
    Task<void> promote_member(NodeId) override { return change("promote_member"); }
    Task<void> transfer_leadership(NodeId) override { return change("transfer_leadership"); }
    cluster::GroupStatus status(GroupId) const override { return group; }
    uint32_t feature_level() const override { return 1; }

private:
    Task<void> change(std::string name);
};

/// One call: messages put into `arriving` before or while the handler runs; answers in `sent`.
class FakeCall : public rpc::Call {
public:
    explicit FakeCall(std::string name) : name_(std::move(name)) {}
    std::vector<Bytes> sent;
    rpc::Metadata request_metadata;
    runtime::Peer client;
    std::optional<Error> write_failure;

    void arrive(Bytes message) {
        arriving_.push_back(std::move(message));
        changed_.notify_all();
    }
    /// The client has finished sending.
    void finish() {
        finished_ = true;
        changed_.notify_all();
    }

    std::string_view method() const override { return name_; }
    const rpc::Metadata& metadata() const override { return request_metadata; }
    const runtime::Peer& peer() const override { return client; }
    Instant deadline() const override { return Instant::never(); }
    rpc::Metadata& initial_metadata() override { return initial_; }
    rpc::Metadata& trailing_metadata() override { return trailing_; }
    void send_initial_metadata() override {}
    Task<std::optional<Bytes>> read() override;
    Task<void> write(Bytes message) override;
    bool try_write(Bytes) override { return false; }
    size_t buffered_bytes() const override { return 0; }

private:
    std::string name_;
    std::deque<Bytes> arriving_;
    bool finished_ = false;
    runtime::Signal changed_;
    rpc::Metadata initial_, trailing_;
};

/// One HTTP exchange with a whole body, answered into `status`, `headers` and `body`.
class FakeExchange : public rpc::HttpExchange {
public:
    FakeExchange(std::string method, std::string target, std::string body = {});
    rpc::HttpRequest asked;
    int status = 0;
    rpc::Metadata headers;
    std::string body;  // Of the response.
    bool ended = false;

    const rpc::HttpRequest& request() const override { return asked; }
    Task<std::string> read_body(size_t bytes_max) override;
    Task<Bytes> read_piece() override;
    Task<void> respond(int code, rpc::Metadata fields, std::string text) override;
    Task<void> begin(int code, rpc::Metadata fields) override;
    Task<void> write(std::string_view piece) override;
    Task<void> end() override;
    Task<std::unique_ptr<runtime::Stream>> upgrade(rpc::Metadata) override {
        co_return fail(Code::Io, "no upgrade in this twin");
    }

private:
    std::string pending_;  // Of the request's body.
};

/// A gateway over the twins.
struct Desk {
    explicit Desk(EtcdGatewayOptions options = {});
    ~Desk();

    /// Runs one unary call to its end.
    rpc::Outcome call(const std::string& method, const Bytes& request, rpc::Metadata metadata = {});
    /// The same with messages; the outcome must be Ok.
    template <class Response, class Request>
    Response ask(const std::string& method, const Request& request) {
        const rpc::Outcome outcome = call(method, Bytes::take(request.SerializeAsString()));
        Response response;
        ENSURE(outcome.status.ok() && response.ParseFromString(outcome.message.str()));
        return response;
    }
    /// Starts a stream beside the test; `status` is set at its end.
    void start(FakeCall& call, std::optional<rpc::Status>& status);
    /// Runs one exchange to its end.
    void serve(FakeExchange& exchange);
    /// Ends all streams. REQUIRES: called while their calls and statuses live.
    void stop() { ENSURE(runtime::run(reactor, tasks.stop()).has_value()); }
    void settle() { reactor.run_for(std::chrono::milliseconds(1)); }

    runtime::SimReactor reactor{1};
    FakeCoord coord;
    FakeCluster cluster;
    EtcdGateway gateway;
    rpc::Routes routes;
    runtime::TaskGroup tasks;
};

}  // namespace polis::gateways::fakes
