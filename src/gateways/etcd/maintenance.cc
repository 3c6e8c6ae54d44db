// The Maintenance service.
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <memory>

#include "gateways/etcd/map.h"
#include "gateways/etcd/serve.h"
#include "gateways/etcd/version.h"

namespace polis::gateways {
namespace {

using runtime::Task;
using services::Credentials;

Task<Answer<pb::StatusResponse>> status(Backend& backend, Credentials who, pb::StatusRequest) {
    using Reply = Answer<pb::StatusResponse>;
    const auto known = permit_known(backend, who);
    if (!known) co_return Reply(std::unexpected(status_of(known.error())));

    const services::CoordStatus coord = backend.coord.status();
    const cluster::GroupStatus group = backend.cluster.status(GroupId::Coord);
    pb::StatusResponse response;
    *response.mutable_header() = backend.coord.header();
    response.set_version(std::string(etcd_server_version));
    response.set_dbsize(coord.db_bytes);
    response.set_dbsizeinuse(coord.db_bytes_in_use);
    response.set_dbsizequota(coord.quota_bytes);
    response.set_leader(number_of(group.leader));
    response.set_raftindex(group.committed.value);
    response.set_raftappliedindex(group.applied.value);
    response.set_raftterm(group.ballot.epoch);
    response.set_islearner(backend.admission.is_learner());
    response.set_storageversion(std::string(etcd_storage_version));
    response.mutable_downgradeinfo()->set_enabled(false);
    if (group.leader == NodeId::Nobody) response.add_errors("etcdserver: no leader");
    for (const pb::AlarmMember& alarm : coord.alarms) response.add_errors(alarm_text(alarm));
    co_return response;
}

/// RocksDB compacts by itself: there is no file to shrink, and etcd's operators need an answer, not a pause.
Task<Answer<pb::DefragmentResponse>> defragment(Backend& backend, Credentials who, pb::DefragmentRequest) {
    using Reply = Answer<pb::DefragmentResponse>;
    const auto permitted = backend.coord.permit_admin(who);
    if (!permitted) co_return Reply(std::unexpected(status_of(permitted.error())));
    co_return pb::DefragmentResponse();
}

Task<Answer<pb::MoveLeaderResponse>> move_leader(Backend& backend, Credentials who, pb::MoveLeaderRequest request) {
    using Reply = Answer<pb::MoveLeaderResponse>;
    const auto permitted = backend.coord.permit_admin(who);
    if (!permitted) co_return Reply(std::unexpected(status_of(permitted.error())));
    if (!backend.admission.is_leader()) co_return Reply(std::unexpected(status_of(Complaint::NotLeader)));

    const NodeId target{request.targetid()};
    const std::vector<cluster::Member> members = backend.cluster.members();
    const auto member = std::ranges::find(members, target, &cluster::Member::id);
    if (member == members.end() || member->learner) {
        co_return Reply(std::unexpected(status_of(Complaint::BadLeaderTransferee)));
    }
    auto task = backend.cluster.transfer_leadership(target);
    const Result<void> moved = co_await task;
    if (moved) co_return pb::MoveLeaderResponse();
    switch (moved.error().code) {
        case Code::Invalid: co_return Reply(std::unexpected(status_of(Complaint::BadLeaderTransferee)));
        case Code::Timeout: co_return Reply(std::unexpected(status_of(Complaint::LeaderTransferTimeout)));
        default: co_return Reply(std::unexpected(status_of_error(moved.error())));
    }
}

/// There is no older release of etcd that could open this store, so that every well-formed target is an invalid one. Cancelling
/// what never began succeeds, as it does in etcd.
Task<Answer<pb::DowngradeResponse>> downgrade(Backend& backend, Credentials who, pb::DowngradeRequest request) {
    using Reply = Answer<pb::DowngradeResponse>;
    const auto permitted = backend.coord.permit_admin(who);
    if (!permitted) co_return Reply(std::unexpected(status_of(permitted.error())));
    switch (request.action()) {
        case pb::DowngradeRequest::VALIDATE:
        case pb::DowngradeRequest::ENABLE:
            co_return Reply(
                std::unexpected(status_of(parse_version(request.version()) ? Complaint::DowngradeTargetInvalid
                                                                           : Complaint::DowngradeVersionFormat)));
        case pb::DowngradeRequest::CANCEL: break;
        default: co_return Reply(std::unexpected(status_of(Complaint::UnknownMethod)));
    }
    pb::DowngradeResponse response;
    *response.mutable_header() = backend.coord.header();
    response.set_version(std::string(etcd_cluster_version_short));
    co_return response;
}

/// The running SHA-256 of a snapshot.
class Digest {
public:
    Digest() : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
        ENSURE(context_ != nullptr);
        ENSURE(EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1);
    }
    void update(std::string_view octets) {
        ENSURE(EVP_DigestUpdate(context_.get(), octets.data(), octets.size()) == 1);
    }
    std::string finish() {
        std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
        unsigned size = 0;
        ENSURE(EVP_DigestFinal_ex(context_.get(), digest.data(), &size) == 1);
        return {reinterpret_cast<const char*>(digest.data()), size};
    }

private:
    std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
};

Bytes snapshot_message(std::string_view blob, uint64_t remaining) {
    pb::SnapshotResponse response;
    response.set_remaining_bytes(remaining);
    response.set_blob(blob.data(), blob.size());
    response.set_version(std::string(etcd_storage_version));
    return encode(response);
}

Task<rpc::Status> snapshot(Backend& backend, rpc::Call& call, Credentials who) {
    CO_LET(const std::optional<Bytes> octets, co_await call.read());
    pb::SnapshotRequest request;
    if (!octets || !decode(*octets, request)) co_return status_of(Complaint::UndecodableRequest);

    Digest digest;
    services::SnapshotSink sink = [&call, &digest](Bytes chunk, uint64_t remaining) {
        digest.update(chunk);
        return call.write(snapshot_message(chunk, remaining));
    };
    auto task = backend.coord.snapshot(who, std::move(sink));
    const Answer<void> sent = answer_of(co_await task);
    if (!sent) co_return sent.error();
    CO_TRY(co_await call.write(snapshot_message(digest.finish(), 0)));
    ++backend.counts.snapshots_sent;
    co_return rpc::Status();
}

}  // namespace

