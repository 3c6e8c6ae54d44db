// What can be wrong with a request by itself, before anybody looks at the state: the checks etcd makes before it proposes.
#pragma once

#include <cstdint>

#include "codec/etcd/rpc.pb.h"
#include "services/coord/refused.h"

namespace polis::services {

/// In etcd's order, so that of two mistakes the same one is told.
Allowed check_range(const etcdserverpb::RangeRequest& request);
Allowed check_put(const etcdserverpb::PutRequest& request);
Allowed check_delete_range(const etcdserverpb::DeleteRangeRequest& request);

/// Also refuses a key that would be written twice on one path through the transaction, and more than `operations_max`
/// operations: the most of compares, success and failure, plus that of nested ones.
Allowed check_txn(const etcdserverpb::TxnRequest& request, int64_t operations_max);

/// What etcd puts on a request's bill when it looks at the quota. 0: it only reads or deletes.
int64_t quota_cost(const etcdserverpb::PutRequest& request);
int64_t quota_cost(const etcdserverpb::TxnRequest& request);
constexpr int64_t lease_quota_cost = 64;

/// Whether the transaction can change nothing whichever branch it takes.
bool is_read_only(const etcdserverpb::TxnRequest& request);

}  // namespace polis::services
