// The Cluster service: who the members are, and changing that.
#include "gateways/etcd/map.h"
#include "gateways/etcd/serve.h"

namespace polis::gateways {
namespace {

using runtime::Task;
using services::Credentials;
using services::Refusal;

/// etcd's member answers say where they come from but not at which revision.
void fill_header(Backend& backend, pb::ResponseHeader& header) {
    header = backend.coord.header();
    header.clear_revision();
}

/// What a failing change of the members is called. The codes are those that cluster/api.h names; `invalid` and `stale` are what they
/// mean for the change at hand.
rpc::Status member_status(Backend& backend, const Error& error, Complaint invalid) {
    switch (error.code) {
        case Code::Invalid: return status_of(invalid);
        case Code::Exists: return status_of(Complaint::PeerUrlExists);
        case Code::NotFound: return status_of(Complaint::MemberNotFound);
        case Code::Stale: return status_of(Complaint::LearnerNotReady);
        case Code::Unavailable:
            return status_of(backend.admission.has_leader() ? Complaint::NotEnoughStartedMembers : Complaint::NoLeader);
        default: return status_of_error(error);
    }
}

template <class Response>
Answer<Response> member_list(Backend& backend) {
    Response response;
    fill_header(backend, *response.mutable_header());
    *response.mutable_members() = to_wire(backend.cluster.members());
    return response;
}

template <class Urls>
std::vector<std::string> urls_of(const Urls& urls) {
    return {urls.begin(), urls.end()};
}

Task<Answer<pb::MemberAddResponse>> add(Backend& backend, Credentials who, pb::MemberAddRequest request) {
    using Reply = Answer<pb::MemberAddResponse>;
    const std::vector<std::string> urls = urls_of(request.peerurls());
    if (!are_peer_urls(urls)) co_return Reply(std::unexpected(status_of(Complaint::MemberUrlsInvalid)));
    const auto permitted = backend.coord.permit_admin(who);
    if (!permitted) co_return Reply(std::unexpected(status_of(permitted.error())));
    auto task = backend.cluster.add_member(urls, request.islearner());
    const Result<cluster::Member> added = co_await task;
    if (!added) {
        if (added.error().code == Code::Stale) co_return Reply(std::unexpected(status_of(Complaint::UnhealthyCluster)));
        const Complaint invalid = request.islearner() ? Complaint::TooManyLearners : Complaint::MemberUrlsInvalid;
        co_return Reply(std::unexpected(member_status(backend, added.error(), invalid)));
    }
    Reply answer = member_list<pb::MemberAddResponse>(backend);
    *answer->mutable_member() = to_wire(*added);
    co_return answer;
}

Task<Answer<pb::MemberRemoveResponse>> remove(Backend& backend, Credentials who, pb::MemberRemoveRequest request) {
    using Reply = Answer<pb::MemberRemoveResponse>;
    const auto permitted = backend.coord.permit_admin(who);
    if (!permitted) co_return Reply(std::unexpected(status_of(permitted.error())));
    auto task = backend.cluster.remove_member(NodeId{request.id()});
    const Result<void> removed = co_await task;
    if (!removed) {
        co_return Reply(std::unexpected(member_status(backend, removed.error(), Complaint::NotEnoughStartedMembers)));
    }
    co_return member_list<pb::MemberRemoveResponse>(backend);
}

Task<Answer<pb::MemberUpdateResponse>> update(Backend& backend, Credentials who, pb::MemberUpdateRequest request) {
    using Reply = Answer<pb::MemberUpdateResponse>;
    const std::vector<std::string> urls = urls_of(request.peerurls());
    if (!are_peer_urls(urls)) co_return Reply(std::unexpected(status_of(Complaint::MemberUrlsInvalid)));
    const auto permitted = backend.coord.permit_admin(who);
    if (!permitted) co_return Reply(std::unexpected(status_of(permitted.error())));
    auto task = backend.cluster.update_member(NodeId{request.id()}, urls);
    const Result<void> updated = co_await task;
    if (!updated) {
        co_return Reply(std::unexpected(member_status(backend, updated.error(), Complaint::MemberUrlsInvalid)));
    }
    co_return member_list<pb::MemberUpdateResponse>(backend);
}

Task<Answer<pb::MemberPromoteResponse>> promote(Backend& backend, Credentials who, pb::MemberPromoteRequest request) {
    using Reply = Answer<pb::MemberPromoteResponse>;
    const auto permitted = backend.coord.permit_admin(who);
    if (!permitted) co_return Reply(std::unexpected(status_of(permitted.error())));
    auto task = backend.cluster.promote_member(NodeId{request.id()});
    const Result<void> promoted = co_await task;
    if (!promoted) {
        co_return Reply(std::unexpected(member_status(backend, promoted.error(), Complaint::MemberNotLearner)));
    }
    co_return member_list<pb::MemberPromoteResponse>(backend);
}

Task<Answer<pb::MemberListResponse>> list(Backend& backend, Credentials who, pb::MemberListRequest request) {
    using Reply = Answer<pb::MemberListResponse>;
    if (request.linearizable()) {
        auto task = backend.cluster.members_barrier();
        const Result<void> current = co_await task;
        if (!current) co_return Reply(std::unexpected(status_of_error(current.error())));
    }
    const auto known = permit_known(backend, who);
    if (!known) co_return Reply(std::unexpected(status_of(known.error())));
    co_return member_list<pb::MemberListResponse>(backend);
}

}  // namespace

void register_cluster(Backend& backend, rpc::Routes& routes) {
    unary<pb::MemberAddRequest>(routes, backend, "/etcdserverpb.Cluster/MemberAdd", Effect::Write,
                                [](Backend& b, const Credentials& who, pb::MemberAddRequest request) {
                                    return add(b, who, std::move(request));
                                });
    unary<pb::MemberRemoveRequest>(routes, backend, "/etcdserverpb.Cluster/MemberRemove", Effect::Write,
                                   [](Backend& b, const Credentials& who, pb::MemberRemoveRequest request) {
                                       return remove(b, who, std::move(request));
                                   });
    unary<pb::MemberUpdateRequest>(routes, backend, "/etcdserverpb.Cluster/MemberUpdate", Effect::Write,
                                   [](Backend& b, const Credentials& who, pb::MemberUpdateRequest request) {
                                       return update(b, who, std::move(request));
                                   });
    unary<pb::MemberListRequest>(routes, backend, "/etcdserverpb.Cluster/MemberList", Effect::Read,
                                 [](Backend& b, const Credentials& who, pb::MemberListRequest request) {
                                     return list(b, who, std::move(request));
                                 });
    unary<pb::MemberPromoteRequest>(routes, backend, "/etcdserverpb.Cluster/MemberPromote", Effect::Write,
                                    [](Backend& b, const Credentials& who, pb::MemberPromoteRequest request) {
                                        return promote(b, who, std::move(request));
                                    });
}

}  // namespace polis::gateways
