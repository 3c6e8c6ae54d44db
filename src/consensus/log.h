// The contract of consensus: one replicated log, one step function. Raft, Multi-Paxos and Zab implement it; nothing
// above can tell which. Pure: no clock, socket, file, thread or chance but what comes in.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <variant>
#include <vector>

#include "base/entry.h"
#include "base/id.h"
#include "base/time.h"
#include "consensus/membership.h"
#include "consensus/message.h"

namespace polis::consensus {

/// Names one request to the log; chosen by the shell, unique for one life of the process.
using RequestId = uint64_t;
/// Names one Store; chosen by the core, ascending.
using StoreToken = uint64_t;

enum class ReadKind : uint8_t {
    Index,  // Linearizable: a majority confirms the leader after the request came (read-index).
    Lease,  // Linearizable while clocks drift less than the options say; no round trip while the lease holds.
};

enum class Why : uint8_t {
    NoLeader,     // Nobody leads now.
    NotLeader,    // Somebody else does: see the hint.
    Overloaded,   // Too many uncommitted bytes or entries.
    NoSpace,      // Our disk is full.
    StaleBallot,  // The proposer's ballot is no longer the leader's.
    Busy,         // Another membership change or transfer is under way.
    Invalid,      // The change asked for makes no sense (no voters, a node in both lists, transfer to a learner ...).
    Lagging,      // A learner is too far behind to become a voter.
    Removed,      // This node is no longer a member.
};

// ---- Inputs: what can happen to a participant. `now` comes with each (see step). ----

/// First input, once: what the disk held. `state_position`/`state_membership`: what the state machine's durable state
/// covers; entries up to there may be missing below.
struct Recovered {
    HardState hard_state;
    LogPosition start;                   // The log on disk begins after this position.
    std::vector<LogPosition> positions;  // Of the entries on disk after `start`, ascending and dense.
    std::vector<Entry> tail;             // The newest of them, as many as the cache may hold; a suffix of `positions`.
    std::vector<Entry> membership_entries;  // All entries on disk of kind Membership.
    LogPosition applied;                    // What the state machine has durably applied.
    Membership membership;                  // In force at `applied`.
    std::vector<LogRange> damaged;  // Entries that were whole once and are not any more: to be fetched from others,
                                    // never taken for "not there".
};
/// Time has passed; given at `Log::next_deadline` at the latest (a tick late is harmless).
struct Tick {};
struct Receive {
    NodeId from;
    Message message;
};
/// The Store with this token, and all before it, are durable.
struct Stored {
    StoreToken token;
};
/// The Store with this token could not be done for lack of space, nor will those be that were given after it and before
/// this input: nothing of them is on disk. The core gives them again later.
struct StoreRefused {
    StoreToken token;
};
/// The answer to Fetch, with its range: the first entries of it, dense; or none if the first is gone or unreadable.
struct Fetched {
    LogRange range;
    std::vector<Entry> entries;
};
/// The state machine has applied up to here (in memory): reads may be served up to it.
struct Applied {
    LogIndex index;
};
struct Proposal {
    RequestId id;
    Bytes command;
};
/// Commands for the log, to be decided in this order. If `ballot` is set, only while that leadership lasts.
struct Propose {
    std::optional<Ballot> ballot;
    std::vector<Proposal> proposals;
};
/// Asks from which index on a read sees everything acknowledged before now. Works on any node (asks the leader).
struct ReadBarrier {
    RequestId id;
    ReadKind kind;
};
/// Change the membership to `voters` and `learners` (the joint steps between are the core's business).
struct Reconfigure {
    RequestId id;
    std::vector<NodeId> voters;
    std::vector<NodeId> learners;
};
struct TransferLeadership {
    RequestId id;
    NodeId to;
};
/// Entries up to here will never be asked for by the shell: they may be dropped from memory, and the log on disk now
/// begins after `position`.
struct Compacted {
    LogPosition position;
};
/// The shell has made the state of a snapshot from another node durable and its own. REQUIRES: it covers more than was
/// applied before. The core gives the Store that makes the log begin there. What was delivered before and lies
/// behind `position` need not be applied any more; what lies after it must be.
struct SnapshotInstalled {
    LogPosition position;
    Membership membership;
};
/// How a snapshot asked for by NeedSnapshot ended. `position`: what it covered.
struct SnapshotSent {
    NodeId to;
    LogPosition position;
    bool ok;
};
/// The transport lost the connection to this node (messages may have been lost).
struct Unreachable {
    NodeId node;
};
/// What the shell knows of another node as such, from all that is said between the two: told at each change, all are alive at
/// first. It stands for the heartbeats of a group that is quiet: one that is not alive leads nothing that need be waited for.
/// REQUIRES: a node whose process ended, or to or from whom messages were lost, is told as not alive in between.
struct Liveness {
    NodeId node;
    bool alive;
};

using Input =
    std::variant<Recovered, Tick, Receive, Stored, StoreRefused, Fetched, Applied, Propose, ReadBarrier, Reconfigure,
                 TransferLeadership, Compacted, SnapshotInstalled, SnapshotSent, Unreachable, Liveness>;

// ---- Outputs: what a participant asks of its shell, to be done in order. ----

struct Send {
    NodeId to;
    Message message;
};
/// Make durable, then answer Stored. Stores are done in order. The shell goes on with the outputs after it at once:
/// what must wait for the Store comes out only after Stored.
struct Store {
    StoreToken token;
    LogWrite write;
};
/// Read these entries from the log on disk, then answer Fetched. At most Options::fetch_bytes_max matter: fewer may come.
struct Fetch {
    LogRange range;
};
/// Committed entries, dense, in order, each once: apply them, then answer Applied. All kinds come; the shell applies
/// Commands, and skips the others (their position counts all the same).
struct Deliver {
    std::vector<Entry> entries;
    std::vector<RequestId> ids;  // Of this node's own proposals among `entries`: one per entry, 0 for others'.
};
/// Everything up to `index`, once applied, includes all that was acknowledged before the barrier was asked for.
struct ReadReady {
    RequestId id;
    LogIndex index;
};
/// The request was not and will not be done.
struct Rejected {
    RequestId id;
    Why why;
    NodeId leader;  // Where to go instead, or Nobody.
};
/// The request may or may not have happened, and this node will not learn it soon.
struct Abandoned {
    RequestId id;
};
/// A Reconfigure or TransferLeadership is complete.
struct Done {
    RequestId id;
};
/// This node leads, and everything committed before has been delivered to it.
struct LeaderReady {
    Ballot ballot;
};
/// This node no longer leads (or never became ready).
struct LeaderLost {
    Ballot ballot;
};
/// Somebody (or Nobody) is known to lead now.
struct LeaderKnown {
    NodeId leader;
    Ballot ballot;
};
/// This membership is in force from `index` on (applied in the log's order, that is between two Delivers).
struct ConfigActive {
    LogIndex index;
    Membership membership;
};
/// `to` needs entries that are gone: send it a snapshot that covers at least `position`, then answer SnapshotSent.
struct NeedSnapshot {
    NodeId to;
    LogIndex position;
};

using Output = std::variant<Send, Store, Fetch, Deliver, ReadReady, Rejected, Abandoned, Done, LeaderReady, LeaderLost,
                            LeaderKnown, ConfigActive, NeedSnapshot>;
using Outputs = std::vector<Output>;

/// Limits and times of a participant; the same meaning in all protocols.
struct Options {
    NodeId self;
    uint64_t seed = 0;                              // Of this node's draws; the only source of chance inside.
    Duration tick = std::chrono::milliseconds(10);  // The coarsest step of time; finer is welcome.
    Duration heartbeat = std::chrono::milliseconds(50);
    Duration election_timeout = std::chrono::milliseconds(250);  // Each wait is drawn from [1, 2) times this.
    Duration clock_drift_max = std::chrono::milliseconds(25);    // Over one election timeout, between any two nodes.
    uint64_t message_bytes_max = 1u << 20;                       // Of entries in one message (one entry may exceed it).
    uint32_t inflight_messages_max = 256;                        // Per follower, sent and not acknowledged.
    uint64_t inflight_bytes_max = 64u << 20;
    uint64_t uncommitted_bytes_max = 256u << 20;  // Beyond it proposals are Rejected{Overloaded}.
    uint64_t deliver_bytes_max = 8u << 20;        // Of entries in one Deliver.
    uint64_t cache_bytes_max = 32u << 20;         // Of entries kept in memory (more only while they are not durable).
    uint64_t fetch_bytes_max = 4u << 20;          // Of entries worth reading from disk for one Fetch.
    uint64_t catch_up_entries = 5000;             // How far behind a learner may be to be promoted.
    uint32_t priority = 100;                      // A node yields elections to a better one that is up to date.
    Duration quiesce_after{
        0};  // A group that had nothing to do for so long sends nothing any more; 0: never. Needs Liveness.
    bool pre_vote = true;
    bool check_quorum = true;
};

/// What a participant is now, for status, metrics and tests.
struct Status {
    enum class Role : uint8_t { Learner, Follower, Candidate, Leader };
    Role role = Role::Follower;
    bool ready = false;  // Leads, and LeaderReady was given.
    bool quiet = false;  // Sends nothing and expects nothing until something happens.
    NodeId leader{};
    Ballot ballot;
    LogIndex first;  // The first entry that this node can still give to others.
    LogIndex last;
    LogIndex committed;
    LogIndex applied;
    Membership membership;
    struct Progress {
        NodeId node;
        LogIndex matched;  // Known to be on its disk.
        bool active;       // Heard of within the last election timeout, or a quiet group's and alive.
        bool snapshotting;
        uint32_t priority;  // As it said last.
    };
    std::vector<Progress> progress;  // Leader only.
};

/// One participant of one group. A regular value behind an interface: `clone` copies, `digest` hashes all state that
/// decides what it will do.
class Log {
public:
    virtual ~Log() = default;

    /// Consumes one input and appends what it calls for. Never blocks, never fails, and never trusts a message: what
    /// cannot have been sent by a correct participant is ignored.
    ///
    /// `now`: boot time, counting suspension, never falling: a leader that was stopped must see that its lease is over.
    /// Every Propose, ReadBarrier, Reconfigure and TransferLeadership ends in exactly one of Deliver (Done, ReadReady),
    /// Rejected, Abandoned, for each id, unless the process ends first.
    virtual void step(Instant now, Input input, Outputs& out) = 0;

    /// When a Tick is due at the latest if nothing else happens before: the shell may sleep until then. An earlier
    /// Tick does no harm. Instant::never() if time changes nothing.
    virtual Instant next_deadline() const = 0;

    virtual Status status() const = 0;
    virtual std::unique_ptr<Log> clone() const = 0;
    virtual uint64_t digest() const = 0;
};

std::string_view name_of(Why why);

}  // namespace polis::consensus
