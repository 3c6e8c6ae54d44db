// Mvcc: the multi-version key-value store: every key's versions, numbered by one revision that counts transactions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "services/coord/interval.h"
#include "services/coord/newest_cache.h"
#include "services/coord/refused.h"
#include "services/coord/state_reader.h"
#include "services/coord/version.h"
#include "storage/kv/overlay.h"

namespace polis::services {

/// What the whole store holds, kept with it; the same on every node.
struct MvccTotals {
    int64_t bytes = 0;  // Sum of cost_of over all versions stored.
    int64_t keys = 0;   // That exist at the newest revision.

    friend bool operator==(const MvccTotals&, const MvccTotals&) = default;
};

/// The versions of all keys, and which revisions exist. Two moments are told apart: what has been *applied* (in the overlay
/// at least) and what is *visible* in the store to readers; they differ between apply and committed only.
///
/// Invariants: compacted <= visible <= applied revision; finished <= compacted.
class Mvcc {
public:
    explicit Mvcc(size_t cache_bytes) : cache_(cache_bytes) {}

    /// Starts over from what `reader` holds. Errors: the store's, Corrupt.
    Result<void> load(const StateReader& reader);

    int64_t applied_revision() const { return applied_revision_; }
    int64_t visible_revision() const { return visible_revision_; }
    /// Revisions below are gone for readers. -1: never compacted.
    int64_t compacted_revision() const { return compacted_revision_; }
    /// Up to which compaction's revision the versions it made superfluous have been removed.
    int64_t finished_revision() const { return finished_revision_; }
    const MvccTotals& totals() const { return totals_; }
    const NewestCache& cache() const { return cache_; }

    /// Whether a read at `revision` is possible; 0 means the newest. `newest`: visible or applied, whatever the reader sees.
    Allowed check_readable(int64_t revision, int64_t newest) const;

    /// The version of `key` at `revision`; absent if it does not exist then. `reader` shows at least that revision.
    /// Errors: the store's.
    Result<std::optional<Version>> find(const StateReader& reader, std::string_view key, int64_t revision);

    /// Calls `visit(std::string_view key, const Version&)`, which returns whether to go on, for the keys of `interval` that exist at
    /// `revision`, in order, without looking into the store. False if memory does not hold them all or `visit` said no.
    template <class Visit>
    bool scan_memory(const Interval& interval, int64_t revision, Visit visit) {
        if (revision < visible_revision_) return false;
        return cache_.scan(interval, [&](std::string_view key, const Version& version) {
            if (version.revision.main > revision) return false;
            return version.deleted() || visit(key, version);
        });
    }

    /// Compacts for readers, at once; step_compaction() does the work. REQUIRES: check_compaction allows it.
    void compact(storage::Overlay& state, int64_t revision);
    Allowed check_compaction(int64_t revision) const;
    bool is_compacting() const { return finished_revision_ < compacted_revision_; }
    /// Removes what the compaction made superfluous, looking at `changes_max` changes. Nothing if there is nothing to do.
    void step_compaction(storage::Overlay& state, size_t changes_max);

    /// Writes down what totals() have become; once a batch.
    void save_totals(storage::Overlay& state);

    /// All that was applied is visible now; gives the changes that became so, in order.
    std::vector<Change> publish();

private:
    friend class MvccWrite;

    Result<void> warm(const StateReader& reader);
    size_t remove_older(storage::Overlay& state, const std::string& key, Revision newer);

    int64_t applied_revision_ = 1;
    int64_t visible_revision_ = 1;
    int64_t compacted_revision_ = -1;
    int64_t finished_revision_ = -1;
    Revision compaction_position_;  // The next change that step_compaction looks at.
    MvccTotals totals_;
    MvccTotals saved_totals_;  // As the store, or the batch that is being gathered, has them.
    NewestCache cache_;
    std::vector<Change> unpublished_;
    std::pair<std::string, std::string> scratch_;  // For a row's key and value; kept for their memory.
};

/// The changes of one command: at most one revision. Reads see the changes made so far.
///
/// Lifecycle: make, change, finish() once. One at a time.
class MvccWrite {
public:
    /// REQUIRES: both outlive it.
    MvccWrite(Mvcc& mvcc, storage::Overlay& state);
    MvccWrite(const MvccWrite&) = delete;
    MvccWrite& operator=(const MvccWrite&) = delete;

    /// The revision of the state with the changes so far: one more than before if there is any.
    int64_t revision() const;
    size_t changes() const { return changes_; }

    /// The newest version of `key`, if it exists.
    std::optional<Version> find(std::string_view key);
    const StateReader& reader() const { return reader_; }

    struct Put {
        Bytes key;
        Bytes value;
        int64_t lease = 0;
    };
    /// `previous`: what find() gives for the key.
    void put(Put put, std::optional<Version> previous);

    struct Deleted {
        Bytes key;
        Version version;
    };
    /// Deletes all keys of `interval` that exist and returns what they were, in order.
    std::vector<Deleted> remove(const Interval& interval);

    /// Makes the changes this revision's. REQUIRES: called once, last.
    void finish();

private:
    Revision next_place() const;
    void record(Change change);
    void remove_one(const Bytes& key, const Version& version);

    Mvcc& mvcc_;
    storage::Overlay& state_;
    ReaderOf<storage::Overlay> reader_;
    const int64_t new_revision_;
    size_t changes_ = 0;
    bool finished_ = false;
};

/// The value of a read that cannot fail without ending the process: a replica that cannot read its own state must not go on.
template <class T>
T must(Result<T> result) {
    ENSURE(result.has_value());
    return *std::move(result);
}
inline void must(const Result<void>& result) { ENSURE(result.has_value()); }

}  // namespace polis::services
