// Version: what one key was from one revision on; its record in the store, and as etcd's message.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "codec/etcd/kv.pb.h"
#include "services/coord/store_keys.h"

namespace polis::services {

/// One version of a key. A deletion (tombstone) has a revision and nothing else.
struct Version {
    Revision revision;            // Of the change that made it; main is etcd's mod_revision.
    int64_t create_revision = 0;  // Of the first version since the key last did not exist. 0: deleted.
    int64_t version = 0;          // Counts from 1 since then.
    int64_t lease = 0;            // 0: none.
    Bytes value;

    bool deleted() const { return create_revision == 0; }
    static Version tombstone(Revision at) {
        Version version;
        version.revision = at;
        return version;
    }
    friend bool operator==(const Version&, const Version&) = default;
};

/// What stands before the value in a record of table Versions.
std::string record_head(const Version& version);
void append_record_head(std::string& record, const Version& version);
/// Errors: Corrupt. The value is copied out.
Result<Version> parse_record(Revision revision, std::string_view record);

/// A record of table Revisions: which key changed.
std::string revision_record(bool deleted, std::string_view key);
void append_revision_record(std::string& record, bool deleted, std::string_view key);
struct RevisionRecord {
    bool deleted;
    std::string_view key;
};
/// Errors: Corrupt.
Result<RevisionRecord> parse_revision_record(std::string_view record);

/// As etcd sends it.
void fill(mvccpb::KeyValue& message, std::string_view key, const Version& version, bool keys_only = false);

/// What one version counts in the quota: its octets in both tables and what surrounds them. The same on every node.
int64_t cost_of(size_t key_bytes, size_t value_bytes);

/// One change as watchers need it.
struct Change {
    Bytes key;
    Version version;
    std::optional<Version> previous;  // The key just before this revision; absent if it did not exist.
};

}  // namespace polis::services
