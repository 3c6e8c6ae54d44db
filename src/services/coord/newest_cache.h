// NewestCache: the newest version of as many keys as fit in a bound, so that writes and reads of one key need no seek.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <unordered_map>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/list.h"
#include "services/coord/version.h"

namespace polis::services {

/// What was applied last to each key it knows, deletions included. Derived from the store: forgetting any of it costs time,
/// never correctness. Entries newer than what is visible in the store are never forgotten: only they tell a reader that the
/// store is behind.
///
/// Invariant: while `complete()`, a key that is not here does not exist at the newest visible revision.
class NewestCache {
public:
    explicit NewestCache(size_t bytes_max) : bytes_max_(bytes_max) {}

    /// The newest version applied; null if not known. Until the next change.
    const Version* find(std::string_view key);

    /// `version` is now the newest of `key`. Forgets others beyond the bound, none newer than `visible_revision`.
    void put(const Bytes& key, const Version& version, int64_t visible_revision);

    void clear();

    bool complete() const { return complete_; }
    /// The caller has put every key that exists (or there is none).
    void set_complete() { complete_ = true; }

    size_t size() const { return entries_.size(); }
    size_t bytes() const { return bytes_; }
    size_t bytes_max() const { return bytes_max_; }

private:
    struct Entry : Linked<> {
        Bytes key;
        Version version;
        bool used = false;  // Since it last stood first in line for eviction.
    };
    struct Hash {
        using is_transparent = void;
        size_t operator()(std::string_view key) const { return fast_hash(key); }
    };
    struct Equal {
        using is_transparent = void;
        bool operator()(std::string_view a, std::string_view b) const { return a == b; }
    };

    static size_t bytes_of(const Entry& entry);
    void evict(int64_t visible_revision);

    size_t bytes_max_;
    size_t bytes_ = 0;
    bool complete_ = false;
    std::unordered_map<std::string_view, Entry, Hash, Equal> entries_;  // Keys are views of Entry::key.
    List<Entry> clock_;  // Second chance: the front goes first, unless it was used.
};

}  // namespace polis::services
