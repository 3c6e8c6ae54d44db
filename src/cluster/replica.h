// GroupReplica: one group on one node: drives a consensus core, its part of the log on disk, a store and a model.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "cluster/api.h"
#include "cluster/applied_once.h"
#include "cluster/current_store.h"
#include "cluster/peers.h"
#include "cluster/pending.h"
#include "cluster/replica_snapshot.h"
#include "cluster/sequence_table.h"
#include "cluster/store_shelf.h"
#include "consensus/log.h"
#include "runtime/task_group.h"
#include "runtime/world.h"
#include "storage/kv/overlay.h"
#include "storage/kv/transfer.h"
#include "storage/wal/wal.h"

namespace polis::cluster {

/// Limits and times of a replica.
struct ReplicaOptions {
    GroupId group{};
    NodeId self{};
    uint64_t boot = 1;                                       // How often this node has started, this start included.
    Duration propose_timeout = std::chrono::seconds(5);      // Then the outcome is unknown (or nothing was done).
    Duration resend_after = std::chrono::milliseconds(500);  // A forwarded command without answer is sent again.
    Duration sweep_interval = std::chrono::milliseconds(100);
    uint32_t pending_max = 20'000;               // Commands of clients under way; more are refused: Overloaded.
    uint32_t apply_entries_max = 512;            // In one batch.
    uint32_t barriers_max = 8;                   // Read barriers under way; each serves all that came before it.
    uint64_t keep_entries = 10'000;              // Behind the applied index, for followers to catch up.
    uint64_t flush_entries = 200'000;            // Applied since the last flush of the store ...
    uint64_t flush_pinned_bytes = 256u << 20;    // ... or held in the log: then flush, and keep no more than this.
    uint64_t snapshot_bytes_per_s = 200u << 20;  // To one receiver.
    bool lease_reads = false;                    // Serve reads by the leader's lease instead of a round trip.
};

/// Kinds of Request frames that replicas exchange. Stable on the wire.
enum class ReplicaRequest : uint8_t { Ask = 1, Snapshot = 2 };

/// Makes the consensus core; which protocol is the cluster's choice.
using MakeLog = std::function<std::unique_ptr<consensus::Log>(consensus::Options)>;

/// See cluster::Replica for what services see. Lifecycle: open, start, stop (awaited), destroy. One reactor.
///
/// Invariants: the store's applied row and the model's rows come from one batch; a command's answer leaves after the batch
/// with it is in the store and the model has published its events.
class GroupReplica : public Replica, private runtime::TurnHook {
public:
    /// Reads what the store and the log hold and builds the core. `first_membership`: of a group that is new on this node: empty if it
    /// will learn it from a leader.
    static Result<std::unique_ptr<GroupReplica>> open(runtime::World world, ReplicaOptions options,
                                                      consensus::Options consensus, const MakeLog& make_log,
                                                      storage::Wal& wal, storage::GroupLog recovered,
                                                      std::unique_ptr<StoreShelf> shelf,
                                                      std::unique_ptr<storage::Store> store, Model& model, Peers& peers,
                                                      consensus::Membership first_membership);
    ~GroupReplica() override;

    void start();
    /// Ends all work; what is under way ends as Unavailable or Unknown. Flushes the store.
    runtime::Task<void> stop();

    // ---- What services use ----
    runtime::Task<Bytes> propose(const Caller& caller, Bytes command) override;
    runtime::Task<Bytes> propose_as_leader(Ballot ballot, Bytes command) override;
    runtime::Task<void> read_barrier() override;
    const storage::Store& store() const override { return *store_; }
    LogIndex applied_index() const override { return applied_.index; }
    Leadership leadership() const override { return leadership_; }
    /// Whether this node does not vote in the group, as far as it knows.
    bool is_learner() const;
    void on_leadership(std::function<void(const Leadership&)> listener) override;
    runtime::Task<Bytes> ask_leader(Bytes question) override;
    void on_question(std::function<runtime::Task<Bytes>(Bytes)> handler) override { question_ = std::move(handler); }

