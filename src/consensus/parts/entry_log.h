// EntryLog: what a participant knows of its log: the ballot of every entry, and the newest entries themselves.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "base/entry.h"
#include "consensus/parts/digest.h"

namespace polis::consensus {

/// The log from `start` to `last`, on disk or about to be. A value.
///
/// Invariants: ballots never fall from one entry to the next (Log Matching needs it); the cache is a suffix of the log,
/// without a damaged entry in it; every damaged range lies within the log.
class EntryLog {
public:
    EntryLog() = default;
    /// As recovered: `positions` dense after `start`; `tail` a suffix of them; `damaged` ascending.
    EntryLog(LogPosition start, std::span<const LogPosition> positions, std::vector<Entry> tail,
             std::vector<LogRange> damaged);

    /// The log begins after this position, which is committed.
    LogPosition start() const { return start_; }
    LogPosition last() const { return last_; }

    /// The ballot of the entry at `index`, if start <= index <= last. Cheap for the newest ballot.
    std::optional<Ballot> ballot_at(LogIndex index) const;
    bool holds(const LogPosition& position) const { return ballot_at(position.index) == position.ballot; }

    /// The last position not after `index` whose ballot is at most `ballot`; `start` if there is none in the log.
    LogPosition last_at_most(LogIndex index, Ballot ballot) const;

    /// REQUIRES: the entry follows `last`, its ballot is not lower.
    void append(Entry entry);
    /// Drops the entries at and after `index`. REQUIRES: start < index.
    void truncate_from(LogIndex index);
    /// Begins after `position` from now on. REQUIRES: the log holds it.
    void compact(LogPosition position);
    /// Empty, after `position`.
    void reset(LogPosition position);

    /// True if the entry is in memory.
    bool is_cached(LogIndex index) const { return index >= cache_first() && index <= last_.index; }
    /// Entries `first`..`last` as far as they fit `bytes_max`, but at least one. REQUIRES: is_cached(first), first <= last.
    std::span<const Entry> cached(LogIndex first, LogIndex last, uint64_t bytes_max) const;
    /// Drops the oldest entries from memory while there are more than `bytes_max`, none above `durable`.
    void evict(LogIndex durable, uint64_t bytes_max);
    uint64_t cache_bytes() const { return cache_bytes_; }

    bool is_damaged() const { return !damaged_.empty(); }
    const std::vector<LogRange>& damaged() const { return damaged_; }
    bool is_damaged(LogIndex index) const;
    /// Up to where the log can be read from its start. `last` if nothing is damaged.
    LogIndex whole_to() const { return damaged_.empty() ? last_.index : damaged_.front().first.previous(); }
    void mark_damaged(LogIndex index);
    /// The entry at `index` has its content again.
    void mark_repaired(LogIndex index);

    void add_to(Digest& digest) const;

private:
    struct Run {  // Entries from `first` up to the next run (or last_) have `ballot`.
        LogIndex first;
        Ballot ballot;
    };

    LogIndex cache_first() const { return LogIndex(last_.index.value + 1 - (cache_.size() - cache_head_)); }
    void extend_runs(const LogPosition& position);
    void drop_cached_front();

    LogPosition start_;
    LogPosition last_;
    std::vector<Run> runs_;     // Ascending; empty if the log is; the first begins right after start_.
    std::vector<Entry> cache_;  // Those before cache_head_ are dropped already; the last is last_, if any is left.
    size_t cache_head_ = 0;
    uint64_t cache_bytes_ = 0;       // By size_of.
    std::vector<LogRange> damaged_;  // Ascending, apart.
};

}  // namespace polis::consensus
