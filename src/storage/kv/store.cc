#include "storage/kv/store.h"

#include <limits>

#include "base/ensure.h"

namespace polis::storage {

bool KeyRange::covers(const KeyRange& other) const {
    if (other.empty()) return true;
    if (other.first < first) return false;
    return last.empty() || (!other.last.empty() && other.last <= last);
}

bool KeyRange::overlaps(const KeyRange& other) const {
    if (empty() || other.empty()) return false;
    return (last.empty() || other.first < last) && (other.last.empty() || first < other.last);
}

void Batch::remove_range(const KeyRange& range) {
    if (range.empty()) return;
    append(Kind::RemoveRange, range.first, range.last, {});
    ++range_removals_;
}

void Batch::append(const Batch& later) {
    log_.append(later.log_);
    count_ += later.count_;
    range_removals_ += later.range_removals_;
}

void Batch::clear() {
    if (log_.capacity() > kept_bytes_max) {
        log_ = {};
    } else {
        log_.clear();
    }
    count_ = 0;
    range_removals_ = 0;
}

void Batch::append(Kind kind, std::string_view key, std::string_view value_head, std::string_view value_tail) {
    constexpr size_t bytes_max = std::numeric_limits<uint32_t>::max();
    ENSURE(key.size() <= bytes_max);
    ENSURE(value_head.size() + value_tail.size() <= bytes_max);
    const Header header{static_cast<uint32_t>(key.size()), static_cast<uint32_t>(value_head.size() + value_tail.size()),
                        kind};
    char octets[sizeof header] = {};
    std::memcpy(octets, &header, sizeof header);
    log_.append(octets, sizeof octets).append(key).append(value_head).append(value_tail);
    ++count_;
}

}  // namespace polis::storage
