// Reads a PutRequest without copying key and value: puts are most of all commands.
#pragma once

#include <optional>

#include "base/bytes.h"
#include "services/coord/txn.h"

namespace polis::services {

/// The request that etcd's encoding (protobuf) `request` holds; key and value share its block. Unknown fields are skipped; the
/// last of several same fields counts. Absent if it is not an encoding.
std::optional<PutCommand> parse_put(const Bytes& request);

}  // namespace polis::services
