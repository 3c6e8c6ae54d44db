// IntervalSet: a union of intervals of keys, and whether it covers another.
#pragma once

#include <vector>

#include "services/coord/interval.h"

namespace polis::services {

/// Kept as disjoint, non-adjacent intervals in order. A regular value.
class IntervalSet {
public:
    void add(Interval interval);
    void add_all(const IntervalSet& other) {
        for (const Interval& each : other.intervals_) add(each);
    }

    /// Whether every key of `interval` is in one of the set's. An empty interval holds no key, so it is not covered:
    /// nobody gets an answer by asking for nothing.
    bool covers(const Interval& interval) const;
    /// Whether some key of `interval` is in the set.
    bool overlaps(const Interval& interval) const;
    bool contains(std::string_view key) const;

    bool empty() const { return intervals_.empty(); }
    friend bool operator==(const IntervalSet&, const IntervalSet&) = default;

private:
    /// The last interval that begins at or before `key`; null if none does.
    const Interval* last_from(std::string_view key) const;

    std::vector<Interval> intervals_;
};

}  // namespace polis::services
