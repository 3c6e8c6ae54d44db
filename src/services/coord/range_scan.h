// RangeScan: answers one Range request, in slices as small as the caller likes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "codec/etcd/rpc.pb.h"
#include "services/coord/version_walk.h"

namespace polis::services {

/// etcd's rules of filter, sort, limit and count: revision filters come before the sort, the sort before the limit; `count`
/// knows neither filter nor limit; sort order NONE on another target than KEY takes the first limit+1 keys, then sorts those
/// ascending, then cuts.
class RangeScan {
public:
    /// `revision`: what to read at, resolved and checked. REQUIRES: `reader` outlives it.
    RangeScan(const StateReader& reader, const etcdserverpb::RangeRequest& request, int64_t revision);

    /// Goes on for about `records_max` records. True when the answer is whole. Errors: the store's.
    Result<bool> step(size_t records_max);

    /// Octets of keys and values gathered so far.
    size_t bytes() const { return bytes_; }

    /// The answer but for its header. REQUIRES: step() gave true.
    etcdserverpb::RangeResponse take();

    /// An answer about one key whose version is known already. `version`: null if the key does not exist.
    static etcdserverpb::RangeResponse of_one(const etcdserverpb::RangeRequest& request, const Version* version);

private:
    bool is_full() const;
    void sort();

    const etcdserverpb::RangeRequest request_;
    VersionWalk walk_;
    size_t kept_max_;  // Pairs to keep before sorting; 0: all.
    size_t bytes_ = 0;
    bool done_ = false;
    etcdserverpb::RangeResponse response_;
};

/// Whether the request filters by revision.
bool filters_by_revision(const etcdserverpb::RangeRequest& request);

}  // namespace polis::services
