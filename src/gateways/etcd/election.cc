// The election service: whoever's key in the queue is oldest leads, and its value is what it proclaims.
#include "codec/etcd/election.pb.h"
#include "gateways/etcd/recipe.h"
#include "gateways/etcd/serve.h"

namespace polis::gateways {
namespace {

using runtime::Task;
using services::Credentials;

QueuePlace place_of(const v3electionpb::LeaderKey& leader) {
    return {.key = leader.key(), .create_revision = leader.rev(), .lease = leader.lease()};
}

/// Joins the queue with `value`, or finds the lease's place in it.
pb::TxnRequest join_request(const QueuePlace& place, const std::string& value) {
    pb::TxnRequest request;
    *request.add_compare() = created_at(place.key, 0);
    pb::PutRequest& put = *request.add_success()->mutable_request_put();
    put.set_key(place.key);
    put.set_value(value);
    put.set_lease(place.lease);
    request.add_failure()->mutable_request_range()->set_key(place.key);
    return request;
}

/// Gives the place a new value. Errors: ElectionNotLeader if it is not in the queue any more.
Task<Answer<pb::ResponseHeader>> announce(Backend& backend, Credentials who, QueuePlace place, std::string value) {
    using Reply = Answer<pb::ResponseHeader>;
    pb::TxnRequest request;
    *request.add_compare() = created_at(place.key, place.create_revision);
    pb::PutRequest& put = *request.add_success()->mutable_request_put();
    put.set_key(place.key);
    put.set_value(value);
    put.set_lease(place.lease);
    auto task = backend.coord.txn(who, std::move(request));
    const auto answer = answer_of(co_await task);
    if (!answer) co_return Reply(std::unexpected(answer.error()));
    if (!answer->succeeded()) co_return Reply(std::unexpected(status_of(Complaint::ElectionNotLeader)));
    co_return Reply(answer->header());
}

Task<Answer<v3electionpb::CampaignResponse>> campaign(Backend& backend, Credentials who,
                                                      v3electionpb::CampaignRequest request) {
    using Reply = Answer<v3electionpb::CampaignResponse>;
    auto granting = session_lease(backend, who, request.lease());
    const Answer<int64_t> lease = answer_of(co_await granting);
    if (!lease) co_return Reply(std::unexpected(through_client(lease.error())));

    QueuePlace place{.key = queue_key(request.name(), *lease), .create_revision = 0, .lease = *lease};
    auto joining = backend.coord.txn(who, join_request(place, request.value()));
    const auto joined = answer_of(co_await joining);
    if (!joined) co_return Reply(std::unexpected(through_client(joined.error())));
    place.create_revision = joined->header().revision();
    if (!joined->succeeded()) {
        ENSURE(joined->responses_size() == 1 && joined->responses(0).response_range().kvs_size() == 1);
        const mvccpb::KeyValue& own = joined->responses(0).response_range().kvs(0);
        place.create_revision = own.create_revision();
        if (own.value() != request.value()) {
            auto announcing = announce(backend, who, place, request.value());
            const Answer<pb::ResponseHeader> announced = answer_of(co_await announcing);
            if (!announced) {
                leave_queue_later(backend, who, place);
                co_return Reply(std::unexpected(through_client(announced.error())));
            }
        }
    }

    auto waiting = wait_for_turn(backend, who, queue_prefix(request.name()), place.create_revision);
    const Answer<void> turn = answer_of(co_await waiting);
    if (!turn) {
        // A client that is still there keeps its place and may campaign again; one that has gone must not win later.
        const runtime::Context here = co_await runtime::this_context();
        if (here.scope->canceled()) leave_queue_later(backend, who, place);
        co_return Reply(std::unexpected(through_client(turn.error())));
    }
    v3electionpb::CampaignResponse response;
    *response.mutable_header() = joined->header();
    v3electionpb::LeaderKey& leader = *response.mutable_leader();
    leader.set_name(request.name());
    leader.set_key(place.key);
    leader.set_rev(place.create_revision);
    leader.set_lease(place.lease);
    co_return response;
}

Task<Answer<v3electionpb::ProclaimResponse>> proclaim(Backend& backend, Credentials who,
                                                      v3electionpb::ProclaimRequest request) {
    using Reply = Answer<v3electionpb::ProclaimResponse>;
    if (!request.has_leader()) co_return Reply(std::unexpected(status_of(Complaint::LeaderFieldMissing)));
    auto task = announce(backend, who, place_of(request.leader()), request.value());
    const Answer<pb::ResponseHeader> announced = answer_of(co_await task);
    if (!announced) co_return Reply(std::unexpected(through_client(announced.error())));
    v3electionpb::ProclaimResponse response;
    *response.mutable_header() = *announced;
    co_return response;
}

Task<Answer<v3electionpb::ResignResponse>> resign(Backend& backend, Credentials who,
                                                  v3electionpb::ResignRequest request) {
    using Reply = Answer<v3electionpb::ResignResponse>;
    if (!request.has_leader()) co_return Reply(std::unexpected(status_of(Complaint::LeaderFieldMissing)));
    auto task = leave_queue(backend, who, place_of(request.leader()));
    const auto left = answer_of(co_await task);
    if (!left) co_return Reply(std::unexpected(through_client(left.error())));
    v3electionpb::ResignResponse response;
    *response.mutable_header() = left->header();
    co_return response;
}

Task<Answer<v3electionpb::LeaderResponse>> leader(Backend& backend, Credentials who,
                                                  v3electionpb::LeaderRequest request) {
    using Reply = Answer<v3electionpb::LeaderResponse>;
    auto task = backend.coord.range(who, first_in_queue(request.name()));
    const auto first = answer_of(co_await task);
    if (!first) co_return Reply(std::unexpected(through_client(first.error())));
    if (first->kvs().empty()) co_return Reply(std::unexpected(status_of(Complaint::ElectionNoLeader)));
    v3electionpb::LeaderResponse response;
    *response.mutable_header() = first->header();
    *response.mutable_kv() = first->kvs(0);
    co_return response;
}

Bytes leader_message(const pb::ResponseHeader& header, const mvccpb::KeyValue& kv) {
    v3electionpb::LeaderResponse response;
    *response.mutable_header() = header;
    *response.mutable_kv() = kv;
    return encode(response);
}

/// The leader's key as it is now, or the first one put after now. Errors: what ends a read or a watch.
Task<Answer<v3electionpb::LeaderResponse>> next_leader(Backend& backend, Credentials who, std::string name) {
    using Reply = Answer<v3electionpb::LeaderResponse>;
    auto task = backend.coord.range(who, first_in_queue(name));
    const auto first = answer_of(co_await task);
    if (!first) co_return Reply(std::unexpected(first.error()));
    v3electionpb::LeaderResponse found;
    *found.mutable_header() = first->header();
    if (!first->kvs().empty()) {
        *found.mutable_kv() = first->kvs(0);
        co_return found;
    }
    const std::string prefix = queue_prefix(name);
    EventReader reader(backend, who, prefix, prefix_end(prefix), first->header().revision());
    for (;;) {
        auto reading = reader.next();
        const Answer<EventReader::Batch> batch = answer_of(co_await reading);
        if (!batch) co_return Reply(std::unexpected(batch.error()));
        for (const mvccpb::Event& event : batch->events) {
            if (event.type() != mvccpb::Event::PUT) continue;
            *found.mutable_header() = batch->header;
            // A batch may span revisions; what follows is watched from this key's own.
            found.mutable_header()->set_revision(event.kv().mod_revision());
            *found.mutable_kv() = event.kv();
            co_return found;
        }
    }
}

/// Sends every value that the leader of `found` proclaims, until its key is deleted.
Task<Answer<void>> follow_leader(Backend& backend, rpc::Call& call, Credentials who,
                                 v3electionpb::LeaderResponse found) {
    EventReader reader(backend, who, found.kv().key(), {}, found.header().revision() + 1);
    for (;;) {
        auto reading = reader.next();
        const Answer<EventReader::Batch> batch = answer_of(co_await reading);
        if (!batch) co_return Answer<void>(std::unexpected(batch.error()));
        for (const mvccpb::Event& event : batch->events) {
            if (event.type() == mvccpb::Event::DELETE) co_return Answer<void>();
            CO_TRY(co_await call.write(leader_message(batch->header, event.kv())));
        }
    }
}

/// Tells of every leader and of what it proclaims. May skip values of a leader that has lost, never the newest.
Task<rpc::Status> observe(Backend& backend, rpc::Call& call, Credentials who) {
    CO_LET(const std::optional<Bytes> octets, co_await call.read());
    v3electionpb::LeaderRequest request;
    if (!octets || !decode(*octets, request)) co_return status_of(Complaint::UndecodableRequest);
    for (;;) {
        auto finding = next_leader(backend, who, request.name());
        const auto found = answer_of(co_await finding);
        // etcd ends the stream without an error when its watch or its read is disrupted: clients observe again.
        if (!found) co_return found.error().code == rpc::StatusCode::Cancelled ? found.error() : rpc::Status();
        CO_TRY(co_await call.write(leader_message(found->header(), found->kv())));
        auto following = follow_leader(backend, call, who, *found);
        const Answer<void> followed = answer_of(co_await following);
        if (!followed) co_return followed.error().code == rpc::StatusCode::Cancelled ? followed.error() : rpc::Status();
    }
}

}  // namespace

void register_election(Backend& backend, rpc::Routes& routes) {
    unary<v3electionpb::CampaignRequest>(routes, backend, "/v3electionpb.Election/Campaign", Effect::WriteAndWait,
                                         [](Backend& b, const Credentials& who, v3electionpb::CampaignRequest request) {
                                             return campaign(b, who, std::move(request));
                                         });
    unary<v3electionpb::ProclaimRequest>(routes, backend, "/v3electionpb.Election/Proclaim", Effect::Write,
                                         [](Backend& b, const Credentials& who, v3electionpb::ProclaimRequest request) {
                                             return proclaim(b, who, std::move(request));
                                         });
    unary<v3electionpb::ResignRequest>(routes, backend, "/v3electionpb.Election/Resign", Effect::Write,
                                       [](Backend& b, const Credentials& who, v3electionpb::ResignRequest request) {
                                           return resign(b, who, std::move(request));
                                       });
    unary<v3electionpb::LeaderRequest>(routes, backend, "/v3electionpb.Election/Leader", Effect::Read,
                                       [](Backend& b, const Credentials& who, v3electionpb::LeaderRequest request) {
                                           return leader(b, who, std::move(request));
                                       });
    stream(routes, backend, "/v3electionpb.Election/Observe", false, observe);
}

}  // namespace polis::gateways
