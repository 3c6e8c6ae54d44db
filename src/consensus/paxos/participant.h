// PaxosParticipant: one participant of Multi-Paxos. Proposer, acceptor and learner are values of their own; this holds them
// together, elects leaders and moves messages.
#pragma once

#include <algorithm>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/random.h"
#include "consensus/log.h"
#include "consensus/parts/membership_history.h"
#include "consensus/parts/pending_requests.h"
#include "consensus/parts/read_rounds.h"
#include "consensus/paxos/acceptor.h"
#include "consensus/paxos/acceptor_progress.h"
#include "consensus/paxos/learner.h"
#include "consensus/paxos/message_kind.h"
#include "consensus/paxos/proposer.h"

namespace polis::consensus {

/// See paxos.h and README.md. The functions are in the file of their topic, named in the comments below.
///
/// Invariants (those of one part stand with it): delivered <= decided <= the last slot; delivered slots are durable; the promise
/// never falls; while leading, the promise is our ballot.
class PaxosParticipant final : public Log {
public:
    explicit PaxosParticipant(Options options);

    void step(Instant now, Input input, Outputs& out) override;
    Status status() const override;
    Instant next_deadline() const override;
    std::unique_ptr<Log> clone() const override { return std::make_unique<PaxosParticipant>(*this); }
    uint64_t digest() const override;

private:
    enum class Role : uint8_t { Follower, Probing, Preparing, Leader };

    struct Campaign {
        uint64_t context = 0;              // Names this round of probes.
        StoreToken promise_token = 0;      // Our own promise; nothing is asked before it is durable.
        bool asked = false;                // The Prepares are out.
        bool forced = false;               // The leader told us to: acceptors ignore their lease.
        std::vector<NodeId> favourable{};  // Who would promise, each once.
    };
    struct GivenPromise {  // Not durable yet: to be told afterwards.
        NodeId to{};
        LogIndex after{};  // Behind this slot the report begins.
        StoreToken token = 0;
    };
    struct Transfer {
        RequestId id = 0;  // 0: of our own accord.
        NodeId to{};
        Instant deadline{};
        bool told = false;  // TimeoutNow is out: it may succeed even after the deadline.
    };
    struct
        ComingMembership {  // Proposed by us; nothing is proposed behind it until it is in force and phase 1 done in it.
        LogIndex slot{};
        Membership membership{};
        Ballot origin{};  // Of the value.
        bool delivered = false;
        bool in_force = false;
    };
    struct PendingReconfigure {
        RequestId id = 0;
        LogPosition position{};
    };
    struct ForwardedRead {
        RequestId id = 0;
        ReadKind kind = ReadKind::Index;
        Instant deadline{};
    };
    enum class Purpose : uint8_t { Delivery, Replication, Report, Learning };
    struct Reader {  // Waits for slots that are being read from disk.
        Purpose purpose{};
        NodeId node{};
        LogIndex after{};  // Report: behind which slot it begins.
    };
    struct FetchUnderWay {
        LogRange range{};
        std::vector<Reader> readers{};
    };

    // participant.cc: inputs, time, and what every step ends with.
    void on(Recovered recovered, Outputs& out);
    void on(const Tick& tick, Outputs& out);
    void on(Receive receive, Outputs& out);
    void on(const Applied& applied, Outputs& out);
    void finish_step(Outputs& out);
    void send(NodeId to, PaxosKind kind, Message message, Outputs& out) const;
    bool is_voter() const { return memberships_.current().votes(options_.self); }
    uint64_t fresh_context() { return ++context_; }
    Ballot ballot() const { return acceptor_.promised(); }
    LogIndex decided() const { return learner_.decided(); }
    /// Up to where the decisions are known here and can be read.
    LogIndex known_to() const { return std::min(decided(), acceptor_.whole_to()); }

    // leadership.cc: who leads, and for how long; becoming leader and ceasing to be.
    void become_follower(Ballot ballot, NodeId leader, Outputs& out);
    void follow(NodeId leader, Outputs& out);
    void know_leader(NodeId leader, Outputs& out);
    void draw_election_deadline(Instant from);
    bool may_campaign() const;
    bool keeps_to_leader() const;
    bool hears_leader() const;
    bool hears_majority() const;
    void become_leader(Outputs& out);
    void lose_leadership(Outputs& out);
    void on_older_ballot(NodeId from, const Message& message, Outputs& out);
    bool enter_newer_ballot(NodeId from, const Message& message, Outputs& out);

    // phase_one.cc: probing, preparing, promising.
    void start_probing(Outputs& out);
    void start_preparing(bool forced, Outputs& out);
    void ask_for_promises(const Membership& membership, Outputs& out);
    void ask_for_promise(NodeId node, Outputs& out);
    bool is_too_far_behind(LogIndex known) const;
    void on_probe(NodeId from, const Message& message, Outputs& out);
    void on_probe_reply(NodeId from, const Message& message, Outputs& out);
    void on_prepare(NodeId from, const Message& message, Outputs& out);
    void tell_promise(Outputs& out);
    void report(NodeId to, LogIndex after, std::span<const Entry> fetched, Outputs& out);
    void tell_report(NodeId to, Message part, Outputs& out);
    void on_promise(NodeId from, const Message& message, Outputs& out);

