// What services and gateways see of a cluster: a replicated state machine to give commands to, and who the members are.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/id.h"
#include "base/latency_histogram.h"
#include "base/result.h"
#include "base/time.h"
#include "runtime/task.h"
#include "storage/kv/overlay.h"
#include "storage/kv/store.h"

namespace polis::cluster {

/// What surrounds every replicated command, from the first byte ever written. Encoding: cluster/envelope.cc.
struct Envelope {
    uint8_t format = 1;
    uint32_t feature_level = 1;  // Of the cluster, when it was proposed.
    uint32_t tenant = 0;
    std::string principal;       // Who asks; empty: nobody in particular (authentication off), or the system itself.
    uint64_t auth_revision = 0;  // Of the users and roles under which it was let in.
    WallTime leader_time;   // The leader's wall time at proposal: never falls from one command to the next of a group.
    NodeId origin{};        // The node that accepted the request ...
    uint64_t sequence = 0;  // ... and its number there: a command of one (origin, sequence) is applied once.
    uint64_t outstanding_from = 0;  // All sequences of `origin` below this one have been answered: forget them.
    uint64_t trace = 0;             // For logs.
    Bytes command;                  // The service's.
};

/// What a model does with one command.
struct Applied {
    Bytes reply;  // To whoever proposed it, on whichever node.
};

/// A replicated state machine: deterministic code over its part of the store. Same commands in the same order, same state
/// and same replies on every node. No clock, no chance, no global; reads only `store` and what it derived from it.
class Model {
public:
    virtual ~Model() = default;

    /// The state in `store` was replaced or has just been opened: forget and rebuild whatever is kept in memory.
    virtual Result<void> load(const storage::Store& store) = 0;

    /// Applies one command: reads and writes go through `state`, which holds the store and the commands applied before in the
    /// same batch.
    virtual Applied apply(LogIndex index, const Envelope& envelope, storage::Overlay& state) = 0;

    /// The last command of a batch has been applied: what need be written once a batch only (totals) goes into `state` now.
    virtual void end_batch(storage::Overlay& /*state*/) {}

    /// Everything applied since the last call has been written to the store and is visible there: publish events now.
    /// Replies leave after this returns.
    virtual void committed(LogIndex index) = 0;
};

/// Why a node leads or does not, told to the service's shell.
struct Leadership {
    bool ready = false;  // This node leads, and has applied all that was committed before.
    NodeId leader{};     // Nobody if unknown.
    Ballot ballot;       // Of `leader`.
};

/// One group as its service sees it on one node. Any node takes proposals and barriers; forwarding to the leader is done inside.
/// Lives on one reactor.
class Replica {
public:
    virtual ~Replica() = default;

    /// What travels with a command but is not the service's to invent.
    struct Caller {
        uint32_t tenant = 0;
        std::string principal;
        uint64_t auth_revision = 0;
        uint64_t trace = 0;
    };

    /// Replicates the command and returns the model's reply, after this node (the one asked) has applied it, so that the
    /// caller reads its own write here.
    /// Errors: Unavailable, Overloaded, NoSpace: nothing was done. Unknown: it may have been done. Timeout never:
    /// a deadline that passes after the command was handed on is Unknown.
    virtual runtime::Task<Bytes> propose(const Caller& caller, Bytes command) = 0;

    /// As propose, for commands that only make sense under one leadership (lease expiry): Stale if it is over.
    virtual runtime::Task<Bytes> propose_as_leader(Ballot ballot, Bytes command) = 0;

    /// Returns when this node's state includes everything that was acknowledged anywhere before the call. Many callers share
    /// one round. Errors: Unavailable (no leader), the scope's.
    virtual runtime::Task<void> read_barrier() = 0;

    virtual const storage::Store& store() const = 0;
    virtual LogIndex applied_index() const = 0;
    virtual Leadership leadership() const = 0;

    /// Called on every change of leadership, on the reactor.
    virtual void on_leadership(std::function<void(const Leadership&)> listener) = 0;

    /// Asks the leader's node (forwarded if it is not this one) through the service's own `ask` handler: for soft state that only
    /// the leader has (lease renewals). Errors: Unavailable.
    virtual runtime::Task<Bytes> ask_leader(Bytes question) = 0;
    virtual void on_question(std::function<runtime::Task<Bytes>(Bytes)> handler) = 0;
};

/// One member, as `meta` has it.
struct Member {
    NodeId id{};
    std::string name;                    // Empty until it has joined.
    std::vector<std::string> peer_urls;  // As users gave them: http(s)://host:port
    std::vector<std::string> client_urls;
    bool learner = false;
    std::map<std::string, std::string> labels;  // zone and such.
};

/// How one member looks from this node.
struct MemberHealth {
    NodeId id{};
    bool connected = false;             // This node can speak to it.
    bool alive = false;                 // It speaks to this node: nobody waits for another to lead in its place.
    double phi = 0;                     // How strongly its silence speaks against it (PhiDetector); 0: not at all.
    bool suspected = false;             // Phi is beyond its threshold, or the member was never heard.
    std::optional<Duration> heard_ago;  // Since its last sign of life; unset: there was none.
};

/// Facts about one group for status answers.
struct GroupStatus {
    LogIndex last, committed, applied;
    Ballot ballot;
    NodeId leader{};
    uint64_t snapshots_sent = 0, snapshots_received = 0;
    uint64_t proposals_pending = 0, proposals_failed = 0, leader_changes = 0, slow_applies = 0;
    LatencyHistogram store_writes;  // Of applied batches.
};

/// The cluster as gateways see it.
class Cluster {
public:
    virtual ~Cluster() = default;
    virtual ClusterId id() const = 0;
    virtual NodeId self() const = 0;
    virtual std::vector<Member> members() const = 0;    // As applied here.
    virtual runtime::Task<void> members_barrier() = 0;  // Linearizable: then members() is current.

    /// Errors of the four: Invalid, Exists, NotFound, Unavailable (not enough started members), Stale (promote: the learner is not in sync;
    /// add: a voting member cannot be reached, perhaps one that was added and not started yet).
    virtual runtime::Task<Member> add_member(std::vector<std::string> peer_urls, bool learner) = 0;
    virtual runtime::Task<void> remove_member(NodeId id) = 0;
    virtual runtime::Task<void> update_member(NodeId id, std::vector<std::string> peer_urls) = 0;
    virtual runtime::Task<void> promote_member(NodeId id) = 0;

    /// Moves the leadership of every group that this node leads to `to`. Errors: NotLeader, Invalid, Timeout.
    virtual runtime::Task<void> transfer_leadership(NodeId to) = 0;

    virtual GroupStatus status(GroupId group) const = 0;
    virtual uint32_t feature_level() const = 0;
    /// Of all members, this one among them.
    virtual std::vector<MemberHealth> health() const { return {}; }
};

}  // namespace polis::cluster
