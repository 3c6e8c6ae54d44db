// The keys under which a replica keeps its own state in the group's store. Models must not use keys that begin with 0x00.
#pragma once

#include <string>

#include "base/id.h"
#include "base/octets.h"
#include "storage/kv/store.h"

namespace polis::cluster {

/// What has been applied: index, ballot, membership in force. Written with every batch.
inline std::string applied_row() { return std::string("\0applied", 8); }

/// In a store that a snapshot is being received into: how far it has come (replica_snapshot.h). Written with every piece, and
/// gone before the store is used.
inline std::string arrival_row() { return std::string("\0arrival", 8); }

/// One row for each origin of commands (applied_once.h): "\0origin" + node id, little-endian.
inline std::string origin_row(NodeId node) {
    OctetWriter out;
    out.octets(std::string_view("\0origin", 7));
    out.number(number_of(node));
    return out.take();
}
inline storage::KeyRange origin_rows() { return {std::string("\0origin", 7), std::string("\0origio", 7)}; }

}  // namespace polis::cluster
