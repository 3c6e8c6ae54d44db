// etcd's HashKV: a checksum over history that etcd and we compute to the same value.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "services/coord/state_reader.h"

namespace polis::services {

/// CRC-32C over "key" and then, in revision order up to `revision`, each change's key in etcd's database and its encoded
/// KeyValue. A change of the compacted revision or before counts only if it still is its key's newest at `revision` and
/// no deletion; unless no key exists at `revision`, then all that is stored counts (etcd: mvcc/hash.go).
///
/// Takes time: run it on a pool, over a view. Errors: the store's, Corrupt.
Result<uint32_t> hash_keys(const StateReader& reader, int64_t revision, int64_t compacted_revision);

}  // namespace polis::services
