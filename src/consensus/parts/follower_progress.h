// FollowerProgress: what a leader knows of one follower, and what it may send to it next.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/entry.h"
#include "base/id.h"
#include "base/time.h"
#include "consensus/parts/byte_window.h"
#include "consensus/parts/digest.h"

namespace polis::consensus {

/// One follower or learner in the eyes of the leader of a term. A value.
///
/// Invariants: matched < next, except while a snapshot is on its way; the window is empty unless replicating.
struct FollowerProgress {
    enum class State : uint8_t {
        Probe,      // We do not know where its log agrees with ours: one message at a time.
        Replicate,  // It does, up to next - 1 once all has arrived: messages are sent ahead of their answers.
        Snapshot,   // It needs what our log no longer has: nothing is sent until the shell has sent a snapshot.
    };

    NodeId node{};
    State state = State::Probe;
    LogIndex matched{};            // Known to be on its disk and equal to ours.
    LogIndex next{};               // The next entry to send.
    LogIndex committed_told{};     // The highest commit index that it was sent in this state.
    ByteWindow window{};           // Sent and not acknowledged.
    bool probing = false;          // A probe is out: wait for its answer, or for the next heartbeat's.
    bool fetching = false;         // Entries for it are being read from disk.
    bool out_of_space = false;     // Its disk is full: it takes no entries.
    bool departing = false;        // Not in the membership in force any more; served until that is committed.
    Instant heard_at{};            // When its last message of this term came (or we became leader).
    uint64_t confirmed_round = 0;  // The newest heartbeat round that it answered.
    uint64_t checked_round = 0;    // The round that will tell whether what was sent before it was lost; 0: none is out.
    LogIndex checked_next{};       // `next` when that round was sent.
    uint32_t priority = 0;         // As it said last.

    void become_probe(LogIndex next_index) {
        state = State::Probe;
        next = std::max(next_index, matched.next());
        window.clear();
        probing = false;
        committed_told = LogIndex();
    }
    void become_replicate() {
        state = State::Replicate;
        next = std::max(next, matched.next());
        window.clear();
        probing = false;
        checked_round = 0;
    }
    void become_snapshot() {
        state = State::Snapshot;
        window.clear();
        probing = false;
    }

    void add_to(Digest& digest) const {
        digest.add(node).add(static_cast<uint64_t>(state)).add(matched).add(next).add(committed_told);
        digest.add(uint64_t{probing}).add(uint64_t{fetching}).add(uint64_t{out_of_space}).add(uint64_t{departing});
        digest.add(heard_at).add(confirmed_round).add(checked_round).add(checked_next).add(uint64_t{priority});
        window.add_to(digest);
    }
};

}  // namespace polis::consensus
