#include "services/coord/interval_set.h"

#include <algorithm>
#include <utility>

namespace polis::services {

void IntervalSet::add(Interval interval) {
    if (interval.empty()) return;
    // Those that begin before the new one ends, and end where it begins or later, melt into it.
    auto first = std::ranges::find_if(
        intervals_, [&](const Interval& each) { return each.open_ended || each.last >= interval.first; });
    auto last = first;
    while (last != intervals_.end() && (interval.open_ended || last->first <= interval.last)) {
        interval.first = std::min(interval.first, last->first);
        if (last->open_ended) interval.open_ended = true;
        if (!interval.open_ended) interval.last = std::max(interval.last, last->last);
        ++last;
    }
    if (interval.open_ended) interval.last.clear();
    first = intervals_.erase(first, last);
    intervals_.insert(first, std::move(interval));
}

bool IntervalSet::covers(const Interval& interval) const {
    if (interval.empty()) return false;
    const Interval* from = last_from(interval.first);
    if (!from) return false;
    if (from->open_ended) return true;
    return !interval.open_ended && interval.last <= from->last;
}

bool IntervalSet::overlaps(const Interval& interval) const {
    return std::ranges::any_of(intervals_, [&](const Interval& each) { return each.overlaps(interval); });
}

bool IntervalSet::contains(std::string_view key) const {
    const Interval* from = last_from(key);
    return from && from->contains(key);
}

const Interval* IntervalSet::last_from(std::string_view key) const {
    const auto after = std::ranges::upper_bound(intervals_, key, {},
                                                [](const Interval& each) -> std::string_view { return each.first; });
    return after == intervals_.begin() ? nullptr : &*std::prev(after);
}

}  // namespace polis::services
