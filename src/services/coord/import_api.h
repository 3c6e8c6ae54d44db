// Takes an etcd snapshot (a bbolt file) into a store of coord's: `polis restore`.
#pragma once

#include "base/result.h"
#include "codec/bbolt/reader.h"
#include "storage/kv/store.h"

namespace polis::services {

/// Keeps revisions, history, leases, users, roles and alarms; members are left out. Blocking; durable at return. REQUIRES: `store`
/// holds nothing of coord's, and nobody else uses it.
/// Errors: Corrupt (not a snapshot of etcd 3.x), Invalid (the store is not empty); the store's.
Result<void> import_etcd_snapshot(const codec::BboltReader& snapshot, storage::Store& store);

}  // namespace polis::services
