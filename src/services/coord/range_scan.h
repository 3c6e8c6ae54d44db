// RangeScan: answers one Range request, from memory at once, or from the store in slices as small as the caller likes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "codec/etcd/rpc.pb.h"
#include "services/coord/mvcc.h"
#include "services/coord/version_walk.h"

namespace polis::services {

/// The pairs of one answer as they are found, in key order.
///
/// etcd's rules of filter, sort, limit and count: revision filters come before the sort, the sort before the limit; `count`
/// knows neither filter nor limit; sort order NONE on another target than KEY takes the first limit+1 keys, then sorts those
/// ascending, then cuts.
class RangeAnswer {
public:
    explicit RangeAnswer(const etcdserverpb::RangeRequest& request);

    /// Counts a key. True if add() is to be called for it.
    bool wants_next();
    void add(std::string_view key, const Version& version);

    /// Octets of keys and values gathered so far.
    size_t bytes() const { return bytes_; }
    int64_t count() const { return response_.count(); }

    /// The answer but for its header. REQUIRES: all keys have been given.
    etcdserverpb::RangeResponse take();

private:
    bool is_full() const;
    void sort();

    const etcdserverpb::RangeRequest request_;
    const bool needs_value_;
    const size_t kept_max_;  // Pairs to keep before sorting; 0: all.
    size_t bytes_ = 0;
    etcdserverpb::RangeResponse response_;
};

/// Answers from the store.
class RangeScan {
public:
    /// `revision`: what to read at, resolved and checked. REQUIRES: `reader` outlives it.
    RangeScan(const StateReader& reader, const etcdserverpb::RangeRequest& request, int64_t revision);

    /// Goes on for about `records_max` records. True when the answer is whole. Errors: the store's.
    Result<bool> step(size_t records_max);

    /// Octets of keys and values gathered so far.
    size_t bytes() const { return answer_.bytes(); }

    /// The answer but for its header. REQUIRES: step() gave true.
    etcdserverpb::RangeResponse take();

    /// An answer about one key whose version is known already. `version`: null if the key does not exist.
    static etcdserverpb::RangeResponse of_one(const etcdserverpb::RangeRequest& request, const Version* version);

private:
    VersionWalk walk_;
    bool done_ = false;
    RangeAnswer answer_;
};

/// The answer but for its header, made of what memory holds; absent if it does not hold all of it, or if there are more keys than
/// should be gone through at once.
std::optional<etcdserverpb::RangeResponse> range_from_memory(Mvcc& mvcc, const etcdserverpb::RangeRequest& request,
                                                             int64_t revision);

/// Whether the request filters by revision.
bool filters_by_revision(const etcdserverpb::RangeRequest& request);

}  // namespace polis::services
