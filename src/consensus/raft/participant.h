// RaftParticipant: one participant of Raft. Its parts are values of their own; this holds them together and decides.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/random.h"
#include "consensus/log.h"
#include "consensus/parts/byte_window.h"
#include "consensus/parts/entry_log.h"
#include "consensus/parts/follower_progress.h"
#include "consensus/parts/membership_history.h"
#include "consensus/parts/pending_requests.h"
#include "consensus/parts/read_rounds.h"
#include "consensus/parts/store_queue.h"
#include "consensus/raft/message_kind.h"

namespace polis::consensus {

/// See raft.h and README.md. The functions are in the file of their topic, named in the comments below.
///
/// Invariants (those of one part stand with it): delivered <= committed <= log's last; delivered <= durable;
/// applied <= delivered; the term never falls; at most one vote a term; between steps `write_` is empty.
class RaftParticipant final : public Log {
public:
    explicit RaftParticipant(Options options);

    void step(Instant now, Input input, Outputs& out) override;
    Status status() const override;
    Instant next_deadline() const override;
    std::unique_ptr<Log> clone() const override { return std::make_unique<RaftParticipant>(*this); }
    uint64_t digest() const override;

private:
    enum class Role : uint8_t { Follower, PreCandidate, Candidate, Leader };

    struct Campaign {
        uint64_t context = 0;           // Names this round of pre-votes.
        StoreToken vote_token = 0;      // Our vote for ourselves; nothing is asked or counted before it is durable.
        bool asked = false;             // The requests of a real election are out.
        bool forced = false;            // The leader told us to: voters ignore their lease.
        std::vector<NodeId> granted{};  // Who votes for us, each once.
    };
    struct GrantedVote {  // Given, but not durable yet: to be told afterwards.
        NodeId to{};
        StoreToken token = 0;
    };
    struct Transfer {
        RequestId id = 0;  // 0: of our own accord.
        NodeId to{};
        Instant deadline{};
        bool told = false;  // TimeoutNow is out: it may succeed even after the deadline.
    };
    struct PendingReconfigure {
        RequestId id = 0;
        LogPosition position{};  // Of its first entry.
        bool committed = false;  // That entry is; the change will be completed by whoever leads.
    };
    struct ForwardedRead {
        RequestId id = 0;
        ReadKind kind = ReadKind::Index;
        Instant deadline{};
    };
    struct FetchUnderWay {
        LogRange range{};
        std::vector<NodeId> readers{};  // Followers, or Nobody for our own Deliver.
    };
    struct RepairReader {  // Asked for entries that are being read from disk, from `first` on.
        NodeId node{};
        LogIndex first{};
    };

    // participant.cc: inputs, time, and what every step ends with.
    void on(Recovered recovered, Outputs& out);
    void on(const Tick& tick, Outputs& out);
    void on(Receive receive, Outputs& out);
    void on(const Applied& applied, Outputs& out);
    void finish_step(Outputs& out);
    void send(NodeId to, RaftKind kind, Message message, Outputs& out) const;
    bool is_voter() const { return memberships_.current().votes(options_.self); }
    uint64_t fresh_context() { return ++context_; }

    // election.cc
    void become_follower(Ballot term, NodeId leader, Outputs& out);
    void follow(NodeId leader, Outputs& out);
    void know_leader(NodeId leader, Outputs& out);
    void draw_election_deadline(Instant from);
    bool may_campaign() const;
    bool grants_no_vote() const;
    bool hears_leader() const;
    bool is_up_to_date(const LogPosition& candidate) const {
        return candidate_key(candidate) >= candidate_key(log_.last());
    }
    static std::pair<Ballot, LogIndex> candidate_key(const LogPosition& end) { return {end.ballot, end.index}; }
    void start_pre_vote(Outputs& out);
    void start_election(bool forced, Outputs& out);
    void ask_for_votes(Outputs& out);
    void count_vote(NodeId from, Outputs& out);
    void become_leader(Outputs& out);
    void lose_leadership(Outputs& out);
    void on_pre_vote(NodeId from, const Message& message, Outputs& out);
    void on_pre_vote_reply(NodeId from, const Message& message, Outputs& out);
    void on_vote(NodeId from, const Message& message, Outputs& out);
    void on_vote_reply(NodeId from, const Message& message, Outputs& out);
    void on_older_term(NodeId from, const Message& message, Outputs& out);
    bool enter_newer_term(NodeId from, const Message& message, Outputs& out);

