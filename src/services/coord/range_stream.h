// RangeStreamPlace: how far one RangeStream has come, between two parts of its answer.
#pragma once

#include <cstddef>
#include <cstdint>

#include "codec/etcd/rpc.pb.h"
#include "services/coord/interval.h"

namespace polis::services {

/// All that a stream keeps while its client takes a part. Holds nothing of the store.
struct RangeStreamPlace {
    etcdserverpb::RangeRequest request;
    int64_t revision = 0;      // What is read at, resolved.
    Interval rest;             // Not looked at yet.
    int64_t count = 0;         // Keys seen.
    int64_t sent = 0;          // Of those, in parts.
    size_t chunk_keys = 0;     // Of the next part, at most ...
    uint64_t chunk_bytes = 0;  // ... and its octets, but for the pair that crosses this.
    bool ended = false;

    /// Whether the next key is to be sent, not only counted.
    bool wants_pairs() const;
    /// Chooses the size of the next part: twice or half as many keys, towards `chunk_bytes`. `bytes`: of the last one.
    void adjust(uint64_t bytes);
};

}  // namespace polis::services
