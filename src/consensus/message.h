// Message: what participants of one group say to each other, of whichever protocol.
#pragma once

#include <cstdint>
#include <vector>

#include "base/entry.h"
#include "base/id.h"

namespace polis::consensus {

/// One shape for all three protocols, so that the transport, the simulator and the traces need to know none of them.
/// `kind` is the protocol's own enumeration (raft/message_kind.h ...), which says there what each field means for each
/// kind; fields that a kind does not name are zero. Travels inside cluster/peers' frames with the group's id.
struct Message {
    uint8_t kind = 0;
    bool rejected = false;
    Ballot ballot{};         // The sender's current ballot.
    LogPosition previous{};  // What `entries` follow, or the end of the sender's log.
    LogIndex committed{};    // The sender's commit index.
    LogIndex hint{};         // Protocol's own: where a rejecting follower's log ends, a read's index ...
    Ballot hint_ballot{};
    uint64_t context = 0;  // Echoed by the answer: tells which round it belongs to.
    uint32_t priority = 0;
    std::vector<Entry> entries{};

    friend bool operator==(const Message&, const Message&) = default;
};

/// What an entry counts for against limits in bytes: its payload and a fixed share for the rest.
inline uint64_t size_of(const Entry& entry) { return entry.payload.size() + sizeof(Entry); }

/// Positions and epochs above these come only from a broken peer; below them, adding one never overflows.
constexpr uint64_t index_max = uint64_t{1} << 62;
constexpr uint64_t epoch_max = uint64_t{1} << 62;

/// True if the fields can have come from a correct participant, as far as that can be told without knowing the protocol: no
/// overflow near, entries dense after `previous`, their ballots ascending and none above `ballot`.
bool is_plausible(const Message& message);

}  // namespace polis::consensus