    // follower.cc: a follower's side of replication.
    void on_append(NodeId from, Message message, Outputs& out);
    void on_heartbeat(NodeId from, const Message& message, Outputs& out);
    void answer_heartbeat(NodeId to, uint64_t round, Outputs& out);
    void reject_append(NodeId to, const Message& message, Outputs& out);
    bool accept_entries(std::vector<Entry> entries);
    void append_from_leader(std::vector<Entry> entries);
    void overwrite_from(LogIndex index);
    void acknowledge(Outputs& out);
    LogIndex acknowledged() const { return std::min(verified_, durable()); }
    void report_damage(Outputs& out);

    // replication.cc: the leader's side.
    FollowerProgress* progress_of(NodeId node);
    void append_own(EntryKind kind, Bytes payload);
    void replicate_to_all(Outputs& out);
    void replicate_to(FollowerProgress& to, Outputs& out);
    bool send_append(FollowerProgress& to, Outputs& out);
    void send_entries(FollowerProgress& to, std::span<const Entry> entries, Outputs& out);
    void broadcast_heartbeat(Outputs& out);
    void tell_committed(Outputs& out);
    void on_append_reply(NodeId from, const Message& message, Outputs& out);
    void on_rejected_append(FollowerProgress& from, const Message& message, Outputs& out);
    void on_heartbeat_reply(NodeId from, const Message& message, Outputs& out);
    void on_damaged(NodeId from, const Message& message, Outputs& out);
    void on_matched(FollowerProgress& from, LogIndex matched, Outputs& out);
    void on(const Unreachable& unreachable, Outputs& out);
    bool hears_majority() const;
    uint32_t best_priority() const;

    // commit.cc
    void on(Propose propose, Outputs& out);
    void advance_commit(Outputs& out);
    void commit_to(LogIndex index, Outputs& out);
    void deliver(Outputs& out);
    void deliver_batch(std::span<const Entry> entries, Outputs& out);
    void reject(RequestId id, Why why, Outputs& out) const;
    std::optional<Why> refusal() const;

    // reads.cc
    void on(const ReadBarrier& barrier, Outputs& out);
    void on_read_request(NodeId from, const Message& message, Outputs& out);
    void on_read_reply(NodeId from, const Message& message, Outputs& out);
    void add_barrier(ReadRounds::Barrier barrier, bool lease, Outputs& out);
    void answer(const ReadRounds::Barrier& barrier, Outputs& out);
    void release_early_reads(Outputs& out);
    void advance_reads(Outputs& out);
    void start_round_if_wanted(Outputs& out);
    void forward_reads(Outputs& out);
    void keep_reads_for_next_leader(Outputs& out);
    void expire_forwarded_reads(Outputs& out);
    bool lease_holds() const;
    bool has_committed_in_term() const { return committed_ >= term_start_; }

    // reconfiguration.cc
    void on(const Reconfigure& reconfigure, Outputs& out);
    std::optional<Why> objection_to(const Membership& target) const;
    Membership toward(const Membership& target) const;
    void append_membership(const Membership& membership, Outputs& out);
    void refresh_progress();
    void settle_membership(Outputs& out);
    void finish_reconfigure(const LogPosition& delivered, const Membership* membership, Outputs& out);

    // transfer.cc
    void on(const TransferLeadership& transfer, Outputs& out);
    void push_transfer(Outputs& out);
    void expire_transfer(Outputs& out);
    void end_transfer(NodeId leader, Outputs& out);
    void on_timeout_now(NodeId from, Outputs& out);
    FollowerProgress* best_successor();
    void hand_over(FollowerProgress& to, Outputs& out);

    // storage.cc: completion of Stores and Fetches, full disks.
    void on(const Stored& stored, Outputs& out);
    void on(const StoreRefused& refused, Outputs& out);
    void on(Fetched fetched, Outputs& out);
    void fetch(NodeId reader, LogIndex first, LogIndex last, Outputs& out);
    void fetch_for_repair(RepairReader reader, LogIndex last, Outputs& out);
    std::vector<NodeId>& readers_from(LogIndex first, LogIndex last, Outputs& out);
    void deliver_fetched(LogIndex first, std::span<const Entry> entries, Outputs& out);
    void send_fetched(NodeId reader, LogIndex first, std::span<const Entry> entries, Outputs& out);
    void flush_write(Outputs& out);
    void retry_refused(Outputs& out);
    void give_up_leading_without_space(Outputs& out);
    /// Up to where the log is on disk and readable.
    LogIndex durable() const { return std::min(stores_.durable(), log_.whole_to()); }
    HardState hard_state() const {
        return {.promised = term_, .voted_for = vote_, .current_epoch = 0, .committed = committed_};
    }

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
    bool wakes(NodeId from, RaftKind kind) const;

