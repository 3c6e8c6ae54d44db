// SlotSet: a set of slots as ranges that are apart; few, since slots come nearly in order.
#pragma once

#include <algorithm>
#include <vector>

#include "base/entry.h"
#include "consensus/parts/digest.h"

namespace polis::consensus {

/// A value. Invariant: ranges ascend, none is empty, and between two of them at least one slot is missing.
class SlotSet {
public:
    bool empty() const { return ranges_.empty(); }
    const std::vector<LogRange>& ranges() const { return ranges_; }

    /// The range that holds `slot`, or null.
    const LogRange* range_of(LogIndex slot) const {
        const auto after = std::ranges::upper_bound(ranges_, slot, {}, &LogRange::first);
        if (after == ranges_.begin() || std::prev(after)->last < slot) return nullptr;
        return &*std::prev(after);
    }
    bool contains(LogIndex slot) const { return range_of(slot) != nullptr; }

    void add(LogRange range) {
        if (range.first > range.last) return;
        const auto begin =
            std::ranges::lower_bound(ranges_, range.first, {}, [](const LogRange& other) { return other.last.next(); });
        auto end = begin;
        for (; end != ranges_.end() && end->first <= range.last.next(); ++end) {
            range = {std::min(range.first, end->first), std::max(range.last, end->last)};
        }
        ranges_.insert(ranges_.erase(begin, end), range);
    }
    void remove(LogIndex slot) {
        const LogRange* found = range_of(slot);
        if (found == nullptr) return;
        const LogRange range = *found;
        const auto place = ranges_.erase(ranges_.begin() + (found - ranges_.data()));
        std::vector<LogRange> rest;
        if (range.first < slot) rest.push_back({range.first, slot.previous()});
        if (slot < range.last) rest.push_back({slot.next(), range.last});
        ranges_.insert(place, rest.begin(), rest.end());
    }
    /// Forgets all slots up to `slot`.
    void remove_to(LogIndex slot) {
        std::erase_if(ranges_, [&](const LogRange& range) { return range.last <= slot; });
        if (!ranges_.empty()) ranges_.front().first = std::max(ranges_.front().first, slot.next());
    }
    void clear() { ranges_.clear(); }

    void add_to(Digest& digest) const { digest.add(ranges_); }

private:
    std::vector<LogRange> ranges_;
};

}  // namespace polis::consensus
