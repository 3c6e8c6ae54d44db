// Proposer: one leadership: what acceptors have promised it, what it found accepted, and which slot it proposes next.
#pragma once

#include <map>
#include <optional>
#include <span>

#include "base/entry.h"
#include "consensus/membership.h"
#include "consensus/parts/digest.h"
#include "consensus/paxos/slot_set.h"

namespace polis::consensus {

/// One ballot's proposer, for all slots from the first that its node does not know to be decided ("Paxos Made Simple", §3). It never
/// proposes two values for one slot. A value.
///
/// Phase 1 is done once: a promise holds for all slots, and tells what was accepted in them. What was found is proposed again, slot by
/// slot, gaps are filled, and then the run begins: the leader's own values, each in the next slot.
class Proposer {
public:
    Proposer() = default;
    /// Slots up to `known` are decided and known.
    Proposer(Ballot ballot, LogIndex known) : ballot_(ballot), next_(known.next()) {}

    Ballot ballot() const { return ballot_; }

    // ---- Phase 1 ----

    /// A part of what an acceptor has accepted.
    struct Report {
        LogIndex after;                   // The part tells of all slots after this one ...
        LogIndex to;                      // ... up to this one.
        bool complete = false;            // It accepted nothing behind `to`.
        LogIndex decided;                 // What it tells of slots up to here is decided.
        std::span<const Entry> accepted;  // Ascending; of ballot zero where it has lost what it accepted.
    };
    /// Takes a part that follows what is known of `from`; others, which came twice, are ignored. False if it was.
    bool take(NodeId from, const Report& report);
    /// Behind which slot the next part of `from` is to begin.
    LogIndex reported_to(NodeId from) const;
    /// True if `from` has told everything that it accepted.
    bool has_report(NodeId from) const;
    /// Up to where `from` knew the slots to be decided, if it has reported.
    LogIndex decided_at(NodeId from) const;

    /// True if all that can have been decided in the next slots was found: a majority has reported, and where somebody has
    /// lost a slot, in every majority somebody else has told of it.
    bool is_prepared(const Membership& membership) const;

    // ---- Phase 2 ----

    /// The next slot to propose for.
    LogIndex next() const { return next_; }
    /// True while slots are left for which something was found, in them or behind them.
    bool has_found() const { return !found_.empty(); }
    /// What to propose in the next slot, by has_found(): what was found there, or the filler of a gap.
    Entry propose_found();
    /// The next slot, for a value of our own.
    LogIndex claim();
    /// Where our own values begin; 0 before.
    LogIndex run_start() const { return run_start_; }

    /// A membership was proposed in the slot before the next: nothing is proposed behind it until release().
    void hold() { held_ = true; }
    void release() { held_ = false; }
    bool is_held() const { return held_; }

    void add_to(Digest& digest) const;

private:
    struct Known {
        LogIndex to;
        bool complete = false;
        LogIndex decided{};
        SlotSet lost{};
    };
    bool is_found_by_others(LogIndex slot, const Membership& membership) const;

    Ballot ballot_;
    LogIndex next_;
    LogIndex run_start_;
    bool held_ = false;
    std::map<NodeId, Known> reports_;
    std::map<LogIndex, Entry> found_;  // Of each slot from next_ on: what was accepted under the highest ballot.
};

}  // namespace polis::consensus
