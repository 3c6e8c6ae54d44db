#include <algorithm>
#include <limits>
#include <map>
#include <string>
#include <utility>

#include "codec/etcd/lease.pb.h"
#include "codec/etcd/rpc.pb.h"
#include "services/coord/etcd_record.h"
#include "services/coord/import_api.h"
#include "services/coord/lease_table.h"
#include "services/coord/store_keys.h"
#include "services/coord/version_walk.h"

namespace polis::services {

namespace {

using codec::BboltCursor;
using codec::BboltEntry;

std::unexpected<Error> not_etcd(const std::string& what) {
    return fail(Code::Corrupt, what + "; is the file a snapshot of etcd 3?");
}

/// Gathers changes and writes them in portions.
class Import {
public:
    explicit Import(storage::Store& store) : store_(store) {}

    Result<void> bucket(const std::string& name, BboltCursor& cursor) {
        for (;;) {
            LET(const std::optional<BboltEntry> entry, cursor.next());
            if (!entry) return {};
            if (entry->is_bucket) return not_etcd("bucket " + name + " holds another bucket");
            TRY(take(name, entry->key, entry->value));
            constexpr size_t portion_bytes = 1u << 20;
            if (batch_.bytes() >= portion_bytes) TRY(write());
        }
    }

    /// What follows from all buckets together.
    Result<void> finish() {
        TRY(write());
        std::string octets;
        if (scheduled_ >= 0) {
            put_number("compacted", static_cast<uint64_t>(scheduled_));
            if (finished_ >= 0) put_number("compaction finished", static_cast<uint64_t>(finished_));
            batch_.put(named_key(Table::Meta, "compaction position"),
                       revision_key({std::max<int64_t>(finished_, 0), 0}));
        }
        TRY(attach_keys());
        append_big_endian(octets, static_cast<uint64_t>(bytes_));
        append_big_endian(octets, static_cast<uint64_t>(keys_));
        batch_.put(named_key(Table::Meta, "totals"), octets);
        TRY(write());
        return store_.flush();
    }

private:
    Result<void> take(const std::string& bucket, std::string_view key, std::string_view value) {
        if (bucket == "key") return take_change(key, value);
        if (bucket == "lease") return take_lease(value);
        if (bucket == "auth") return take_auth(key, value);
        if (bucket == "meta") return take_meta(key, value);
        if (bucket == "alarm") return take_alarm(key);
        if (bucket == "authUsers") batch_.put(named_key(Table::Users, key), value);
        if (bucket == "authRoles") batch_.put(named_key(Table::Roles, key), value);
        return {};  // cluster, members, members_removed: of the old cluster.
    }

    Result<void> take_change(std::string_view key, std::string_view value) {
        LET(const EtcdRevision change, parse_etcd_revision_key(key));
        mvccpb::KeyValue message;
        if (!message.ParseFromArray(value.data(), static_cast<int>(value.size())) || message.key().empty())
            return not_etcd("a change is no KeyValue");
        if (change.revision.sub > std::numeric_limits<uint32_t>::max()) return not_etcd("a revision is too long");
        Version version = Version::tombstone(change.revision);
        if (!change.deleted) {
            if (message.create_revision() <= 0 || message.version() <= 0) return not_etcd("a key was never created");
            version.create_revision = message.create_revision();
            version.version = message.version();
            version.lease = message.lease();
        }
        batch_.put(version_key(message.key(), change.revision), record_head(version), message.value());
        batch_.put(revision_key(change.revision), revision_record(change.deleted, message.key()));
        bytes_ += cost_of(message.key().size(), message.value().size());
        return {};
    }

    Result<void> take_lease(std::string_view value) {
        leasepb::Lease lease;
        if (!lease.ParseFromArray(value.data(), static_cast<int>(value.size())) || lease.id() == 0)
            return not_etcd("a lease cannot be read");
        const int64_t ttl = std::clamp<int64_t>(lease.ttl(), 0, LeaseTable::ttl_seconds_max);
        const LeaseTable::Lease taken{ttl, std::clamp<int64_t>(lease.remainingttl(), 0, ttl)};
        batch_.put(lease_key(lease.id()), LeaseTable::encode(taken));
        return {};
    }

