#include "services/coord/newest_cache.h"

#include <tuple>

#include "base/ensure.h"

namespace polis::services {

const Version* NewestCache::find(std::string_view key) {
    const auto found = entries_.find(key);
    if (found == entries_.end()) return nullptr;
    found->second.used = true;
    return &found->second.version;
}

void NewestCache::put(const Bytes& key, const Version& version, int64_t visible_revision) {
    ENSURE(!key.empty());
    const auto found = entries_.find(key.view());
    if (found != entries_.end()) {
        Entry& entry = found->second;
        ENSURE(version.revision >= entry.version.revision);
        bytes_ -= bytes_of(entry);
        entry.version = version;
        entry.version.value = version.value.compact();
        entry.used = true;
        bytes_ += bytes_of(entry);
    } else {
        const Bytes kept = key.compact();  // The map's key is a view of it: it must be in place first.
        Entry& entry = entries_.emplace(std::piecewise_construct, std::forward_as_tuple(kept.view()), std::tuple<>())
                           .first->second;
        entry.key = kept;
        entry.version = version;
        entry.version.value = version.value.compact();
        bytes_ += bytes_of(entry);
        clock_.push_back(entry);
        // The key splits a gap in two: both are as known as it was.
        const auto place = order_.emplace(kept.view(), &entry).first;
        entry.gap_is_empty = gap_before(place);
        if (!entry.gap_is_empty) ++unknown_gaps_;
    }
    if (bytes_ > bytes_max_) evict(visible_revision);
}

bool NewestCache::knows_absent(std::string_view key) const { return complete() || gap_before(order_.lower_bound(key)); }

void NewestCache::set_complete() {
    first_gap_is_empty_ = true;
    for (const auto& [key, entry] : order_) entry->gap_is_empty = true;
    unknown_gaps_ = 0;
}

void NewestCache::clear() {
    order_.clear();
    entries_.clear();
    bytes_ = 0;
    first_gap_is_empty_ = false;
    unknown_gaps_ = 1;
}

size_t NewestCache::bytes_of(const Entry& entry) {
    // The nodes of both maps and the bucket, and the two blocks of octets.
    constexpr size_t node_bytes = sizeof(Entry) + 64 + sizeof(Order::value_type) + 48;
    return node_bytes + entry.key.size() + entry.version.value.size();
}

void NewestCache::evict(int64_t visible_revision) {
    // Twice around: the first may only take marks away. What is left then is not visible yet.
    size_t looks = 2 * entries_.size();
    while (bytes_ > bytes_max_ && looks-- > 0) {
        Entry& entry = clock_.front();
        entry.unlink();
        if (entry.used || entry.version.revision.main > visible_revision) {
            entry.used = false;
            clock_.push_back(entry);
            continue;
        }
        forget(entry);
    }
}

// The gaps on both sides become one, which holds the key unless that is deleted.
void NewestCache::forget(Entry& entry) {
    const auto place = order_.find(entry.key.view());
    ENSURE(place != order_.end());
    bool& gap = place == order_.begin() ? first_gap_is_empty_ : std::prev(place)->second->gap_is_empty;
    const bool joined = gap && entry.gap_is_empty && entry.version.deleted();
    unknown_gaps_ -= (gap ? 0 : 1) + (entry.gap_is_empty ? 0 : 1);
    unknown_gaps_ += joined ? 0 : 1;
    gap = joined;
    order_.erase(place);
    bytes_ -= bytes_of(entry);
    const auto indexed = entries_.find(entry.key.view());
    ENSURE(indexed != entries_.end());
    entries_.erase(indexed);
}

}  // namespace polis::services