    // ---- What the cluster uses ----
    void receive(NodeId from, consensus::Message message);
    void receive(NodeId from, Forward forward);
    void receive(const ForwardRefused& refused);
    runtime::Task<Bytes> on_request(NodeId from, uint8_t kind, Bytes body);
    void unreachable(NodeId node);
    void liveness(NodeId node, bool alive);
    /// Errors: NotLeader, Invalid, Unavailable; Stale if a learner lags too far behind.
    runtime::Task<void> reconfigure(std::vector<NodeId> voters, std::vector<NodeId> learners);
    runtime::Task<void> transfer_leadership(NodeId to);
    consensus::Status core_status() const { return core_->status(); }
    GroupStatus status() const;
    const consensus::Membership& membership() const { return membership_; }
    /// Read barriers that wait for a leader, for its word, or for the state to get that far.
    size_t reads_waiting() const;
    GroupId group() const { return options_.group; }
    /// Makes the state durable, at least as far as it was applied when this was called, and lets the log forget what is no longer
    /// needed. Waits for a snapshot that is being installed, and for a store that takes nothing at the moment.
    runtime::Task<void> flush();

private:
    struct FromOrigin {
        NodeId origin{};
        uint64_t sequence = 0;
    };
    struct BarrierRound {
        std::vector<std::shared_ptr<runtime::Completion<void>>> waiters;
    };

    struct IncomingSnapshot {
        Arrival arrival;
        std::unique_ptr<storage::Store> store;
        storage::PairImporter importer;
        Instant touched;  // When its last piece came.
        bool busy = false;
        uint64_t due() const { return arrival.progress.frames; }  // The piece that should come next.
    };

    GroupReplica(runtime::World world, ReplicaOptions options, storage::Wal& wal, std::unique_ptr<StoreShelf> shelf,
                 std::unique_ptr<storage::Store> store, Model& model, Peers& peers);

    // The core and its outputs (replica.cc).
    void feed(consensus::Input input);
    void perform(consensus::Output output);
    void perform(consensus::Send& send);
    void perform(consensus::Store& store);
    void perform(consensus::Fetch& fetch);
    void perform(consensus::Deliver& deliver);
    void perform(consensus::ReadReady& ready);
    void perform(consensus::Rejected& rejected);
    void perform(consensus::Abandoned& abandoned);
    void perform(consensus::Done& done);
    void perform(consensus::LeaderReady& ready);
    void perform(consensus::LeaderLost& lost);
    void perform(consensus::LeaderKnown& known);
    void perform(consensus::ConfigActive& active);
    void perform(consensus::NeedSnapshot& need);
    runtime::Task<void> store_write(consensus::StoreToken token, LogWrite write);
    runtime::Task<void> fetch_entries(LogRange range);
    void turn_end() override;
    void set_alarm();
    void publish_leadership();

    // Commands (replica_commands.cc).
    runtime::Task<Bytes> refuse_too_large(size_t bytes);
    runtime::Task<Bytes> propose_and_wait(std::shared_ptr<PendingCommand> pending);
    void send_commands();
    void propose_unsent(std::vector<std::shared_ptr<PendingCommand>> unsent);
    void forward_unsent(NodeId leader, const std::vector<std::shared_ptr<PendingCommand>>& unsent);
    Bytes envelope_of(const PendingCommand& pending, WallTime leader_time) const;
    WallTime next_leader_time();
    void resend_all();
    void sweep();
    void refuse(uint64_t sequence, consensus::Why why);
    void lose(uint64_t sequence);
    void issue_barriers();
    void retry_barrier(BarrierRound round);
    void forget_given_up_reads();

    // Applying (replica_apply.cc).
    void apply_some();
    void apply_entry(const Entry& entry);
    void finish_batch();
    void serve_ready_reads();
    runtime::Task<void> retry_store_write();
    void remember_ballot(const LogPosition& position);
    Ballot ballot_at(LogIndex index) const;
    LogIndex log_to_keep() const;
    runtime::Task<void> flush_loop();
    runtime::Task<void> flush_applied();
    runtime::Task<void> flush_store(storage::Store& store);

