// SlotLog: ballots run-length, and the cache.
#include "consensus/paxos/slot_log.h"

#include <algorithm>
#include <utility>

#include "base/ensure.h"
#include "consensus/message.h"
#include "consensus/paxos/value.h"

namespace polis::consensus {

SlotLog::SlotLog(LogPosition start, std::span<const LogPosition> positions, std::vector<Entry> tail,
                 std::span<const LogRange> damaged, std::span<const Entry> membership_entries)
    : start_(start.index), last_(start.index) {
    for (const LogPosition& position : positions) {
        ENSURE(position.index == last_.next());
        last_ = position.index;
        if (runs_.empty() || runs_.rbegin()->second != position.ballot) runs_[position.index] = position.ballot;
    }
    for (const LogRange& range : damaged) {
        lost_.add({std::max(range.first, start_.next()), std::min(range.last, last_)});
    }
    ENSURE(tail.empty() || tail.back().index == last_);
    for (Entry& entry : tail) {
        if (!holds(entry.index)) continue;
        const bool readable = !is_lost(entry.index);
        if (readable) cache_bytes_ += size_of(entry);
        cells_.push_back(readable ? Cell{std::move(entry)} : Cell());
    }
    for (const Entry& entry : membership_entries) {
        if (holds(entry.index)) memberships_.insert(entry.index);
    }
}

Ballot SlotLog::ballot_at(LogIndex slot) const {
    ENSURE(holds(slot));
    const auto newest = runs_.rbegin();
    if (newest->first <= slot) return newest->second;
    return std::prev(runs_.upper_bound(slot))->second;
}

Ballot SlotLog::highest_ballot() const {
    Ballot highest;
    for (const auto& [first, ballot] : runs_) highest = std::max(highest, ballot);
    return highest;
}

LogIndex SlotLog::last_under(Ballot ballot, LogIndex from) const {
    if (!holds(from)) return from.previous();
    LogIndex reached = from.previous();
    for (auto run = std::prev(runs_.upper_bound(from)); run != runs_.end() && run->second == ballot; ++run) {
        const auto next = std::next(run);
        reached = next == runs_.end() ? last_ : next->first.previous();
    }
    for (const LogRange& range : lost_.ranges()) {
        if (range.last >= from && range.first <= reached) reached = std::max(range.first, from).previous();
    }
    return reached;
}

void SlotLog::put(Entry entry) {
    ENSURE(entry.index > start_);
    const LogIndex slot = entry.index;
    if (slot > last_.next()) {
        set_ballot(last_.next(), {});
        for (LogIndex at = last_.next(); at < slot; at = at.next()) cells_.push_back({placeholder(at)});
        last_ = slot.previous();
    }
    if (slot == last_.next()) {
        set_ballot(slot, entry.ballot);
        last_ = slot;
        cells_.emplace_back();
    } else {
        ENSURE(entry.ballot >= ballot_at(slot) || is_lost(slot));
        set_ballot(slot, entry.ballot);
    }
    while (cache_first() > slot) cells_.emplace_front();
    if (entry.kind == EntryKind::Membership) {
        memberships_.insert(slot);
    } else if (!memberships_.empty()) {
        memberships_.erase(slot);
    }
    Cell& cell = *cell_of(slot);
    if (cell.entry) cache_bytes_ -= size_of(*cell.entry);
    cache_bytes_ += size_of(entry);
    cell.entry = std::move(entry);
}

// The slot is the one behind the last, or one that exists.
void SlotLog::set_ballot(LogIndex slot, Ballot ballot) {
    if (slot == last_.next()) {
        if (runs_.empty() || runs_.rbegin()->second != ballot) runs_[slot] = ballot;
        return;
    }
    const auto run = std::prev(runs_.upper_bound(slot));
    const Ballot old = run->second;
    if (old == ballot) return;
    const auto next = std::next(run);
    const bool is_end = slot == last_ || (next != runs_.end() && next->first == slot.next());
    if (!is_end) runs_[slot.next()] = old;
    runs_[slot] = ballot;
    // Neighbours of the same ballot are one run.
    const auto here = runs_.find(slot);
    const auto after = std::next(here);
    if (after != runs_.end() && after->first == slot.next() && after->second == ballot) runs_.erase(after);
    if (here != runs_.begin() && std::prev(here)->second == ballot) runs_.erase(here);
}

void SlotLog::compact(LogIndex slot) {
    if (slot <= start_) return;
    if (slot >= last_) return reset(slot);
    while (!cells_.empty() && cache_first() <= slot) drop_front();
    const Ballot ballot = ballot_at(slot.next());
    start_ = slot;
    runs_.erase(runs_.begin(), runs_.upper_bound(slot.next()));
    runs_[slot.next()] = ballot;
    lost_.remove_to(slot);
    memberships_.erase(memberships_.begin(), memberships_.upper_bound(slot));
}

void SlotLog::reset(LogIndex slot) {
    *this = SlotLog();
    start_ = last_ = slot;
}

SlotLog::Cell* SlotLog::cell_of(LogIndex slot) {
    if (slot < cache_first() || slot > last_) return nullptr;
    return &cells_[slot - cache_first()];
}

const Entry* SlotLog::cached(LogIndex slot) const {
    if (slot < cache_first() || slot > last_) return nullptr;
    const Cell& cell = cells_[slot - cache_first()];
    return cell.entry ? &*cell.entry : nullptr;
}

std::vector<Entry> SlotLog::cached(LogRange range, uint64_t bytes_max) const {
    std::vector<Entry> entries;
    uint64_t bytes = 0;
    for (LogIndex at = range.first; at <= range.last; at = at.next()) {
        const Entry* entry = cached(at);
        if (entry == nullptr) break;
        bytes += size_of(*entry);
        if (!entries.empty() && bytes > bytes_max) break;
        entries.push_back(*entry);
    }
    return entries;
}

void SlotLog::evict(LogIndex durable, uint64_t bytes_max) {
    while (!cells_.empty() && cache_first() <= durable && (cache_bytes_ > bytes_max || !cells_.front().entry)) {
        drop_front();
    }
}

void SlotLog::drop_front() {
    if (cells_.front().entry) cache_bytes_ -= size_of(*cells_.front().entry);
    cells_.pop_front();
}

void SlotLog::lose(LogIndex slot) {
    if (!holds(slot)) return;
    lost_.add({slot, slot});
    Cell* cell = cell_of(slot);
    if (cell == nullptr || !cell->entry) return;
    cache_bytes_ -= size_of(*cell->entry);
    cell->entry.reset();
}

bool SlotLog::has_membership(LogRange range) const {
    const auto found = memberships_.lower_bound(range.first);
    return found != memberships_.end() && *found <= range.last;
}

void SlotLog::add_to(Digest& digest) const {
    digest.add(start_).add(last_).add(runs_.size()).add(cells_.size());
    for (const auto& [first, ballot] : runs_) digest.add(first).add(ballot);
    for (const Cell& cell : cells_) digest.add(cell.entry);
    for (const LogIndex slot : memberships_) digest.add(slot);
    lost_.add_to(digest);
}

}  // namespace polis::consensus
