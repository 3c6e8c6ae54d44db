// Settings of coord's etcd half.
#pragma once

#include <cstdint>
#include <memory>

#include "base/time.h"
#include "security/token.h"

namespace polis::services {

/// Names, defaults and meaning are etcd 3.6's, so that its documentation applies.
struct CoordOptions {
    // ---- Limits: may change while coord runs (Coord::reconfigure) ----
    uint64_t quota_bytes = 2ull << 30;         // --quota-backend-bytes; 0 means this default too.
    uint32_t operations_per_txn_max = 128;     // --max-txn-ops
    uint64_t request_bytes_max = 1536u << 10;  // --max-request-bytes
    uint64_t apply_lag_max = 5000;          // Entries committed and not applied; beyond, writes are refused. As etcd's.
    uint64_t write_bytes_max = 256u << 20;  // Of commands on their way from this node; beyond, more are refused.
    uint64_t user_requests_per_s = 0;       // Of each user but those of role root; 0: no limit.
    uint64_t user_burst = 0;                // 0: as many as in a second.
    Duration watch_progress_interval = std::chrono::minutes(10);  // --watch-progress-notify-interval

    // ---- Fixed from the start ----
    Duration lease_ttl_min = std::chrono::seconds(2);
    /// How often a long lease's remaining time goes into the log (--experimental-enable-lease-checkpoint; etcd's interval). Zero:
    /// never. Unlike etcd's the default is on: with etcd's, leases longer than the time between two elections never end,
    /// and their keys fill the store; and it costs nothing for leases up to the interval, or renewed within it.
    Duration lease_checkpoint_interval = std::chrono::minutes(5);
    enum class AutoCompaction : uint8_t { Off, Periodic, Revision };
    AutoCompaction auto_compaction = AutoCompaction::Off;  // --auto-compaction-mode
    Duration auto_compaction_period{0};                    // --auto-compaction-retention in periodic mode.
    int64_t auto_compaction_revisions = 0;                 // ... in revision mode.
    Duration token_ttl = std::chrono::seconds(300);        // --auth-token-ttl
    uint32_t bcrypt_cost = 10;                             // --bcrypt-cost
    /// Signs and checks tokens (--auth-token=jwt,...). Null: tokens are simple ones, which each node remembers.
    std::shared_ptr<const security::TokenKey> token_key;
    Duration jwt_ttl = std::chrono::minutes(5);  // ... ttl=
    uint64_t cache_bytes = 64u << 20;            // For the newest versions of keys; half of it is filled at start.
    uint64_t watch_buffer_bytes = 1u << 20;  // Per stream, before it is counted as slow and catches up from the store.
};

}  // namespace polis::services
