// RangeStream (etcd 3.7): one large range in parts, all of one revision, each read when the one before it has been taken.
#include <algorithm>
#include <utility>

#include "services/coord/coord.h"
#include "services/coord/range_scan.h"
#include "services/coord/request_check.h"

namespace polis::services {

using runtime::Task;

namespace {

constexpr size_t first_chunk_keys = 10;
constexpr size_t chunk_keys_max = 1u << 20;
constexpr size_t records_per_slice = 1000;  // About half a millisecond.

bool is_unsupported(const pb::RangeRequest& request) {
    const bool by_key = request.sort_target() == pb::RangeRequest::KEY;
    const bool ordered = request.sort_order() == pb::RangeRequest::DESCEND ||
                         (request.sort_order() == pb::RangeRequest::ASCEND && !by_key);
    return ordered || filters_by_revision(request);
}

/// Whether the chunk is full with `keys` pairs of `bytes` octets; at least one pair always goes.
bool is_full(const RangeStreamPlace& place, size_t keys, uint64_t bytes) {
    return keys >= place.chunk_keys || (keys > 0 && bytes >= place.chunk_bytes);
}

}  // namespace

bool RangeStreamPlace::wants_pairs() const {
    return !request.count_only() && (request.limit() <= 0 || sent < request.limit());
}

void RangeStreamPlace::adjust(uint64_t bytes) {
    if (bytes < chunk_bytes / 2) chunk_keys = std::min(chunk_keys * 2, chunk_keys_max);
    if (bytes >= chunk_bytes) chunk_keys = std::max<size_t>(chunk_keys / 2, 1);
}

/// Nothing of the store is held while the client takes a part: however slow it is, it costs one part of memory. What the pinned
/// revision needs may be compacted meanwhile; then the stream ends with that, as etcd's does. Keys come in their order: a sort
/// target without an order means nothing here.
Task<Reply<void>> CoordService::range_stream(const Credentials& who, pb::RangeRequest request,
                                             std::function<Task<void>(pb::RangeStreamResponse)> sink) {
    if (const auto checked = check_range(request); !checked) co_return checked;
    if (is_unsupported(request)) co_return Reply<void>(refuse(Refusal::RangeStreamUnsupported));
    CO_LET(const Reply<void> ready, co_await prepare_read(who, request.serializable()));
    if (!ready) co_return ready;
    ++ranges_;
    const int64_t newest = model_.mvcc().visible_revision();
    RangeStreamPlace place;
    place.rest = Interval::of(request.key(), request.range_end());
    place.revision = request.revision() > 0 ? request.revision() : newest;
    place.chunk_keys = first_chunk_keys;
    place.chunk_bytes = options_.request_bytes_max;
    place.request = std::move(request);
    while (!place.ended) {
        CO_LET(Reply<pb::RangeStreamResponse> part, co_await gather_chunk(who, place));
        if (!part) co_return Reply<void>(refuse(part.error()));
        if (place.ended) {
            pb::RangeResponse& response = *part->mutable_range_response();
            response.mutable_header()->set_revision(newest);
            complete(*response.mutable_header());
            response.set_count(place.count);
            response.set_more(!place.request.count_only() && place.count > place.sent);
        }
        CO_TRY(co_await sink(*std::move(part)));
    }
    co_return Reply<void>();
}

/// Reads on from `place` until a part is full and the next key is known, or to the end.
Task<Reply<pb::RangeStreamResponse>> CoordService::gather_chunk(const Credentials& who, RangeStreamPlace& place) {
    using Response = Reply<pb::RangeStreamResponse>;
    // Rights, alarms and history may have changed while the client took its time.
    if (const auto allowed = permit_read(who, place.request); !allowed) co_return Response(refuse(allowed.error()));
    if (model_.alarms().raised(pb::CORRUPT)) co_return Response(refuse(Refusal::Corrupt));
    const Mvcc& mvcc = model_.mvcc();
    if (const auto readable = mvcc.check_readable(place.revision, mvcc.visible_revision()); !readable)
        co_return Response(refuse(readable.error()));

    const std::shared_ptr<const storage::View> view = replica_.store().view();
    const ReaderOf<storage::View> reader(*view);
    VersionWalk walk(reader, place.rest, place.revision);
    pb::RangeStreamResponse part;
    pb::RangeResponse& response = *part.mutable_range_response();
    uint64_t bytes = 0;
    for (size_t looked = 0; !walk.at_end();) {
        if (looked >= records_per_slice) {
            looked = 0;
            CO_TRY(co_await give_way());
        }
        if (!walk.settled()) {
            looked += walk.settle(records_per_slice - looked);
            continue;
        }
        const bool wanted = place.wants_pairs();
        if (wanted && is_full(place, static_cast<size_t>(response.kvs_size()), bytes)) break;
        ++place.count;
        if (wanted) {
            CO_LET(const Version version, walk.version());
            const bool keys_only = place.request.keys_only();
            fill(*response.add_kvs(), walk.key(), version, keys_only);
            bytes += walk.key().size() + (keys_only ? 0 : version.value.size());
            ++place.sent;
        }
        walk.next();
        ++looked;
    }
    CO_TRY(walk.status());
    place.ended = walk.at_end();
    if (!place.ended) place.rest.first = walk.key();
    place.adjust(bytes);
    co_return Response(std::move(part));
}

}  // namespace polis::services
