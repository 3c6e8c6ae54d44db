#include "services/coord/range_scan.h"

#include <algorithm>
#include <compare>
#include <utility>

#include "base/ensure.h"

namespace polis::services {

namespace pb = ::etcdserverpb;

namespace {

bool passes_filters(const pb::RangeRequest& request, const Version& version) {
    const int64_t modified = version.revision.main;
    const int64_t created = version.create_revision;
    return (request.min_mod_revision() == 0 || modified >= request.min_mod_revision()) &&
           (request.max_mod_revision() == 0 || modified <= request.max_mod_revision()) &&
           (request.min_create_revision() == 0 || created >= request.min_create_revision()) &&
           (request.max_create_revision() == 0 || created <= request.max_create_revision());
}

pb::RangeRequest::SortOrder order_of(const pb::RangeRequest& request) {
    const bool other_target = request.sort_target() != pb::RangeRequest::KEY;
    if (request.sort_order() == pb::RangeRequest::NONE && other_target) return pb::RangeRequest::ASCEND;
    return request.sort_order();
}

/// How many pairs to gather before sorting; 0: all.
size_t gathered_max(const pb::RangeRequest& request) {
    if (request.limit() <= 0) return 0;
    if (request.sort_order() != pb::RangeRequest::NONE || filters_by_revision(request)) return 0;
    return static_cast<size_t>(request.limit()) + 1;  // One more, to know whether there is more.
}

bool is_less(const mvccpb::KeyValue& a, const mvccpb::KeyValue& b, pb::RangeRequest::SortTarget target) {
    switch (target) {
        case pb::RangeRequest::VERSION: return a.version() < b.version();
        case pb::RangeRequest::CREATE: return a.create_revision() < b.create_revision();
        case pb::RangeRequest::MOD: return a.mod_revision() < b.mod_revision();
        case pb::RangeRequest::VALUE: return a.value() < b.value();
        default: return a.key() < b.key();
    }
}

}  // namespace

bool filters_by_revision(const pb::RangeRequest& request) {
    return request.min_mod_revision() != 0 || request.max_mod_revision() != 0 || request.min_create_revision() != 0 ||
           request.max_create_revision() != 0;
}

RangeAnswer::RangeAnswer(const pb::RangeRequest& request)
    : request_(request),
      needs_value_(!request.keys_only() || request.sort_target() == pb::RangeRequest::VALUE),
      kept_max_(gathered_max(request)) {}

bool RangeAnswer::wants_next() {
    response_.set_count(response_.count() + 1);
    return !request_.count_only() && !is_full();
}

void RangeAnswer::add(std::string_view key, const Version& version) {
    if (!passes_filters(request_, version)) return;
    bytes_ += key.size() + version.value.size();
    fill(*response_.add_kvs(), key, version, !needs_value_);
}

bool RangeAnswer::is_full() const { return kept_max_ != 0 && static_cast<size_t>(response_.kvs_size()) >= kept_max_; }

void RangeAnswer::sort() {
    const auto order = order_of(request_);
    auto& pairs = *response_.mutable_kvs();
    if (order == pb::RangeRequest::NONE) return;
    const auto target = request_.sort_target();
    if (order == pb::RangeRequest::ASCEND && target == pb::RangeRequest::KEY) return;  // They come by key.
    const bool descending = order == pb::RangeRequest::DESCEND;
    // Among equals the key decides, so that every node gives the same order.
    std::sort(pairs.pointer_begin(), pairs.pointer_end(), [&](const auto* a, const auto* b) {
        if (is_less(*a, *b, target)) return !descending;
        if (is_less(*b, *a, target)) return descending;
        return a->key() < b->key();
    });
}

pb::RangeResponse RangeAnswer::take() {
    sort();
    auto& pairs = *response_.mutable_kvs();
    if (request_.limit() > 0 && pairs.size() > request_.limit()) {
        pairs.DeleteSubrange(static_cast<int>(request_.limit()), pairs.size() - static_cast<int>(request_.limit()));
        response_.set_more(true);
    }
    if (request_.keys_only() && request_.sort_target() == pb::RangeRequest::VALUE)
        for (auto& pair : pairs) pair.clear_value();
    return std::move(response_);
}

RangeScan::RangeScan(const StateReader& reader, const pb::RangeRequest& request, int64_t revision)
    : walk_(reader, Interval::of(request.key(), request.range_end()), revision), answer_(request) {}

Result<bool> RangeScan::step(size_t records_max) {
    ENSURE(!done_);
    for (size_t looked = 0; looked < records_max && !walk_.at_end();) {
        if (!walk_.settled()) {
            looked += walk_.settle(records_max - looked);
            continue;
        }
        if (answer_.wants_next()) {
            LET(const Version version, walk_.version());
            answer_.add(walk_.key(), version);
        }
        walk_.next();
        ++looked;
    }
    TRY(walk_.status());
    done_ = walk_.at_end();
    return done_;
}

pb::RangeResponse RangeScan::take() {
    ENSURE(done_);
    return answer_.take();
}

pb::RangeResponse RangeScan::of_one(const pb::RangeRequest& request, const Version* version) {
    pb::RangeResponse response;
    if (!version) return response;
    response.set_count(1);
    if (!request.count_only() && passes_filters(request, *version))
        fill(*response.add_kvs(), request.key(), *version, request.keys_only());
    return response;
}

std::optional<pb::RangeResponse> range_from_memory(Mvcc& mvcc, const pb::RangeRequest& request, int64_t revision) {
    constexpr int64_t keys_max = 10'000;  // A few milliseconds; what is longer is read in slices.
    RangeAnswer answer(request);
    const auto visit = [&answer](std::string_view key, const Version& version) {
        if (answer.wants_next()) answer.add(key, version);
        return answer.count() < keys_max;
    };
    if (!mvcc.scan_memory(Interval::of(request.key(), request.range_end()), revision, visit)) return std::nullopt;
    return answer.take();
}

}  // namespace polis::services
