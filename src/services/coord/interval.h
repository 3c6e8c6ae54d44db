// Interval: a stretch of keys as etcd's requests name it: one key, [key, range_end), or everything from a key on.
#pragma once

#include <string>
#include <string_view>

namespace polis::services {

/// Keys k with first <= k, and k < last unless `open_ended`. A regular value. May be empty (last <= first).
struct Interval {
    std::string first;
    std::string last;  // Meaningless if open_ended.
    bool open_ended = false;

    /// As requests say it: no range_end means the key alone; range_end "\0" means every key from `key` on.
    static Interval of(std::string_view key, std::string_view range_end) {
        if (range_end.empty()) return one(key);
        if (range_end == std::string_view("\0", 1)) return {std::string(key), {}, true};
        return {std::string(key), std::string(range_end), false};
    }
    static Interval one(std::string_view key) {
        Interval interval{std::string(key), std::string(key), false};
        interval.last.push_back('\0');
        return interval;
    }

    bool empty() const { return !open_ended && last <= first; }
    bool contains(std::string_view key) const { return key >= first && (open_ended || key < last); }
    bool overlaps(const Interval& other) const {
        if (empty() || other.empty()) return false;
        return (open_ended || other.first < last) && (other.open_ended || first < other.last);
    }
    friend bool operator==(const Interval&, const Interval&) = default;
};

}  // namespace polis::services
