// AcceptorProgress: what a leader knows of one other node's slots, and what it may send to it next.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/entry.h"
#include "base/time.h"
#include "consensus/parts/byte_window.h"
#include "consensus/parts/digest.h"
#include "consensus/paxos/slot_set.h"

namespace polis::consensus {

/// One other member in the eyes of the leader of a ballot. A value.
///
/// Invariants: held < next, except while a snapshot is on its way; `beyond` lies behind the slot after `held`.
struct AcceptorProgress {
    enum class State : uint8_t {
        Unknown,    // We do not know what it has: its answer to a heartbeat tells.
        Replicate,  // Slots before `next` are there or on their way.
        Snapshot,   // It needs what our log no longer has: nothing is sent until the shell has sent a snapshot.
    };

    NodeId node{};
    State state = State::Unknown;
    LogIndex held{};        // Every slot up to here is decided and known there, or accepted under our ballot; durable.
    SlotSet beyond{};       // Accepted under our ballot behind a gap; durable.
    LogIndex decided{};     // Up to where it knows the decisions.
    LogIndex next{};        // The next slot to send.
    LogIndex resent_to{};   // Gaps before this slot were sent again.
    LogIndex told{};        // The highest decided slot that it was told of in this state.
    ByteWindow window{};    // Sent and not acknowledged.
    bool fetching = false;  // Slots for it are being read from disk.
    bool out_of_space = false;
    bool departing = false;        // In no membership that is in force or coming; served until that is settled.
    Instant heard_at{};            // When its last message of this ballot came (or we became leader).
    uint64_t confirmed_round = 0;  // The newest heartbeat round that it answered.
    uint64_t checked_round = 0;    // The round that will tell whether what was sent before it was lost; 0: none is out.
    LogIndex checked_next{};       // `next` when that round was sent.
    uint32_t priority = 0;         // As it said last.

    bool holds(LogIndex slot) const { return slot <= held || beyond.contains(slot); }

    /// Sends from `slot` on, again if need be.
    void replicate_from(LogIndex slot) {
        state = State::Replicate;
        next = std::max(slot, held.next());
        window.clear();
        checked_round = 0;
        told = LogIndex();
    }
    /// It has no more than this, whatever it had: what it knows to be decided is a hint on its disk only, and slots can be damaged.
    void go_back_to(LogIndex slot) {
        if (slot < held) beyond.clear();
        held = std::min(held, slot);
        replicate_from(slot.next());
    }
    void forget() {
        state = State::Unknown;
        window.clear();
        told = LogIndex();
    }
    void await_snapshot() {
        state = State::Snapshot;
        window.clear();
    }
    /// It holds all up to `slot`, and what of it is dense behind.
    void hold_to(LogIndex slot) {
        held = std::max(held, slot);
        if (const LogRange* range = beyond.range_of(held.next())) held = range->last;
        beyond.remove_to(held);
        window.confirm(held);
        next = std::max(next, held.next());
    }

    void add_to(Digest& digest) const {
        digest.add(node).add(static_cast<uint64_t>(state)).add(held).add(decided).add(next).add(resent_to).add(told);
        digest.add(uint64_t{fetching}).add(uint64_t{out_of_space}).add(uint64_t{departing}).add(heard_at);
        digest.add(confirmed_round).add(checked_round).add(checked_next).add(uint64_t{priority});
        beyond.add_to(digest);
        window.add_to(digest);
    }
};

}  // namespace polis::consensus
