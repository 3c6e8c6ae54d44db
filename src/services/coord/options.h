// Settings of coord's etcd half.
#pragma once

#include <cstdint>

#include "base/time.h"

namespace polis::services {

/// Names, defaults and meaning are etcd 3.6's, so that its documentation applies.
struct CoordOptions {
    uint64_t quota_bytes = 2ull << 30;         // --quota-backend-bytes; 0 means this default too.
    uint32_t operations_per_txn_max = 128;     // --max-txn-ops
    uint64_t request_bytes_max = 1536u << 10;  // --max-request-bytes
    Duration lease_ttl_min = std::chrono::seconds(2);
    Duration watch_progress_interval = std::chrono::minutes(10);  // --watch-progress-notify-interval
    enum class AutoCompaction : uint8_t { Off, Periodic, Revision };
    AutoCompaction auto_compaction = AutoCompaction::Off;  // --auto-compaction-mode
    Duration auto_compaction_period{0};                    // --auto-compaction-retention in periodic mode.
    int64_t auto_compaction_revisions = 0;                 // ... in revision mode.
    Duration token_ttl = std::chrono::seconds(300);        // --auth-token-ttl
    uint32_t bcrypt_cost = 10;                             // --bcrypt-cost
    uint64_t cache_bytes = 64u << 20;        // For the newest versions of keys; half of it is filled at start.
    uint64_t watch_buffer_bytes = 1u << 20;  // Per stream, before it is counted as slow and catches up from the store.
};

}  // namespace polis::services
