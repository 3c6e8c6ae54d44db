// RangeStream (etcd 3.7): one large range in parts, all of one revision.
#include <algorithm>
#include <utility>

#include "services/coord/coord.h"
#include "services/coord/range_scan.h"
#include "services/coord/request_check.h"

namespace polis::services {

using runtime::Task;

namespace {

constexpr size_t first_chunk_keys = 10;

bool is_unsupported(const pb::RangeRequest& request) {
    const bool by_key = request.sort_target() == pb::RangeRequest::KEY;
    const bool ordered = request.sort_order() == pb::RangeRequest::DESCEND ||
                         (request.sort_order() == pb::RangeRequest::ASCEND && !by_key);
    return ordered || filters_by_revision(request);
}

}  // namespace

/// The whole answer is gathered in slices first, then sent in parts that grow or shrink towards `request_bytes_max`.
Task<Reply<void>> CoordService::range_stream(const Credentials& who, pb::RangeRequest request,
                                             std::function<Task<void>(pb::RangeStreamResponse)> sink) {
    if (const auto checked = check_range(request); !checked) co_return checked;
    if (is_unsupported(request)) co_return Reply<void>(refuse(Refusal::RangeStreamUnsupported));
    CO_LET(Reply<pb::RangeResponse> whole, co_await range(who, std::move(request)));
    if (!whole) co_return Reply<void>(refuse(whole.error()));

    auto& pairs = *whole->mutable_kvs();
    size_t chunk_keys = first_chunk_keys;
    int at = 0;
    do {
        pb::RangeStreamResponse part;
        uint64_t bytes = 0;
        auto& response = *part.mutable_range_response();
        for (size_t count = 0; at < pairs.size() && count < chunk_keys && bytes < options_.request_bytes_max; ++count) {
            bytes += pairs[at].ByteSizeLong();
            response.add_kvs()->Swap(&pairs[at++]);
        }
        if (bytes < options_.request_bytes_max / 2) chunk_keys *= 2;
        if (bytes >= options_.request_bytes_max) chunk_keys = std::max<size_t>(chunk_keys / 2, 1);
        if (at == pairs.size()) {
            *response.mutable_header() = whole->header();
            response.set_more(whole->more());
            response.set_count(whole->count());
        }
        CO_TRY(co_await sink(std::move(part)));
    } while (at < pairs.size());
    co_return Reply<void>();
}

}  // namespace polis::services
