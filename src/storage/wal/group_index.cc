#include "storage/wal/group_index.h"

#include <algorithm>
#include <iterator>

#include "base/ensure.h"

namespace polis::storage {

void SegmentUse::remove(SegmentNumber segment) {
    const auto found = counts_.find(segment);
    ENSURE(found != counts_.end());
    if (--found->second == 0) counts_.erase(found);
}

GroupIndex::~GroupIndex() {
    for (uint64_t i = 0; i < slots_.size(); ++i) release(start_.index + (i + 1));
}

// The entry's records are no longer needed; the slot is the caller's to change.
void GroupIndex::release(LogIndex index) {
    const auto fragments = fragments_.empty() ? fragments_.end() : fragments_.find(index.value);
    if (fragments != fragments_.end()) {
        for (const Place& each : fragments->second) use_->remove(each.segment);
        fragments_.erase(fragments);
        return;
    }
    const Place& at = place(index);
    if (!at.damaged()) use_->remove(at.segment);
}

Ballot GroupIndex::ballot_at(LogIndex index) const {
    if (index == start_.index) return start_.ballot;
    ENSURE(holds(index));
    const auto after = ballots_.upper_bound(index.value);
    ENSURE(after != ballots_.begin());
    return std::prev(after)->second;
}

const Place& GroupIndex::place(LogIndex index) const {
    ENSURE(holds(index));
    return slots_[index - start_.index - 1];
}

std::vector<Place> GroupIndex::places(LogIndex index) const {
    const auto found = fragments_.find(index.value);
    if (found != fragments_.end()) return found->second;
    return {place(index)};
}

std::vector<LogPosition> GroupIndex::positions() const {
    std::vector<LogPosition> positions;
    positions.reserve(slots_.size());
    for (auto run = ballots_.begin(); run != ballots_.end(); ++run) {
        const auto next = std::next(run);
        const uint64_t end = next == ballots_.end() ? last_index().value : next->first - 1;
        for (uint64_t i = run->first; i <= end; ++i) positions.push_back({LogIndex(i), run->second});
    }
    ENSURE(positions.size() == slots_.size());
    return positions;
}

std::vector<LogRange> GroupIndex::damaged() const {
    std::vector<LogRange> ranges;
    for (uint64_t i = 0; i < slots_.size(); ++i) {
        if (!slots_[i].damaged()) continue;
        const LogIndex index = start_.index + (i + 1);
        if (!ranges.empty() && ranges.back().last.next() == index) {
            ranges.back().last = index;
        } else {
            ranges.push_back({index, index});
        }
    }
    return ranges;
}

void GroupIndex::reset(LogPosition position) {
    truncate_from(start_.index.next());
    start_ = position;
}

void GroupIndex::truncate_from(LogIndex index) {
    index = std::max(index, start_.index.next());
    while (last_index() >= index) {
        release(last_index());
        slots_.pop_back();
    }
    ballots_.erase(ballots_.lower_bound(index.value), ballots_.end());
}

void GroupIndex::compact(LogPosition position) {
    if (position.index <= start_.index) return;
    if (position.index >= last_index()) return reset(position);
    const LogIndex first = position.index.next();
    const Ballot ballot = ballot_at(first);
    while (start_.index < position.index) {
        release(start_.index.next());
        slots_.pop_front();
        start_.index = start_.index.next();
    }
    start_ = position;
    ballots_.erase(ballots_.begin(), ballots_.upper_bound(first.value));
    ballots_[first.value] = ballot;
}

void GroupIndex::set_ballot(LogIndex index, Ballot ballot) {
    const bool last = index == last_index();
    const std::optional<Ballot> next = last ? std::nullopt : std::optional(ballot_at(index.next()));
    ballots_.erase(index.value);
    const auto after = ballots_.upper_bound(index.value);
    const bool continues = after != ballots_.begin() && std::prev(after)->second == ballot;
    if (!continues) ballots_[index.value] = ballot;
    // The run that went through here begins anew behind it.
    if (next && *next != ballot) ballots_.try_emplace(index.value + 1, *next);
    if (next && *next == ballot) ballots_.erase(index.value + 1);
}

void GroupIndex::put(LogIndex index, Ballot ballot, const Place& place) {
    ENSURE(index > start_.index);
    ENSURE(index <= last_index().next());
    if (index > last_index()) {
        slots_.emplace_back();
    } else {
        release(index);
    }
    slots_[index - start_.index - 1] = place;
    if (!place.damaged()) use_->add(place.segment);
    set_ballot(index, ballot);
}

void GroupIndex::put(LogIndex index, Ballot ballot, std::span<const Place> places) {
    ENSURE(!places.empty());
    if (places.size() == 1) return put(index, ballot, places.front());
    put(index, ballot, Place());
    for (const Place& each : places) {
        ENSURE(!each.damaged());
        use_->add(each.segment);
    }
    slots_[index - start_.index - 1] = places.front();
    fragments_[index.value].assign(places.begin(), places.end());
}

void GroupIndex::mark_damaged(LogIndex index) { put(index, ballot_at(index), Place()); }

void GroupIndex::mark_damaged_after(LogIndex index) {
    for (LogIndex at = std::max(index, start_.index).next(); at <= last_index(); at = at.next()) mark_damaged(at);
}

void GroupIndex::span(LogPosition start, LogPosition last) {
    ENSURE(start.index <= last.index);
    if (start.index < start_.index || start.index > last_index()) {
        reset(start);
    } else {
        compact(start);
        start_ = start;
    }
    truncate_from(last.index.next());
    // The ballots of what is lost are not known, but for the last one's: they lie between their neighbours'.
    while (last_index() < last.index) {
        const LogIndex next = last_index().next();
        put(next, next == last.index ? last.ballot : ballot_at(last_index()), Place());
    }
}

}  // namespace polis::storage
