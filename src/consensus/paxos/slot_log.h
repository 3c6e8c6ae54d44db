// SlotLog: what an acceptor has accepted: the ballot of every slot, and the newest entries themselves.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "base/entry.h"
#include "consensus/parts/digest.h"
#include "consensus/paxos/slot_set.h"

namespace polis::consensus {

/// The slots after `start` up to `last`, on disk or about to be. A value. Any slot may be written again under a higher
/// ballot. Within it, a slot may be empty (nothing was accepted there: ballot zero) or lost (something was, its octets are
/// damaged, and its ballot is a guess).
class SlotLog {
public:
    SlotLog() = default;
    /// As recovered: `positions` dense after `start`; `tail` a suffix of them; `damaged` ascending.
    SlotLog(LogPosition start, std::span<const LogPosition> positions, std::vector<Entry> tail,
            std::span<const LogRange> damaged, std::span<const Entry> membership_entries);

    LogIndex start() const { return start_; }
    LogIndex last() const { return last_; }
    bool holds(LogIndex slot) const { return slot > start_ && slot <= last_; }

    /// Zero if nothing was accepted there. REQUIRES: holds(slot).
    Ballot ballot_at(LogIndex slot) const;
    /// The highest ballot of all slots.
    Ballot highest_ballot() const;
    /// The last slot such that all from `from` up to it were accepted under `ballot` and are not lost; the one before
    /// `from` if it is not itself.
    LogIndex last_under(Ballot ballot, LogIndex from) const;

    /// Writes a slot, and makes those between `last` and it empty. REQUIRES: after start.
    void put(Entry entry);
    /// Slots up to `slot` are gone.
    void compact(LogIndex slot);
    /// All slots are gone; the log begins after `slot`.
    void reset(LogIndex slot);

    /// The entry if it is in memory, else null.
    const Entry* cached(LogIndex slot) const;
    /// The entries `first`..`last` as far as they are in memory and fit `bytes_max`, but at least one if the first is.
    std::vector<Entry> cached(LogRange range, uint64_t bytes_max) const;
    /// Drops the oldest entries from memory while there are more than `bytes_max`, none above `durable`.
    void evict(LogIndex durable, uint64_t bytes_max);

    const SlotSet& lost() const { return lost_; }
    bool is_lost(LogIndex slot) const { return lost_.contains(slot); }
    void lose(LogIndex slot);
    /// What was written there in its stead is durable.
    void mark_found(LogIndex slot) { lost_.remove(slot); }
    void forgive_lost(LogIndex slot) { lost_.remove_to(slot); }

    /// True if a slot of `range` holds a membership, as far as it can be read.
    bool has_membership(LogRange range) const;

    void add_to(Digest& digest) const;

private:
    struct Cell {
        std::optional<Entry> entry;  // Nothing: not in memory.
    };
    LogIndex cache_first() const { return LogIndex(last_.value + 1 - cells_.size()); }
    Cell* cell_of(LogIndex slot);
    void set_ballot(LogIndex slot, Ballot ballot);
    void drop_front();

    LogIndex start_;
    LogIndex last_;
    std::map<LogIndex, Ballot>
        runs_;                  // Slots from the key up to the next have this ballot. Empty if there are no slots.
    std::deque<Cell> cells_;    // Of the newest slots, up to last_.
    uint64_t cache_bytes_ = 0;  // By size_of.
    SlotSet lost_;
    std::set<LogIndex> memberships_;  // The slots that hold one.
};

}  // namespace polis::consensus
