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
    }
    if (bytes_ > bytes_max_) evict(visible_revision);
}

void NewestCache::clear() {
    entries_.clear();
    bytes_ = 0;
    complete_ = false;
}

size_t NewestCache::bytes_of(const Entry& entry) {
    constexpr size_t node_bytes = sizeof(Entry) + 64;  // The map's node and bucket, and the two blocks of octets.
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
        if (!entry.version.deleted()) complete_ = false;
        bytes_ -= bytes_of(entry);
        const auto place = entries_.find(entry.key.view());
        ENSURE(place != entries_.end());
        entries_.erase(place);
    }
}

}  // namespace polis::services
