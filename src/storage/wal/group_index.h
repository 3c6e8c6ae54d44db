// GroupIndex: where on disk each entry of a group lies, and under which ballot. In memory, about 12 octets an entry.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <span>
#include <vector>

#include "base/entry.h"
#include "storage/wal/format.h"

namespace polis::storage {

/// Where a record of an entry lies. Segment zero: its bytes are damaged or lost.
struct Place {
    SegmentNumber segment = 0;
    uint32_t offset = 0;         // Of the record's header in the segment, in octets; never inside a sector's header.
    uint32_t payload_bytes = 0;  // Of the record.

    bool damaged() const { return segment == 0; }
    friend bool operator==(const Place&, const Place&) = default;
};

/// How many entries' records each segment holds that somebody still needs. Shared by the groups of a log.
class SegmentUse {
public:
    void add(SegmentNumber segment) { ++counts_[segment]; }
    void remove(SegmentNumber segment);
    bool used(SegmentNumber segment) const { return counts_.contains(segment); }

private:
    std::map<SegmentNumber, uint64_t> counts_;  // No zeros.
};

/// One group's part of the log. Dense: every slot after `start()` up to `last()` has a place, if only a damaged one.
/// REQUIRES: the SegmentUse outlives it.
class GroupIndex {
public:
    explicit GroupIndex(SegmentUse& use) : use_(&use) {}
    GroupIndex(GroupIndex&& other) noexcept = default;
    GroupIndex& operator=(GroupIndex&&) = delete;
    ~GroupIndex();

    HardState hard_state;

    const LogPosition& start() const { return start_; }
    LogIndex last_index() const { return start_.index + slots_.size(); }
    LogPosition last() const { return {last_index(), ballot_at(last_index())}; }
    bool holds(LogIndex index) const { return index > start_.index && index <= last_index(); }

    /// REQUIRES: holds(index), or it is the start.
    Ballot ballot_at(LogIndex index) const;
    /// The record of the entry, or of its first fragment. REQUIRES: holds(index).
    const Place& place(LogIndex index) const;
    /// All records of the entry, in order. REQUIRES: holds(index).
    std::vector<Place> places(LogIndex index) const;
    std::vector<LogPosition> positions() const;
    std::vector<LogRange> damaged() const;

    /// The log becomes empty and starts after `position`.
    void reset(LogPosition position);
    /// Entries from `index` on are gone. Nothing if there are none.
    void truncate_from(LogIndex index);
    /// Entries up to `position` are gone. Nothing if the log starts there or later.
    void compact(LogPosition position);
    /// Writes a slot, new or old. REQUIRES: after the start, and not beyond the one after the last.
    void put(LogIndex index, Ballot ballot, std::span<const Place> places);
    void put(LogIndex index, Ballot ballot, const Place& place);

    /// Makes the log span exactly (start, last]: what it did not hold is added as damaged.
    void span(LogPosition start, LogPosition last);
    void mark_damaged(LogIndex index);
    void mark_damaged_after(LogIndex index);

private:
    void set_ballot(LogIndex index, Ballot ballot);
    void release(LogIndex index);

    SegmentUse* use_;
    LogPosition start_;
    std::deque<Place> slots_;                           // Of start + 1, start + 2 ...
    std::map<uint64_t, Ballot> ballots_;                // By the first index of a run of equal ones.
    std::map<uint64_t, std::vector<Place>> fragments_;  // Of the few entries that have more than one record.
};

}  // namespace polis::storage
