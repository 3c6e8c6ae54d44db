// Our state as etcd's database file: what Maintenance.Snapshot sends and `etcdutl snapshot restore` reads.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "cluster/api.h"
#include "codec/bbolt/writer.h"
#include "storage/kv/store.h"

namespace polis::services {

/// What a snapshot says about the cluster it comes from. Restoring replaces it.
struct SnapshotOrigin {
    std::vector<cluster::Member> members;
    uint64_t consistent_index = 0;
    uint64_t term = 0;
};

/// The ten buckets of etcd 3.5, with all history that `view` has. They read `view` when the file is planned and again when it is
/// written; both take time: on a pool. The form of 3.5 is the one that 3.5 and all later releases read.
std::vector<codec::BboltBucket> snapshot_buckets(std::shared_ptr<const storage::View> view,
                                                 const SnapshotOrigin& origin);

}  // namespace polis::services
