// Acceptor: what this node has promised and accepted, and what of it is durable ("Paxos Made Simple", §2.2).
#pragma once

#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include "base/entry.h"
#include "consensus/log.h"
#include "consensus/paxos/slot_log.h"
#include "consensus/paxos/slot_stores.h"

namespace polis::consensus {

/// One acceptor for all slots: one promise stands for every slot. A value; what it writes is gathered until flush().
///
/// Invariants: the promise never falls; nothing is accepted under a ballot below it; a slot is written again only under a higher
/// ballot, or under the same one with the same value.
class Acceptor {
public:
    Acceptor() = default;
    /// As recovered. The promise is at least every ballot that the log, or the state machine at `applied`, knows.
    explicit Acceptor(Recovered& recovered);

    Ballot promised() const { return promised_; }
    const SlotLog& slots() const { return slots_; }
    const SlotStores& stores() const { return stores_; }
    bool has_news() const { return !write_.entries.empty(); }

    /// Promises `ballot`, which is not lower than the promise. The promise holds at once; others may be told of it when
    /// promise_token() is durable.
    void promise(Ballot ballot);
    /// The Store that holds the promise and all that was accepted before it.
    StoreToken promise_token() const { return hard_state_changed_ ? stores_.next_token() : stores_.next_token() - 1; }
    bool is_durable(StoreToken token) const { return stores_.is_durable(token); }

    /// Accepts an entry under its ballot. REQUIRES: its ballot is the promise; the slot is after the start.
    void accept(Entry entry);
    /// How far beyond the last slot one may be accepted: those between are written as empty ones.
    static constexpr uint64_t gap_max = 4096;

    /// The last slot such that all up to it hold what their decision will be: those up to `decided`, and those behind them that
    /// were accepted under `ballot`. Lost ones do not count.
    LogIndex received_to(LogIndex decided, Ballot ballot) const;
    /// As received_to, durable here.
    LogIndex held_to(LogIndex decided, Ballot ballot) const;
    /// The last slot up to `applied` that is lost or empty; 0 if none is.
    LogIndex last_unreadable(LogIndex applied) const;
    /// Up to where every slot is readable.
    LogIndex whole_to() const;
    /// True if what the slot holds is durable.
    bool is_slot_durable(LogIndex slot) const;

    /// `slot` holds nothing readable from now on; others have to give its value back.
    void lose(LogIndex slot) { slots_.lose(slot); }
    /// Lost slots up to `slot` are not missed: the state machine covers them.
    void forgive_lost(LogIndex slot) { slots_.forgive_lost(slot); }
    /// Writes what was decided into a slot that lost it.
    void restore(Entry entry);
    void compact(LogIndex slot) { slots_.compact(slot); }
    /// The state machine covers everything up to `position`; slots up to `decided` hold what was decided in them.
    void jump_to(LogPosition position, LogIndex decided);
    /// Drops the oldest durable entries from memory while there are more than `bytes_max`.
    void evict(uint64_t bytes_max);

    /// So far the decisions that are known here are known after a crash, too.
    LogIndex decided_durably() const { return decided_durably_; }

    /// One Store for all that this step promised and accepted; nothing if there is nothing, or no space.
    std::optional<Store> flush(LogIndex decided);
    /// The entries that are durable now.
    std::vector<Entry> stored(StoreToken token);
    void refused(StoreToken token) { stores_.refused(token); }
    std::optional<Store> retry(LogIndex decided) { return stores_.retry(hard_state(decided)); }

    void add_to(Digest& digest) const;

private:
    void put(Entry entry);
    void reset(LogPosition position);
    std::optional<LogIndex> lowest_open() const;
    HardState hard_state(LogIndex decided) const {
        return {.promised = promised_, .voted_for = promised_.node, .current_epoch = 0, .committed = decided};
    }

    Ballot promised_;
    SlotLog slots_;
    SlotStores stores_;
    LogWrite write_;  // Of this step, not given to the shell yet; entries in the order they came.
    bool hard_state_changed_ = false;
    LogIndex decided_stored_;  // The newest decided slot that a Store's hard state holds.
    LogIndex decided_durably_;
    std::deque<std::pair<StoreToken, LogIndex>>
        decisions_under_way_;  // What decided_durably_ rises to with which Store.
};

}  // namespace polis::consensus
