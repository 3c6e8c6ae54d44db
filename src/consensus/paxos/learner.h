// Learner: which slots are decided, and what of them was delivered ("Paxos Made Simple", §2.3).
#pragma once

#include <algorithm>

#include "base/ensure.h"
#include "base/entry.h"
#include "consensus/membership.h"
#include "consensus/parts/byte_window.h"
#include "consensus/parts/digest.h"
#include "consensus/paxos/value.h"

namespace polis::consensus {

/// A value. Slots are accepted in any order, but count as decided only in theirs: a membership decided in a slot is who decides the
/// slots behind it.
///
/// Invariant: applied <= delivered <= decided.
class Learner {
public:
    Learner() = default;
    /// `applied`: what the state machine has; `decided`: known to be, from before the restart.
    Learner(LogPosition applied, LogIndex decided)
        : decided_(std::max(decided, applied.index)), delivered_(applied), applied_(applied.index) {}

    /// All slots up to here are decided, and this node holds what was decided in them.
    LogIndex decided() const { return decided_; }
    LogIndex delivered() const { return delivered_.index; }
    Ballot delivered_ballot() const { return delivered_.ballot; }
    LogIndex applied() const { return applied_; }
    uint64_t bytes_to_apply() const { return deliveries_.bytes(); }

    void decide_to(LogIndex slot) { decided_ = std::max(decided_, slot); }

    /// What to deliver for `stored`, decided in the slot behind the last delivered one.
    Entry deliver(const Entry& stored) {
        ENSURE(stored.index == delivered_.index.next() && stored.index <= decided_);
        std::optional<Entry> value = value_of(stored);
        ENSURE(value.has_value());  // Nothing malformed is accepted.
        Entry entry = in_primary_order(*std::move(value), delivered_.ballot);
        ENSURE(entry.ballot >= delivered_.ballot);
        delivered_ = {entry.index, entry.ballot};
        return entry;
    }
    /// So many octets were delivered up to here.
    void await_application(uint64_t bytes) { deliveries_.push(delivered_.index, bytes); }
    void apply_to(LogIndex slot) {
        ENSURE(slot <= delivered_.index);
        applied_ = std::max(applied_, slot);
        deliveries_.confirm(applied_);
    }
    /// The state machine was replaced by a newer one.
    void jump_to(LogPosition position) {
        decided_ = std::max(decided_, position.index);
        if (delivered_.index < position.index) delivered_ = position;
        applied_ = std::max(applied_, position.index);
        deliveries_.confirm(applied_);
    }

    void add_to(Digest& digest) const {
        digest.add(decided_).add(delivered_).add(applied_);
        deliveries_.add_to(digest);
    }

private:
    LogIndex decided_;
    LogPosition delivered_;  // With the ballot as delivered: what the next one must follow.
    LogIndex applied_;
    ByteWindow deliveries_;  // Delivered and not applied.
};

}  // namespace polis::consensus