    Result<void> take_auth(std::string_view key, std::string_view value) {
        if (key == "authEnabled")
            batch_.put(named_key(Table::Meta, "auth enabled"), value == std::string_view("\1", 1) ? "1" : "0");
        if (key == "authRevision") {
            if (value.size() != 8) return not_etcd("the auth revision has an unknown form");
            batch_.put(named_key(Table::Meta, "auth revision"), value);
        }
        return {};
    }

    Result<void> take_meta(std::string_view key, std::string_view value) {
        if (key != "scheduledCompactRev" && key != "finishedCompactRev") return {};
        LET(const EtcdRevision compaction, parse_etcd_revision_key(value));
        if (key == "finishedCompactRev") finished_ = compaction.revision.main;
        scheduled_ = std::max(scheduled_, compaction.revision.main);
        return {};
    }

    Result<void> take_alarm(std::string_view key) {
        etcdserverpb::AlarmMember alarm;
        if (!alarm.ParseFromArray(key.data(), static_cast<int>(key.size())) ||
            !etcdserverpb::AlarmType_IsValid(alarm.alarm()))
            return not_etcd("an alarm cannot be read");
        std::string stored = named_key(Table::Alarms, {});
        append_big_endian(stored, alarm.memberid());
        append_big_endian(stored, static_cast<uint64_t>(alarm.alarm()));
        batch_.put(stored, {});
        return {};
    }

    /// Counts the keys that exist, and ties those with a lease to it.
    Result<void> attach_keys() {
        const auto view = store_.view();
        const ReaderOf<storage::View> reader(*view);
        VersionWalk walk(reader, Interval{{}, {}, true}, std::numeric_limits<int64_t>::max());
        while (!walk.at_end()) {
            if (!walk.settled()) {
                walk.settle(std::numeric_limits<size_t>::max());
                continue;
            }
            ++keys_;
            LET(const Version version, walk.version());
            if (version.lease != 0) batch_.put(attachment_key(version.lease, walk.key()), {});
            walk.next();
        }
        return walk.status();
    }

    void put_number(std::string_view name, uint64_t number) {
        std::string octets;
        append_big_endian(octets, number);
        batch_.put(named_key(Table::Meta, name), octets);
    }

    Result<void> write() {
        for (;;) {
            Result<void> written = store_.write(batch_);
            if (written) break;
            if (written.error().code != Code::Overloaded) return written;
            TRY(store_.flush());  // Waits until there is room again.
        }
        batch_.clear();
        return {};
    }

    storage::Store& store_;
    storage::Batch batch_;
    int64_t scheduled_ = -1;
    int64_t finished_ = -1;
    int64_t bytes_ = 0;
    int64_t keys_ = 0;
};

}  // namespace

Result<void> import_etcd_snapshot(const codec::BboltReader& snapshot, storage::Store& store) {
    const storage::KeyRange ours{std::string(1, static_cast<char>(Table::Attachments)),
                                 std::string(1, static_cast<char>(Table::Alarms) + 1)};
    const auto existing = store.cursor(ours);
    existing->seek(ours.first);
    TRY(existing->status());
    if (existing->valid()) return fail(Code::Invalid, "the store holds keys already; restore into a new directory");

    Import import(store);
    bool any_keys = false;
    LET(BboltCursor root, snapshot.root());
    for (;;) {
        LET(const std::optional<BboltEntry> entry, root.next());
        if (!entry) break;
        if (!entry->is_bucket) return not_etcd("the root holds a value");
        const std::string name(entry->key);
        any_keys = any_keys || name == "key";
        LET(BboltCursor cursor, root.bucket(*entry));
        TRY(import.bucket(name, cursor));
    }
    if (!any_keys) return not_etcd("there is no bucket \"key\"");
    return import.finish();
}

}  // namespace polis::services
