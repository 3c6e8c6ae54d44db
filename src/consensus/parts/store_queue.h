// StoreQueue: the Stores under way, up to where the log is durable, and what a full disk has refused.
#pragma once

#include <algorithm>
#include <deque>
#include <optional>
#include <vector>

#include "base/entry.h"
#include "consensus/log.h"
#include "consensus/parts/entry_log.h"

namespace polis::consensus {

/// Stores end in the order given. A value.
///
/// Invariants: every entry up to durable() was made durable and equals the log's (it may have been damaged since: that is
/// EntryLog's to know), or is covered by a snapshot; tokens ascend; while something is refused nothing is under way but its
/// retry.
class StoreQueue {
public:
    /// The token that the next Store will have.
    StoreToken next_token() const { return next_; }
    /// True if everything written with this token and before is on disk. False for tokens not given yet.
    bool is_durable(StoreToken token) const;
    /// The log was made durable up to here.
    LogIndex durable() const { return durable_; }
    bool is_idle() const { return pending_.empty() && !refused_; }
    /// True from a refusal until the refused has been stored after all.
    bool out_of_space() const { return out_of_space_; }

    /// Takes note of `write`, made from `log`, and returns the Store to give to the shell; nothing while the disk is
    /// full: then it is kept until retry().
    /// `repairs`: the write's entries replace damaged ones in their place, besides those that it appends.
    std::optional<Store> add(LogWrite write, std::vector<Entry> repairs, const EntryLog& log);
    /// The log was cut: what is under way from `index` on no longer counts as the log's.
    void truncate_from(LogIndex index);
    /// The log begins (and is durable) at `start` now.
    void reset(LogIndex start);
    /// What is durable otherwise (in a snapshot) reaches up to `index`.
    void raise(LogIndex index) { durable_ = std::max(durable_, index); }

    /// The Stores up to this one are done. Returns the positions of the damaged entries that they rewrote.
    std::vector<LogPosition> stored(StoreToken token);
    /// This Store, and all after it, failed for lack of space.
    void refused(StoreToken token);
    /// All that was refused, as one Store; nothing if nothing is, or its retry is under way.
    std::optional<Store> retry(const EntryLog& log, const HardState& hard_state);

    void add_to(Digest& digest) const;

private:
    struct Pending {
        StoreToken token = 0;
        StoreToken covers_from = 0;  // Its tokens are covers_from..token.
        LogIndex durable_to{};       // What durable() rises to when it ends; lowered by a cut.
        std::optional<LogIndex> truncate_from{};
        std::optional<LogPosition> reset_to{};
        std::optional<LogIndex> first{};  // Of the entries it appends, which reach to the log's end.
        std::vector<Entry> repaired{};    // Entries older than the cache, rewritten in their place.
    };
    void absorb(Pending later);
    Store give(Pending pending, LogWrite write);

    std::deque<Pending> pending_;
    std::optional<Pending> refused_;  // All refused writes merged, or nothing.
    StoreToken next_ = 1;
    LogIndex durable_;
    bool out_of_space_ = false;
};

}  // namespace polis::consensus
