// ReadRounds: the leader's heartbeat rounds, what they confirm, and the read barriers that wait for them.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "base/id.h"
#include "base/time.h"
#include "consensus/log.h"
#include "consensus/parts/digest.h"

namespace polis::consensus {

/// A round is one heartbeat to everybody, under a number used once in the term. An answer to round r proves that the node followed us
/// after r was sent, so a barrier asked for before r was sent is served when a majority has answered r or a later round
/// (Ongaro 2014 §6.4). A barrier never waits for a round sent before it came (etcd-io/raft #397).
class ReadRounds {
public:
    struct Barrier {
        RequestId id = 0;      // If asked for here ...
        NodeId from{};         // ... or Nobody; who asked, if not here,
        uint64_t context = 0;  // and under which name.
        LogIndex index{};      // Committed when the barrier came: what the reader must have applied.
        uint64_t round = 0;    // Must be confirmed.
    };

    uint64_t newest() const { return newest_; }
    uint64_t confirmed() const { return confirmed_; }
    /// When the newest confirmed round was sent: from then on a majority grants no vote for an election timeout.
    std::optional<Instant> confirmed_sent_at() const { return confirmed_sent_at_; }

    /// A new round, sent now.
    uint64_t begin(Instant now);
    /// A majority has answered `round` or later ones.
    void confirm(uint64_t round);

    /// Adds a barrier that waits for the next round.
    void add(Barrier barrier);
    /// True if some barrier waits for its answer.
    bool is_waiting() const { return !barriers_.empty(); }
    /// True if barriers wait for a round that has not been sent, and no sent one is waited for.
    bool wants_round() const;
    /// The barriers that are confirmed, in the order they came.
    std::vector<Barrier> take_confirmed();
    std::vector<Barrier> take_all();

    void add_to(Digest& digest) const;

private:
    struct Sent {
        uint64_t round;
        Instant at;
    };
    uint64_t newest_ = 0;
    uint64_t confirmed_ = 0;
    std::optional<Instant> confirmed_sent_at_;
    std::deque<Sent> sent_;         // Not confirmed yet; ascending.
    std::deque<Barrier> barriers_;  // Their rounds never fall.
};

}  // namespace polis::consensus
