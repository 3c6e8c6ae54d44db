// What a replicated log is made of: entries, and the hard state that must survive a crash. Shared by consensus (which
// decides them), storage (which keeps them) and cluster (which moves them).
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/id.h"

namespace polis {

enum class EntryKind : uint8_t {
    Command = 0,     // A service's command, in its envelope; opaque to everything below the service.
    Noop = 1,        // Made by a new leader to commit what came before it; no service sees it.
    Membership = 2,  // A change of who takes part; the payload is consensus/membership.h's encoding.
};

/// One slot of a group's log. A value; the payload is shared, never copied.
struct Entry {
    LogIndex index;
    Ballot ballot;  // Under which it was proposed; never falls as the index rises (Raft, Zab).
    EntryKind kind = EntryKind::Command;
    Bytes payload;

    friend bool operator==(const Entry&, const Entry&) = default;
};

/// What a participant must remember across a crash besides the log itself, of whichever protocol.
struct HardState {
    Ballot promised;             // Raft: current term. Paxos: highest ballot promised. Zab: accepted epoch.
    NodeId voted_for{};          // Raft: the vote in `promised`. Others: the ballot's owner.
    uint64_t current_epoch = 0;  // Zab only: the epoch whose history is ours; 0 elsewhere.
    LogIndex committed;          // A hint: everything up to here was known to be committed.

    friend bool operator==(const HardState&, const HardState&) = default;
};

/// The last entry that a snapshot or a compaction covers.
struct LogPosition {
    LogIndex index;
    Ballot ballot;

    friend auto operator<=>(const LogPosition&, const LogPosition&) = default;
};

/// Changes to one group's part of the log that become durable together, in the order of the fields. An all-empty
/// one changes nothing.
struct LogWrite {
    std::optional<LogPosition> reset_to;    // A snapshot was installed: the log now starts after this position
                                            // and holds nothing (entries that follow in `entries` aside).
    std::optional<LogIndex> truncate_from;  // Entries at and after this index are gone.
    std::vector<Entry> entries;             // Appended at the end, ascending; or, where the slot exists already
                                            // (Paxos), replacing it. The newer write of a slot wins.
    std::optional<HardState> hard_state;

    bool empty() const { return !reset_to && !truncate_from && entries.empty() && !hard_state; }
};

/// Indexes first..last, both included.
struct LogRange {
    LogIndex first;
    LogIndex last;

    friend bool operator==(const LogRange&, const LogRange&) = default;
};

}  // namespace polis
