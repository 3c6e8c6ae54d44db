// One change as a record of etcd's own database: what its snapshots hold and its HashKV sums up.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "services/coord/state_reader.h"
#include "services/coord/version.h"

namespace polis::services {

/// Eight octets of main, '_', eight of sub, most significant first; 't' follows for a deletion.
std::string etcd_revision_key(Revision revision, bool deleted);

struct EtcdRevision {
    Revision revision;
    bool deleted;
};
/// Errors: Corrupt.
Result<EtcdRevision> parse_etcd_revision_key(std::string_view octets);

/// An encoded KeyValue; a deletion's holds the key alone. `record`: what table Revisions has for `revision`.
/// Errors: the store's, Corrupt.
Result<std::string> etcd_value(const StateReader& reader, Revision revision, const RevisionRecord& record);

}  // namespace polis::services
