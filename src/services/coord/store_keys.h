// How coord's etcd half names things in its store: the tables and their keys (docs/internals/formats/coord.md).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "services/coord/interval.h"
#include "storage/kv/store.h"

namespace polis::services {

/// The first octet of every key. ZooKeeper's half of coord has other ones.
enum class Table : char {
    Attachments = 'a',  // lease id, key -> nothing
    Versions = 'd',     // escaped key, inverted revision -> record
    Leases = 'l',       // id -> TTL
    Meta = 'm',         // name -> value
    Roles = 'o',        // name -> authpb.Role
    Revisions = 'r',    // revision -> tombstone flag, key
    Users = 'u',        // name -> authpb.User
    Alarms = 'w',       // member, alarm -> nothing
};

/// One change's place in history: the revision of its transaction, and its number in there (from 0).
struct Revision {
    int64_t main = 0;
    int64_t sub = 0;

    friend auto operator<=>(const Revision&, const Revision&) = default;
};

/// All keys of `table`.
storage::KeyRange range_of(Table table);

/// Where all versions of `key` lie, newest first: a prefix that no other key's versions share.
std::string versions_prefix(std::string_view key);
/// One version of `key`. Newer ones sort before older ones.
std::string version_key(std::string_view key, Revision revision);
void append_version_key(std::string& stored, std::string_view key, Revision revision);
/// A place before the versions of `key` made in revision `main` and earlier, and after all later ones.
std::string version_seek_key(std::string_view key, int64_t main);
/// The versions of all keys of `interval`.
storage::KeyRange versions_of(const Interval& interval);

/// A key of table Versions, taken apart. The views point into what was parsed.
struct VersionPlace {
    std::string_view prefix;  // versions_prefix of the user's key.
    Revision revision;

    /// The user's key.
    std::string key() const;
};
/// REQUIRES: `stored` was made by version_key.
VersionPlace parse_version_key(std::string_view stored);

std::string revision_key(Revision revision);
/// REQUIRES: `stored` was made by revision_key.
Revision parse_revision_key(std::string_view stored);

std::string lease_key(int64_t id);
int64_t parse_lease_key(std::string_view stored);
/// All keys attached to lease `id`.
storage::KeyRange attachments_of(int64_t id);
std::string attachment_key(int64_t id, std::string_view key);
/// The user's key. REQUIRES: `stored` was made by attachment_key.
std::string_view parse_attachment_key(std::string_view stored);

/// A key of a table whose rest is a plain name: Meta, Users, Roles, Alarms.
std::string named_key(Table table, std::string_view name);

/// Appends `number` in eight octets, the most significant first, so that octet order is numeric order.
void append_big_endian(std::string& octets, uint64_t number);
/// REQUIRES: at least eight octets.
uint64_t read_big_endian(std::string_view octets);

}  // namespace polis::services
