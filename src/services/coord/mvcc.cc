#include "services/coord/mvcc.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/ensure.h"
#include "services/coord/version_walk.h"

namespace polis::services {

namespace {

constexpr int64_t newest_of_all = std::numeric_limits<int64_t>::max();

const std::string& totals_key() {
    static const std::string key = named_key(Table::Meta, "totals");
    return key;
}
const std::string& compacted_key() {
    static const std::string key = named_key(Table::Meta, "compacted");
    return key;
}
const std::string& finished_key() {
    static const std::string key = named_key(Table::Meta, "compaction finished");
    return key;
}
const std::string& position_key() {
    static const std::string key = named_key(Table::Meta, "compaction position");
    return key;
}

std::string number_record(int64_t number) {
    std::string record;
    append_big_endian(record, static_cast<uint64_t>(number));
    return record;
}

Result<int64_t> load_number(const StateReader& reader, const std::string& key, int64_t missing) {
    LET(const std::optional<std::string> record, reader.get(key));
    if (!record) return missing;
    if (record->size() != 8) return fail(Code::Corrupt, "a number of coord's meta table is not what was written");
    return static_cast<int64_t>(read_big_endian(*record));
}

Result<MvccTotals> load_totals(const StateReader& reader) {
    LET(const std::optional<std::string> record, reader.get(totals_key()));
    if (!record) return MvccTotals{};
    if (record->size() != 16) return fail(Code::Corrupt, "coord's totals are not what was written");
    return MvccTotals{static_cast<int64_t>(read_big_endian(*record)),
                      static_cast<int64_t>(read_big_endian(std::string_view(*record).substr(8)))};
}

Result<int64_t> load_last_revision(const StateReader& reader) {
    const auto cursor = reader.cursor(range_of(Table::Revisions));
    cursor->seek_before({});
    TRY(cursor->status());
    return cursor->valid() ? parse_revision_key(cursor->key()).main : 1;
}

}  // namespace

Result<void> Mvcc::load(const StateReader& reader) {
    unpublished_.clear();
    cache_.clear();
    LET(totals_, load_totals(reader));
    saved_totals_ = totals_;
    LET(compacted_revision_, load_number(reader, compacted_key(), -1));
    LET(finished_revision_, load_number(reader, finished_key(), -1));
    LET(const std::optional<std::string> position, reader.get(position_key()));
    compaction_position_ = position ? parse_revision_key(*position) : Revision{};
    // The revision needs no record of its own: its last change is there, or was removed by a compaction of it.
    LET(const int64_t last, load_last_revision(reader));
    applied_revision_ = visible_revision_ = std::max(last, compacted_revision_);
    return warm(reader);
}

Result<void> Mvcc::warm(const StateReader& reader) {
    VersionWalk walk(reader, Interval{{}, {}, true}, newest_of_all);
    while (!walk.at_end()) {
        if (!walk.settled()) {
            walk.settle(std::numeric_limits<size_t>::max());
            continue;
        }
        LET(const Version version, walk.version());
        // Up to half full: a cache that must evict from the first change on is of less use than room for what is in use.
        if (cache_.bytes() + walk.value_bytes() > cache_.bytes_max() / 2) return {};
        cache_.put(Bytes::take(walk.key()), version, visible_revision_);
        walk.next();
    }
    TRY(walk.status());
    cache_.set_complete();
    return {};
}

Allowed Mvcc::check_readable(int64_t revision, int64_t newest) const {
    if (revision > newest) return refuse(Refusal::FutureRevision);
    if (revision > 0 && revision < compacted_revision_) return refuse(Refusal::Compacted);
    return {};
}

Result<std::optional<Version>> Mvcc::find(const StateReader& reader, std::string_view key, int64_t revision) {
    using Found = std::optional<Version>;
    const Version* cached = cache_.find(key);
    if (cached && cached->revision.main <= revision) return cached->deleted() ? Found() : Found(*cached);
    if (!cached && revision >= visible_revision_ && cache_.knows_absent(key)) return Found();

    VersionWalk walk(reader, Interval::one(key), revision);
    while (!walk.at_end() && !walk.settled()) walk.settle(std::numeric_limits<size_t>::max());
    TRY(walk.status());
    Found found;
    if (walk.settled()) {
        LET(found, walk.version());
    }
    // What was read is the key's newest only if nothing of it waits to become visible.
    if (!cached && revision >= applied_revision_) {
        // Absence is known from now on only: the key may have existed before.
        const Version newest = found ? *found : Version::tombstone({applied_revision_, 0});
        cache_.put(Bytes::copy(key), newest, visible_revision_);
    }
    return found;
}

std::vector<Change> Mvcc::publish() {
    visible_revision_ = applied_revision_;
    return std::exchange(unpublished_, {});
}

void Mvcc::save_totals(storage::Overlay& state) {
    ENSURE(totals_.bytes >= 0);
    ENSURE(totals_.keys >= 0);
    if (totals_ == saved_totals_) return;
    saved_totals_ = totals_;
    std::string record;
    append_big_endian(record, static_cast<uint64_t>(totals_.bytes));
    append_big_endian(record, static_cast<uint64_t>(totals_.keys));
    state.put(totals_key(), record);
}

// ---- Writing ----

MvccWrite::MvccWrite(Mvcc& mvcc, storage::Overlay& state)
    : mvcc_(mvcc), state_(state), reader_(state), new_revision_(mvcc.applied_revision_ + 1) {}

int64_t MvccWrite::revision() const { return changes_ == 0 ? mvcc_.applied_revision_ : new_revision_; }

std::optional<Version> MvccWrite::find(std::string_view key) { return must(mvcc_.find(reader_, key, newest_of_all)); }

Revision MvccWrite::next_place() const { return {new_revision_, static_cast<int64_t>(changes_)}; }

void MvccWrite::put(Put put, std::optional<Version> previous) {
    ENSURE(!finished_);
    ENSURE(!put.key.empty());
    Version version;
    version.revision = next_place();
    version.create_revision = previous ? previous->create_revision : version.revision.main;
    version.version = previous ? previous->version + 1 : 1;
    version.lease = put.lease;
    version.value = std::move(put.value);

    const int64_t old_lease = previous ? previous->lease : 0;
    if (old_lease != put.lease) {
        if (old_lease != 0) state_.remove(attachment_key(old_lease, put.key));
        if (put.lease != 0) state_.put(attachment_key(put.lease, put.key), {});
    }
    if (!previous) ++mvcc_.totals_.keys;
    record({std::move(put.key), std::move(version), std::move(previous)});
}

std::vector<MvccWrite::Deleted> MvccWrite::remove(const Interval& interval) {
    ENSURE(!finished_);
    std::vector<Deleted> deleted;
    if (interval == Interval::one(interval.first)) {
        if (auto version = find(interval.first)) deleted.push_back({Bytes::copy(interval.first), *std::move(version)});
    } else {
        VersionWalk walk(reader_, interval, newest_of_all);
        while (!walk.at_end()) {
            if (!walk.settled()) {
                walk.settle(std::numeric_limits<size_t>::max());
                continue;
            }
            deleted.push_back({Bytes::take(walk.key()), must(walk.version())});
            walk.next();
        }
        must(walk.status());
    }
    for (const Deleted& each : deleted) remove_one(each.key, each.version);
    return deleted;
}

void MvccWrite::remove_one(const Bytes& key, const Version& version) {
    if (version.lease != 0) state_.remove(attachment_key(version.lease, key));
    ENSURE(mvcc_.totals_.keys > 0);
    --mvcc_.totals_.keys;
    record({key, Version::tombstone(next_place()), version});
}

void MvccWrite::record(Change change) {
    const Version& version = change.version;
    auto& [stored_key, record] = mvcc_.scratch_;
    stored_key.clear();
    record.clear();
    append_version_key(stored_key, change.key, version.revision);
    append_record_head(record, version);
    state_.put(stored_key, record, version.value);
    record.clear();
    append_revision_record(record, version.deleted(), change.key);
    state_.put(revision_key(version.revision), record);
    mvcc_.totals_.bytes += cost_of(change.key.size(), version.value.size());
    mvcc_.cache_.put(change.key, version, mvcc_.visible_revision_);
    mvcc_.unpublished_.push_back(std::move(change));
    ++changes_;
}

void MvccWrite::finish() {
    ENSURE(!finished_);
    finished_ = true;
    if (changes_ > 0) mvcc_.applied_revision_ = new_revision_;
}

// ---- Compaction ----

Allowed Mvcc::check_compaction(int64_t revision) const {
    if (revision <= compacted_revision_) return refuse(Refusal::Compacted);
    if (revision > applied_revision_) return refuse(Refusal::FutureRevision);
    return {};
}

void Mvcc::compact(storage::Overlay& state, int64_t revision) {
    ENSURE(check_compaction(revision).has_value());
    // Deletions of the old target that a compaction under way has passed and kept are looked at again.
    compaction_position_ = std::min(compaction_position_, Revision{std::max<int64_t>(compacted_revision_, 0), 0});
    state.put(position_key(), revision_key(compaction_position_));
    compacted_revision_ = revision;
    state.put(compacted_key(), number_record(revision));
}

// Only changes since the last compaction are looked at: of a key that has not changed since, the last one left one version.
void Mvcc::step_compaction(storage::Overlay& state, size_t changes_max) {
    if (!is_compacting()) return;
    std::vector<std::pair<Revision, std::string>> seen;  // Gathered first: a cursor must not see changes.
    std::vector<bool> dead;
    {
        storage::KeyRange range = range_of(Table::Revisions);
        range.first = revision_key(compaction_position_);
        const auto cursor = state.cursor(range);
        for (cursor->seek(range.first); cursor->valid() && seen.size() < changes_max; cursor->next()) {
            const Revision place = parse_revision_key(cursor->key());
            if (place.main > compacted_revision_) break;
            const RevisionRecord record = must(parse_revision_record(cursor->value()));
            seen.emplace_back(place, std::string(record.key));
            dead.push_back(record.deleted);
        }
        must(cursor->status());
    }
    for (size_t i = 0; i < seen.size(); ++i) {
        const auto& [place, key] = seen[i];
        remove_older(state, key, place);
        // A deletion made by the compacted revision itself stays until the next compaction: a watch may start there.
        if (!dead[i] || place.main == compacted_revision_) continue;
        state.remove(version_key(key, place));
        state.remove(revision_key(place));
        totals_.bytes -= cost_of(key.size(), 0);
    }
    if (seen.size() < changes_max) {
        finished_revision_ = compacted_revision_;
        compaction_position_ = {compacted_revision_, 0};
        state.put(finished_key(), number_record(finished_revision_));
    } else {
        compaction_position_ = {seen.back().first.main, seen.back().first.sub + 1};
    }
    state.put(position_key(), revision_key(compaction_position_));
}

size_t Mvcc::remove_older(storage::Overlay& state, const std::string& key, Revision newer) {
    const storage::KeyRange range = versions_of(Interval::one(key));
    std::vector<std::pair<Revision, size_t>> older;  // With the record's value size.
    {
        const auto cursor = state.cursor(range);
        cursor->seek(version_key(key, newer));
        if (cursor->valid() && parse_version_key(cursor->key()).revision == newer) cursor->next();
        for (; cursor->valid(); cursor->next()) {
            const Revision place = parse_version_key(cursor->key()).revision;
            const Version version = must(parse_record(place, cursor->value()));
            older.emplace_back(place, version.value.size());
        }
        must(cursor->status());
    }
    for (const auto& [place, value_bytes] : older) {
        state.remove(version_key(key, place));
        state.remove(revision_key(place));
        totals_.bytes -= cost_of(key.size(), value_bytes);
    }
    return older.size();
}

}  // namespace polis::services
