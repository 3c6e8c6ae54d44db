// NewestCache: the newest version of as many keys as fit in a bound, in order, so that most reads and writes need no seek.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <string_view>
#include <unordered_map>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/list.h"
#include "services/coord/interval.h"
#include "services/coord/version.h"

namespace polis::services {

/// What was applied last to each key it knows, deletions included. Derived from the store: forgetting any of it costs time,
/// never correctness. Entries newer than what is visible in the store are never forgotten: only they tell a reader that the
/// store is behind.
///
/// It also knows, for each gap between neighbours, whether keys lie there that it has forgotten: so a part of the key space that is
/// in use can be scanned here though other parts have been forgotten.
///
/// Invariant: a key in a gap that is known to be empty does not exist, neither at the newest visible revision nor since.
class NewestCache {
public:
    explicit NewestCache(size_t bytes_max) : bytes_max_(bytes_max) {}

    /// The newest version applied; null if not known. Until the next change.
    const Version* find(std::string_view key);

    /// `version` is now the newest of `key`. Forgets others beyond the bound, none newer than `visible_revision`.
    void put(const Bytes& key, const Version& version, int64_t visible_revision);

    void clear();

    /// Whether `key` is known not to exist. REQUIRES: find(key) gave null.
    bool knows_absent(std::string_view key) const;

    /// Calls `visit(std::string_view key, const Version&)`, which returns whether to go on, for what is here of `interval`, in key order.
    /// True if that is all there is; false if `visit` said no, or keys may be missing.
    template <class Visit>
    bool scan(const Interval& interval, Visit visit) {
        if (interval.empty()) return true;
        auto at = order_.lower_bound(interval.first);
        if (!gap_before(at)) return false;
        for (; at != order_.end() && (interval.open_ended || at->first < interval.last); ++at) {
            Entry& entry = *at->second;
            entry.used = true;
            if (!entry.gap_is_empty || !visit(at->first, entry.version)) return false;
        }
        return true;
    }

    /// Whether every key that exists is here.
    bool complete() const { return unknown_gaps_ == 0; }
    /// The caller has put every key that exists (or there is none).
    void set_complete();

    size_t size() const { return entries_.size(); }
    size_t bytes() const { return bytes_; }
    size_t bytes_max() const { return bytes_max_; }

private:
    struct Entry : Linked<> {
        Bytes key;
        Version version;
        bool used = false;          // Since it last stood first in line for eviction.
        bool gap_is_empty = false;  // No key exists between this one and the next in order.
    };
    using Order = std::map<std::string_view, Entry*>;
    struct Hash {
        using is_transparent = void;
        size_t operator()(std::string_view key) const { return fast_hash(key); }
    };
    struct Equal {
        using is_transparent = void;
        bool operator()(std::string_view a, std::string_view b) const { return a == b; }
    };

    static size_t bytes_of(const Entry& entry);
    /// Of the gap that ends at `place`.
    bool gap_before(Order::const_iterator place) const {
        return place == order_.begin() ? first_gap_is_empty_ : std::prev(place)->second->gap_is_empty;
    }
    void forget(Entry& entry);
    void evict(int64_t visible_revision);

    size_t bytes_max_;
    size_t bytes_ = 0;
    bool first_gap_is_empty_ = false;  // Before the first key, or all there is if there is none.
    size_t unknown_gaps_ = 1;
    std::unordered_map<std::string_view, Entry, Hash, Equal> entries_;  // Keys are views of Entry::key.
    Order order_;                                                       // The same.
    List<Entry> clock_;  // Second chance: the front goes first, unless it was used.
};

}  // namespace polis::services