    // Snapshots (replica_snapshot.cc).
    runtime::Task<void> send_snapshot(NodeId to, LogIndex at_least);
    runtime::Task<void> stream_state(NodeId to, LogIndex at_least, LogPosition& position);
    runtime::Task<std::unique_ptr<storage::PairExporter>> exporter_from(storage::Cursor& pairs, uint64_t frame);
    runtime::Task<SnapshotAnswer> send_chunk(NodeId to, const SnapshotChunk& chunk);
    runtime::Task<Bytes> receive_snapshot(NodeId from, Bytes body);
    runtime::Task<void> begin_snapshot(NodeId from, SnapshotChunk chunk);
    runtime::Task<void> find_interrupted_snapshot();
    runtime::Task<void> close_store(std::unique_ptr<storage::Store> store);
    runtime::Task<void> drop_incoming();
    runtime::Task<void> remove_unused_stores();
    runtime::Task<void> keep_chunk(const SnapshotChunk& chunk);
    runtime::Task<void> install_snapshot();
    runtime::Task<void> switch_store();

    runtime::World world_;
    ReplicaOptions options_;
    storage::Wal& wal_;
    std::unique_ptr<StoreShelf> shelf_;
    std::unique_ptr<CurrentStore> store_;
    std::weak_ptr<storage::Store> retired_;  // The one before the last snapshot, while somebody reads it.
    bool shelving_ = false;                  // Stores are being opened or removed.
    bool unused_stores_ = true;              // There may be some; removed once nobody reads or continues them.
    bool looked_for_interrupted_ = false;
    Instant started_at_;
    Model& model_;
    Peers& peers_;
    std::unique_ptr<consensus::Log> core_;
    runtime::TaskGroup tasks_;
    std::unique_ptr<runtime::Alarm> alarm_;
    Instant alarm_at_ = Instant::never();

    std::deque<consensus::Input> inputs_;  // What came while the core's outputs were being performed.
    bool stepping_ = false;
    bool stopping_ = false;

    PendingCommands pending_;
    std::vector<std::shared_ptr<PendingCommand>> unsent_;
    std::vector<std::pair<FromOrigin, Bytes>> forwarded_;  // Came from others, to be proposed at the end of the turn.
    SequenceTable<FromOrigin> proposed_;                   // By request.
    consensus::RequestId next_request_ = 1;
    WallTime last_leader_time_;
    Instant next_sweep_;

    std::vector<std::shared_ptr<runtime::Completion<void>>> barrier_waiters_;
    std::vector<std::shared_ptr<runtime::Completion<void>>> barriers_to_retry_;
    std::unordered_map<consensus::RequestId, BarrierRound> barriers_;
    std::multimap<LogIndex, BarrierRound> reads_waiting_to_apply_;
    std::unordered_map<consensus::RequestId, runtime::Completion<void>*> requests_;  // Reconfigure, transfer.

    std::deque<Entry> to_apply_;
    std::optional<storage::Overlay> overlay_;  // Over *store_; made anew with it.
    AppliedOnce applied_once_;
    LogPosition applied_;                                      // Of the last batch that is in the store.
    LogPosition applying_;                                     // Of the last entry in the overlay.
    bool store_blocked_ = false;                               // The store refused the batch; a task tries again.
    std::vector<std::pair<uint64_t, Result<Bytes>>> replies_;  // Of the batch in the overlay, to our own clients.
    consensus::Membership membership_;                         // In force.
    consensus::Membership membership_applied_;  // As of the last entry in the overlay; goes into the store.
    std::deque<LogPosition> ballot_runs_;  // First index of each ballot among the entries that may still be compacted.
    LogPosition flushed_;                  // What a crash leaves applied.
    LogPosition compacted_;
    bool flushing_ = false;
    bool installing_ = false;  // A snapshot is about to take the state's place: nothing is applied.
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // Expires with this object, for what was posted.

    Leadership leadership_;
    std::vector<std::function<void(const Leadership&)>> leadership_listeners_;
    std::function<runtime::Task<Bytes>(Bytes)> question_;
    GroupStatus counters_;

    std::map<NodeId, bool> sending_snapshot_;
    std::unique_ptr<IncomingSnapshot> incoming_;
};

}  // namespace polis::cluster
