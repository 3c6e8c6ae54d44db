// SlotStores: the Stores under way, which slots are not durable yet, and what a full disk has refused.
#pragma once

#include <deque>
#include <optional>
#include <vector>

#include "base/entry.h"
#include "consensus/log.h"
#include "consensus/parts/digest.h"

namespace polis::consensus {

/// Stores end in the order given. A value.
///
/// Invariants: tokens ascend; while something is refused nothing is under way but its retry. Unlike the queue of a log that only
/// grows at its end, it remembers each write, for any slot may be written again at any time.
class SlotStores {
public:
    /// The token that the next Store will have.
    StoreToken next_token() const { return next_; }
    /// True if everything written with this token and before is on disk. False for tokens not given yet.
    bool is_durable(StoreToken token) const;
    bool is_idle() const { return pending_.empty() && !refused_; }
    /// True from a refusal until the refused has been stored after all.
    bool out_of_space() const { return out_of_space_; }
    /// The lowest slot after `start` of which a write is not durable yet.
    std::optional<LogIndex> lowest_open(LogIndex start) const;

    /// Takes note of `write` and returns the Store to give to the shell; nothing while the disk is full: then it is kept.
    std::optional<Store> add(LogWrite write);
    /// The Stores up to this one are done. Returns the entries that are durable now.
    std::vector<Entry> stored(StoreToken token);
    /// This Store, and all after it, failed for lack of space.
    void refused(StoreToken token);
    /// All that was refused, as one Store; nothing if nothing is, or its retry is under way.
    std::optional<Store> retry(const HardState& hard_state);

    void add_to(Digest& digest) const;

private:
    struct Pending {
        StoreToken token = 0;
        StoreToken covers_from = 0;  // Its tokens are covers_from..token.
        LogWrite write{};            // Its entries ascend.
    };
    void absorb(Pending later);
    Store give(Pending pending);

    std::deque<Pending> pending_;
    std::optional<Pending> refused_;  // All refused writes merged, or nothing.
    StoreToken next_ = 1;
    bool out_of_space_ = false;
};

}  // namespace polis::consensus