    // snapshot.cc
    void on(const Compacted& compacted, Outputs& out);
    void on(SnapshotInstalled installed, Outputs& out);
    void on(const SnapshotSent& sent, Outputs& out);
    void ask_for_snapshot(FollowerProgress& to, Outputs& out);
    LogIndex first_to_give() const { return std::max(log_.start().index, unreadable_to_).next(); }

    // repair.cc: damaged entries, fetched back from whoever has them.
    void ask_for_repair(Outputs& out);
    void on_repair_request(NodeId from, const Message& message, Outputs& out);
    void on_repair_reply(const Message& message, Outputs& out);
    void send_repair(NodeId to, std::span<const Entry> entries, Outputs& out);
    void repair(const Entry& entry);
    void lose(LogIndex index, Outputs& out);

    Options options_;
    Chance chance_;
    Instant now_;             // Of the newest step; never falls.
    bool recovered_ = false;  // Until then nothing but Recovered is heard.

    // ---- Who leads (Ongaro 2014 §3.4) ----
    Role role_ = Role::Follower;
    Ballot term_;                      // The newest term seen; its node is Nobody.
    NodeId vote_{};                    // Ours in term_, or Nobody.
    NodeId leader_{};                  // Of term_, as far as known.
    NodeId told_leader_{};             // The last LeaderKnown said this ...
    Ballot told_term_;                 // ... of this term.
    bool hard_state_changed_ = false;  // term_ or vote_ differ from what the last Store holds.
    Instant heard_at_;                 // When leader_ was last heard.
    Instant votes_from_;               // Before, no vote is granted: a leader from before our restart may hold a lease.
    Instant election_deadline_;        // If nobody leads by then, we try (unless we lead).
    uint32_t best_priority_ = 0;       // Of the other voters that are up, as the leader says.
    Campaign campaign_;
    std::optional<GrantedVote> granted_vote_;

    // ---- The log ----
    EntryLog log_;
    StoreQueue stores_;
    LogWrite write_;              // Of this step, not given to the shell yet.
    std::vector<Entry> repairs_;  // Damaged entries to be rewritten with it.
    MembershipHistory memberships_;
    LogIndex committed_;
    LogIndex committed_stored_;  // The newest that a Store's hard state holds.
    LogIndex delivered_;
    LogIndex applied_;
    ByteWindow deliveries_;   // Delivered and not applied.
    LogIndex unreadable_to_;  // Entries up to here are applied, but cannot be given to others: their bytes are damaged.
    Instant retry_at_;        // When to try again what a full disk refused.
    Instant repair_at_;       // When to ask again for what is damaged.
    std::vector<FetchUnderWay> fetches_;
    std::vector<RepairReader> repair_readers_;
    std::vector<NodeId> repair_snapshots_;  // Who is being sent one to repair what is gone here; each once.

    // ---- Following ----
    LogIndex verified_;  // Up to here our log is known to equal that of term_'s leader; 0 at the start of a term.
    LogIndex acked_;     // The last that was acknowledged to it.

    // ---- Leading: meaningful while role_ is Leader ----
    std::vector<FollowerProgress> progress_;  // Sorted by node; everybody in the membership but us, and the departing.
    bool membership_settled_ = false;  // The membership in force is committed, and what follows from that is done.
    LogIndex term_start_;              // Of our first entry (Noop) of the term.
    bool ready_ = false;               // LeaderReady was given.
    Instant heartbeat_at_;
    Instant quorum_since_;    // Leading since; check-quorum leaves a new leader one election timeout.
    ByteWindow uncommitted_;  // Appended by us and not committed.
    std::optional<Transfer> transfer_;
    bool lease_broken_ = false;  // A transfer was told in this term: others may win against our lease.
    ReadRounds reads_;
    std::vector<ReadRounds::Barrier> early_reads_;  // Came before we had committed in our term.

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