    // phase_two.cc: proposing, sending, counting.
    void on(Propose propose, Outputs& out);
    void propose_more(Outputs& out);
    void accept_own(Entry entry);
    AcceptorProgress* progress_of(NodeId node);
    void replicate_to_all(Outputs& out);
    void replicate_to(AcceptorProgress& to, Outputs& out);
    bool send_next(AcceptorProgress& to, Outputs& out);
    void send_slots(AcceptorProgress& to, std::vector<Entry> entries, Outputs& out);
    void send_accept(AcceptorProgress& to, std::vector<Entry> entries, Outputs& out);
    void resend_gap(AcceptorProgress& to, Outputs& out);
    void broadcast_heartbeat(Outputs& out);
    void tell_decided(Outputs& out);
    LogIndex decided_for(const AcceptorProgress& to) const;
    void on_accepted(NodeId from, const Message& message, Outputs& out);
    void on_heartbeat_reply(NodeId from, const Message& message, Outputs& out);
    void on_damaged(NodeId from, const Message& message, Outputs& out);
    void on_held(AcceptorProgress& from, const Message& message, Outputs& out);
    void on(const Unreachable& unreachable, Outputs& out);
    void count_accepted(Outputs& out);
    uint32_t best_priority() const;

    // following.cc: an acceptor's side of phase 2.
    void on_accept(NodeId from, Message message, Outputs& out);
    bool takes(const Entry& entry) const;
    void on_heartbeat(NodeId from, const Message& message, Outputs& out);
    void answer_heartbeat(NodeId to, uint64_t round, Outputs& out);
    void learn_from_leader(LogIndex decided);
    void acknowledge(Outputs& out);
    void acknowledge_beyond(std::span<const Entry> durable, Outputs& out);
    LogIndex held() const { return acceptor_.held_to(decided(), ballot()); }
    void report_damage(Outputs& out);

    // learning.cc: delivering what is decided, in order.
    void deliver(Outputs& out);
    size_t deliver_batch(std::span<const Entry> entries, Outputs& out);
    void on_delivered(const Entry& last, const std::vector<RequestId>& rejected, Outputs& out);
    void reject(RequestId id, Why why, Outputs& out) const;
    std::optional<Why> refusal() const;

    // reads.cc
    void on(const ReadBarrier& barrier, Outputs& out);
    void on_read_request(NodeId from, const Message& message, Outputs& out);
    void on_read_reply(const Message& message, Outputs& out);
    void add_barrier(ReadRounds::Barrier barrier, bool lease, Outputs& out);
    void answer(const ReadRounds::Barrier& barrier, Outputs& out);
    void release_early_reads(Outputs& out);
    void advance_reads(Outputs& out);
    void start_round_if_wanted(Outputs& out);
    void forward_reads(Outputs& out);
    void keep_reads_for_next_leader();
    void expire_forwarded_reads(Outputs& out);
    bool lease_holds() const;

    // reconfiguration.cc
    void on(const Reconfigure& reconfigure, Outputs& out);
    std::optional<Why> objection_to(const Membership& target) const;
    void await_membership(LogIndex slot, Membership membership, Ballot origin, Outputs& out);
    bool is_leaving() const;
    bool stays_for(LogIndex slot) const;
    LogIndex decided_to_remember() const;
    void on_membership(LogIndex slot, Membership membership, Outputs& out);
    void on_void_slot(LogIndex slot, Outputs& out);
    void push_membership(Outputs& out);
    bool is_learned_by_majority(const ComingMembership& coming) const;
    void bring_into_force(LogIndex slot, Membership membership, Outputs& out);
    void refresh_progress();
    void let_go_departing(Outputs& out);
    void finish_reconfigure(const LogPosition& delivered, Outputs& out);

    // transfer.cc
    void on(const TransferLeadership& transfer, Outputs& out);
    void push_transfer(Outputs& out);
    void expire_transfer(Outputs& out);
    void end_transfer(NodeId leader, Outputs& out);
    void on_timeout_now(NodeId from, Outputs& out);
    AcceptorProgress* best_successor();
    void hand_over(AcceptorProgress& to, Outputs& out);

    // storage.cc: completion of Stores and Fetches, full disks.
    void on(const Stored& stored, Outputs& out);
    void on(const StoreRefused& refused, Outputs& out);
    void on(Fetched fetched, Outputs& out);
    void fetch(Reader reader, LogRange range, Outputs& out);
    void give_fetched(const Reader& reader, LogIndex first, std::vector<Entry> entries, Outputs& out);
    void deliver_fetched(LogIndex first, std::span<const Entry> entries, Outputs& out);
    void send_fetched(NodeId node, LogIndex first, std::vector<Entry> entries, Outputs& out);
    void retry_refused(Outputs& out);

