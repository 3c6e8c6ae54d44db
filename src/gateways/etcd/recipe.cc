#include "gateways/etcd/recipe.h"

#include <google/protobuf/io/coded_stream.h>

#include <cinttypes>
#include <cstdio>

namespace polis::gateways {
namespace {

using runtime::Task;
using services::Credentials;

constexpr int64_t session_ttl_seconds = 60;

Task<void> forget(Backend& backend, Credentials who, QueuePlace place) {
    auto leaving = leave_queue(backend, std::move(who), std::move(place));
    auto left = co_await with_deadline(backend.world.reactor.now() + backend.request_timeout(), std::move(leaving));
    if (!left) co_return std::unexpected(left.error());
    if (!*left) co_return fail(Code::Unknown, "a queue place could not be given back: " + left->error().message);
    co_return runtime::done();
}

/// The newest key with that prefix that was made at `revision_max` or before.
pb::RangeRequest last_before(std::string_view prefix, int64_t revision_max) {
    pb::RangeRequest request;
    request.set_key(std::string(prefix));
    request.set_range_end(prefix_end(prefix));
    request.set_sort_target(pb::RangeRequest::CREATE);
    request.set_sort_order(pb::RangeRequest::DESCEND);
    request.set_limit(1);
    request.set_max_create_revision(revision_max);
    return request;
}

Task<Answer<void>> wait_for_delete(Backend& backend, Credentials who, std::string key, int64_t start_revision) {
    EventReader reader(backend, who, key, {}, start_revision);
    for (;;) {
        auto reading = reader.next();
        const Answer<EventReader::Batch> batch = answer_of(co_await reading);
        if (!batch) co_return Answer<void>(std::unexpected(batch.error()));
        for (const mvccpb::Event& event : batch->events) {
            if (event.type() == mvccpb::Event::DELETE) co_return Answer<void>();
        }
    }
}

}  // namespace

std::string queue_prefix(std::string_view name) { return std::string(name) + '/'; }

std::string prefix_end(std::string_view prefix) {
    ENSURE(!prefix.empty() && prefix.back() == '/');
    std::string end(prefix);
    ++end.back();
    return end;
}

std::string queue_key(std::string_view name, int64_t lease) {
    const uint64_t magnitude = lease < 0 ? 0 - static_cast<uint64_t>(lease) : static_cast<uint64_t>(lease);
    char hex[20];
    std::snprintf(hex, sizeof hex, "%s%" PRIx64, lease < 0 ? "-" : "", magnitude);
    return queue_prefix(name) + hex;
}

Task<Answer<int64_t>> session_lease(Backend& backend, Credentials who, int64_t lease) {
    if (lease != 0) co_return Answer<int64_t>(lease);
    pb::LeaseGrantRequest request;
    request.set_ttl(session_ttl_seconds);
    auto task = backend.coord.lease_grant(who, std::move(request));
    const auto granted = answer_of(co_await task);
    if (!granted) co_return Answer<int64_t>(std::unexpected(granted.error()));
    co_return Answer<int64_t>(granted->id());
}

Task<Answer<void>> wait_for_turn(Backend& backend, Credentials who, std::string prefix, int64_t create_revision) {
    for (;;) {
        auto task = backend.coord.range(who, last_before(prefix, create_revision - 1));
        const auto range = answer_of(co_await task);
        if (!range) co_return Answer<void>(std::unexpected(range.error()));
        if (range->kvs().empty()) co_return Answer<void>();
        auto waiting = wait_for_delete(backend, who, range->kvs(0).key(), range->header().revision());
        const Answer<void> deleted = answer_of(co_await waiting);
        if (!deleted) co_return deleted;
    }
}

Task<Answer<pb::TxnResponse>> leave_queue(Backend& backend, Credentials who, QueuePlace place) {
    pb::TxnRequest request;
    *request.add_compare() = created_at(place.key, place.create_revision);
    request.add_success()->mutable_request_delete_range()->set_key(place.key);
    auto task = backend.coord.txn(who, std::move(request));
    co_return answer_of(co_await task);
}

void leave_queue_later(Backend& backend, Credentials who, QueuePlace place) {
    backend.cleanups.spawn("etcd_leave_queue", forget(backend, std::move(who), std::move(place)));
}

pb::RangeRequest first_in_queue(std::string_view name) {
    pb::RangeRequest request;
    request.set_key(queue_prefix(name));
    request.set_range_end(prefix_end(request.key()));
    request.set_sort_target(pb::RangeRequest::CREATE);
    request.set_sort_order(pb::RangeRequest::ASCEND);
    request.set_limit(1);
    return request;
}

EventReader::EventReader(Backend& backend, const Credentials& who, std::string_view key, std::string_view range_end,
                         int64_t start_revision)
    : backend_(backend), stream_(backend.coord.watch(who)) {
    ENSURE(start_revision >= 1);
    pb::WatchRequest request;
    pb::WatchCreateRequest& create = *request.mutable_create_request();
    create.set_key(std::string(key));
    create.set_range_end(std::string(range_end));
    create.set_start_revision(start_revision);
    stream_->request(request);
}

Task<Answer<EventReader::Batch>> EventReader::next() {
    for (;;) {
        auto task = stream_->next();
        const Result<services::WatchMessage> message = co_await task;
        if (!message) co_return Answer<Batch>(std::unexpected(status_of_error(message.error())));
        const pb::WatchResponse& head = message->head;
        if (head.compact_revision() != 0) {
            co_return Answer<Batch>(std::unexpected(status_of(services::Refusal::Compacted)));
        }
        if (head.canceled()) {
            co_return Answer<Batch>(std::unexpected(
                head.cancel_reason().empty() ? status_of(services::Refusal::FutureRevision)
                                             : rpc::Status{rpc::StatusCode::Unknown, head.cancel_reason(), {}}));
        }
        if (message->events.empty()) continue;
        // An encoded event with its tag is the encoding of a response that holds nothing else.
        pb::WatchResponse response;
        for (const Bytes& event : message->events) {
            google::protobuf::io::CodedInputStream input(reinterpret_cast<const uint8_t*>(event.data()),
                                                         static_cast<int>(event.size()));
            ENSURE(response.MergeFromCodedStream(&input));
        }
        Batch batch;
        batch.header = backend_.coord.header();
        batch.header.set_revision(head.header().revision());
        batch.events = {response.events().begin(), response.events().end()};
        co_return Answer<Batch>(std::move(batch));
    }
}

rpc::Status through_client(rpc::Status status) {
    // What may succeed when tried again keeps its code: it is what retrying clients look at.
    if (status.code != rpc::StatusCode::Unavailable && status.code != rpc::StatusCode::Cancelled) {
        status.code = rpc::StatusCode::Unknown;
    }
    return status;
}

pb::Compare created_at(std::string_view key, int64_t revision) {
    pb::Compare compare;
    compare.set_target(pb::Compare::CREATE);
    compare.set_result(pb::Compare::EQUAL);
    compare.set_key(std::string(key));
    compare.set_create_revision(revision);
    return compare;
}

}  // namespace polis::gateways