void register_maintenance(Backend& backend, rpc::Routes& routes) {
    unary<pb::AlarmRequest>(routes, backend, "/etcdserverpb.Maintenance/Alarm", Effect::Write,
                            [](Backend& b, const Credentials& who, pb::AlarmRequest request) {
                                return b.coord.alarm(who, std::move(request));
                            });
    unary<pb::StatusRequest>(routes, backend, "/etcdserverpb.Maintenance/Status", Effect::Read,
                             [](Backend& b, const Credentials& who, pb::StatusRequest request) {
                                 return status(b, who, std::move(request));
                             });
    unary<pb::DefragmentRequest>(routes, backend, "/etcdserverpb.Maintenance/Defragment", Effect::Read,
                                 [](Backend& b, const Credentials& who, pb::DefragmentRequest request) {
                                     return defragment(b, who, std::move(request));
                                 });
    unary<pb::HashRequest>(routes, backend, "/etcdserverpb.Maintenance/Hash", Effect::Read,
                           [](Backend& b, const Credentials& who, pb::HashRequest) { return b.coord.hash(who); });
    unary<pb::HashKVRequest>(routes, backend, "/etcdserverpb.Maintenance/HashKV", Effect::Read,
                             [](Backend& b, const Credentials& who, pb::HashKVRequest request) {
                                 return b.coord.hash_kv(who, std::move(request));
                             });
    unary<pb::MoveLeaderRequest>(routes, backend, "/etcdserverpb.Maintenance/MoveLeader", Effect::Read,
                                 [](Backend& b, const Credentials& who, pb::MoveLeaderRequest request) {
                                     return move_leader(b, who, std::move(request));
                                 });
    unary<pb::DowngradeRequest>(routes, backend, "/etcdserverpb.Maintenance/Downgrade", Effect::Read,
                                [](Backend& b, const Credentials& who, pb::DowngradeRequest request) {
                                    return downgrade(b, who, std::move(request));
                                });
    stream(routes, backend, "/etcdserverpb.Maintenance/Snapshot", true, snapshot);
}

}  // namespace polis::gateways