    // quiescence.cc: groups without work send nothing.
    void on(const Liveness& liveness, Outputs& out);
    bool is_idle() const;
    bool is_alive(NodeId node) const { return std::find(dead_.begin(), dead_.end(), node) == dead_.end(); }
    void busy() { idle_since_ = now_, quiesce_context_ = 0; }
    void try_to_quiesce(Outputs& out);
    void on_quiesce(NodeId from, const Message& message, Outputs& out);
    void on_quiesce_reply(NodeId from, const Message& message);
    void wake(NodeId because_of, Outputs& out);
    void wake_for_election();
    bool wakes(NodeId from, PaxosKind kind) const;

    // snapshot.cc
    void on(const Compacted& compacted, Outputs& out);
    void on(SnapshotInstalled installed, Outputs& out);
    void on(const SnapshotSent& sent, Outputs& out);
    void ask_for_snapshot(AcceptorProgress& to, Outputs& out);
    LogIndex first_to_give() const { return std::max(acceptor_.slots().start(), unreadable_to_).next(); }

    // repair.cc: lost slots, learned again from whoever knows what was decided in them.
    void ask_for_repair(Outputs& out);
    void on_learn_request(NodeId from, const Message& message, Outputs& out);
    void on_learn_reply(const Message& message, Outputs& out);
    void offer_snapshot(NodeId to, LogIndex first, Outputs& out);
    void send_decided(NodeId to, LogIndex first, std::span<const Entry> entries, Outputs& out);
    void lose(LogIndex slot, Outputs& out);

    Options options_;
    Chance chance_;
    Instant now_;             // Of the newest step; never falls.
    bool recovered_ = false;  // Until then nothing but Recovered is heard.

    // ---- The three roles of the paper ----
    Acceptor acceptor_;
    Learner learner_;
    Proposer proposer_;  // Meaningful while Preparing or Leader.

    // ---- Who leads ----
    Role role_ = Role::Follower;
    NodeId leader_{};             // Of the promised ballot, as far as known.
    NodeId told_leader_{};        // The last LeaderKnown said this ...
    Ballot told_ballot_;          // ... of this ballot.
    Instant heard_at_;            // When leader_ was last heard.
    Instant promises_from_;       // Before, no promise is given: a leader from before our restart may hold a lease.
    Instant election_deadline_;   // If nobody leads by then, we try (unless we lead).
    uint32_t best_priority_ = 0;  // Of the other voters that are up, as the leader says.
    Campaign campaign_;
    std::optional<GivenPromise> given_promise_;

    // ---- The log ----
    MembershipHistory memberships_;  // In force from the slot behind theirs; decided ones only.
    LogIndex unreadable_to_;  // Slots up to here are applied, but cannot be given to others: their bytes are damaged.
    Instant retry_at_;        // When to try again what a full disk refused.
    Instant repair_at_;       // When to ask again for what is lost.
    std::vector<FetchUnderWay> fetches_;
    std::vector<NodeId> repair_snapshots_;  // Who is being sent one to repair what is gone here; each once.
    LogIndex acked_;                        // The last `held` that was told to the leader.

    // ---- Leading: meaningful while role_ is Leader ----
    std::vector<AcceptorProgress>
        progress_;  // Sorted by node; everybody but us in the membership, the coming one, and the departing.
    std::optional<ComingMembership> coming_;
    std::deque<Proposal> waiting_;  // Taken, but no slot could be given yet.
    bool ready_ = false;            // LeaderReady was given.
    Instant heartbeat_at_;
    Instant quorum_since_;  // Leading since; check-quorum leaves a new leader one election timeout.
    ByteWindow undecided_;  // Proposed by us and not decided.
    uint64_t waiting_bytes_ = 0;
    std::optional<Transfer> transfer_;
    bool lease_broken_ = false;  // A transfer was told under this ballot: others may win against our lease.
    ReadRounds reads_;
    std::vector<ReadRounds::Barrier> early_reads_;  // Came before we were ready.

    // ---- Quiescence ----
    bool quiet_ = false;
    std::vector<NodeId> dead_;             // As Liveness told.
    Instant idle_since_;                   // Leader: when there was something to do last.
    uint64_t quiesce_context_ = 0;         // Of the attempt under way; 0: none is.
    std::vector<NodeId> quiesce_granted_;  // Who agreed to it.

    // ---- Requests of this node ----
    PendingRequests pending_;
    std::optional<PendingReconfigure> reconfigure_;
    std::optional<Transfer> watched_transfer_;  // We led, and wait to see whether the target does now.
    std::vector<ForwardedRead> forwarded_;      // Barriers that the leader answers, oldest first.
    uint64_t forwarded_context_ = 0;            // Of the request that is out; 0: none.
    size_t forwarded_count_ = 0;                // So many of forwarded_, from the front, it stands for.
    Instant forward_again_at_;
    uint64_t context_ = 0;  // The last drawn; begins where no earlier life of this node has been.
};

}  // namespace polis::consensus
