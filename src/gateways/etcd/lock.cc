// The lock service: whoever's key in the queue is oldest holds the lock.
#include "codec/etcd/lock.pb.h"
#include "gateways/etcd/recipe.h"
#include "gateways/etcd/serve.h"

namespace polis::gateways {
namespace {

using runtime::Task;
using services::Credentials;

/// Joins the queue, or finds the lease's place in it, and reads who is first.
pb::TxnRequest join_request(std::string_view name, const std::string& key, int64_t lease) {
    pb::TxnRequest request;
    *request.add_compare() = created_at(key, 0);
    pb::PutRequest& put = *request.add_success()->mutable_request_put();
    put.set_key(key);
    put.set_lease(lease);
    *request.add_success()->mutable_request_range() = first_in_queue(name);
    request.add_failure()->mutable_request_range()->set_key(key);
    *request.add_failure()->mutable_request_range() = first_in_queue(name);
    return request;
}

/// Waits for the turn of `place`, and makes sure that its lease has lived to see it.
Task<Answer<pb::ResponseHeader>> win(Backend& backend, Credentials who, std::string name, QueuePlace place) {
    using Reply = Answer<pb::ResponseHeader>;
    auto waiting = wait_for_turn(backend, who, queue_prefix(name), place.create_revision);
    const Answer<void> turn = answer_of(co_await waiting);
    if (!turn) {
        leave_queue_later(backend, who, place);
        co_return Reply(std::unexpected(turn.error()));
    }
    pb::RangeRequest own;
    own.set_key(place.key);
    auto reading = backend.coord.range(who, std::move(own));
    const auto still = answer_of(co_await reading);
    if (!still) {
        leave_queue_later(backend, who, place);
        co_return Reply(std::unexpected(still.error()));
    }
    if (still->kvs().empty()) co_return Reply(std::unexpected(status_of(Complaint::LockSessionExpired)));
    co_return Reply(still->header());
}

Task<Answer<v3lockpb::LockResponse>> lock(Backend& backend, Credentials who, v3lockpb::LockRequest request) {
    using Reply = Answer<v3lockpb::LockResponse>;
    auto granting = session_lease(backend, who, request.lease());
    const Answer<int64_t> lease = answer_of(co_await granting);
    if (!lease) co_return Reply(std::unexpected(through_client(lease.error())));

    QueuePlace place{.key = queue_key(request.name(), *lease), .create_revision = 0, .lease = *lease};
    auto joining = backend.coord.txn(who, join_request(request.name(), place.key, *lease));
    const auto joined = answer_of(co_await joining);
    if (!joined) co_return Reply(std::unexpected(through_client(joined.error())));
    ENSURE(joined->responses_size() == 2);
    place.create_revision = joined->header().revision();
    if (!joined->succeeded()) {
        ENSURE(joined->responses(0).response_range().kvs_size() == 1);
        place.create_revision = joined->responses(0).response_range().kvs(0).create_revision();
    }

    v3lockpb::LockResponse response;
    response.set_key(place.key);
    const pb::RangeResponse& first = joined->responses(1).response_range();
    if (first.kvs().empty() || first.kvs(0).create_revision() == place.create_revision) {
        *response.mutable_header() = joined->header();
        co_return response;
    }
    auto winning = win(backend, who, request.name(), place);
    const Answer<pb::ResponseHeader> won = answer_of(co_await winning);
    if (!won) co_return Reply(std::unexpected(through_client(won.error())));
    *response.mutable_header() = *won;
    co_return response;
}

Task<Answer<v3lockpb::UnlockResponse>> unlock(Backend& backend, Credentials who, v3lockpb::UnlockRequest request) {
    using Reply = Answer<v3lockpb::UnlockResponse>;
    pb::DeleteRangeRequest removal;
    removal.set_key(request.key());
    auto task = backend.coord.delete_range(who, std::move(removal));
    const auto removed = answer_of(co_await task);
    if (!removed) co_return Reply(std::unexpected(through_client(removed.error())));
    v3lockpb::UnlockResponse response;
    *response.mutable_header() = removed->header();
    co_return response;
}

}  // namespace

void register_lock(Backend& backend, rpc::Routes& routes) {
    unary<v3lockpb::LockRequest>(routes, backend, "/v3lockpb.Lock/Lock", Effect::WriteAndWait,
                                 [](Backend& b, const Credentials& who, v3lockpb::LockRequest request) {
                                     return lock(b, who, std::move(request));
                                 });
    unary<v3lockpb::UnlockRequest>(routes, backend, "/v3lockpb.Lock/Unlock", Effect::Write,
                                   [](Backend& b, const Credentials& who, v3lockpb::UnlockRequest request) {
                                       return unlock(b, who, std::move(request));
                                   });
}

}  // namespace polis::gateways
