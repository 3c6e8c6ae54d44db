#include "services/coord/key_hash.h"

#include <limits>

#include "base/hash.h"
#include "services/coord/etcd_record.h"
#include "services/coord/version_walk.h"

namespace polis::services {

namespace {

Result<bool> any_key_exists(const StateReader& reader, int64_t revision) {
    VersionWalk walk(reader, Interval{{}, {}, true}, revision);
    while (!walk.at_end() && !walk.settled()) walk.settle(std::numeric_limits<size_t>::max());
    TRY(walk.status());
    return walk.settled();
}

/// Whether the change at `place` is what its key is at `revision`.
Result<bool> is_kept(const StateReader& reader, Revision place, const RevisionRecord& record, int64_t revision) {
    if (record.deleted) return false;
    const storage::KeyRange range = versions_of(Interval::one(record.key));
    const auto cursor = reader.cursor(range);
    cursor->seek(version_seek_key(record.key, revision));
    TRY(cursor->status());
    return cursor->valid() && parse_version_key(cursor->key()).revision == place;
}

}  // namespace

Result<uint32_t> hash_keys(const StateReader& reader, int64_t revision, int64_t compacted_revision) {
    LET(const bool filters, any_key_exists(reader, revision));
    uint32_t hash = crc32c("key");
    storage::KeyRange range = range_of(Table::Revisions);
    range.last = revision_key({revision + 1, 0});
    const auto cursor = reader.cursor(range);
    for (cursor->seek(range.first); cursor->valid(); cursor->next()) {
        const Revision place = parse_revision_key(cursor->key());
        LET(const RevisionRecord record, parse_revision_record(cursor->value()));
        if (filters && place.main <= compacted_revision) {
            LET(const bool kept, is_kept(reader, place, record, revision));
            if (!kept) continue;
        }
        LET(const std::string value, etcd_value(reader, place, record));
        hash = crc32c(value, crc32c(etcd_revision_key(place, record.deleted), hash));
    }
    TRY(cursor->status());
    return hash;
}

}  // namespace polis::services
