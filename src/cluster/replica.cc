#include "cluster/replica.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "cluster/replica_state.h"

namespace polis::cluster {

GroupReplica::GroupReplica(runtime::World world, ReplicaOptions options, storage::Wal& wal,
                           std::unique_ptr<StoreShelf> shelf, std::unique_ptr<storage::Store> store, Model& model,
                           Peers& peers)
    : world_(world),
      options_(options),
      wal_(wal),
      shelf_(std::move(shelf)),
      store_(std::make_unique<CurrentStore>(std::move(store))),
      started_at_(world.reactor.now()),
      model_(model),
      peers_(peers),
      tasks_(world.reactor),
      pending_(options.boot),
      overlay_(std::in_place, *store_->in_use()) {}

GroupReplica::~GroupReplica() { world_.reactor.forget(*this); }

Result<std::unique_ptr<GroupReplica>> GroupReplica::open(runtime::World world, ReplicaOptions options,
                                                         consensus::Options consensus, const MakeLog& make_log,
                                                         storage::Wal& wal, storage::GroupLog recovered,
                                                         std::unique_ptr<StoreShelf> shelf,
                                                         std::unique_ptr<storage::Store> store, Model& model,
                                                         Peers& peers, consensus::Membership first_membership) {
    LET(AppliedState state, load_applied_state(*store));
    if (state.position.index < recovered.start.index) {
        return fail(Code::Corrupt, "the state ends at entry " + std::to_string(state.position.index.value) +
                                       " but the log begins after " + std::to_string(recovered.start.index.value) +
                                       ": this node's disk lost state; wipe it and let the node join again");
    }
    if (state.position.index == LogIndex() && state.membership.voters.empty()) state.membership = first_membership;

    std::unique_ptr<GroupReplica> replica(
        new GroupReplica(world, options, wal, std::move(shelf), std::move(store), model, peers));
    LET(replica->applied_once_, AppliedOnce::load(*replica->store_));
    TRY(model.load(*replica->store_));
    replica->applied_ = replica->applying_ = replica->flushed_ = state.position;
    replica->compacted_ = recovered.start;
    replica->membership_ = replica->membership_applied_ = state.membership;
    replica->remember_ballot(recovered.start);
    for (const LogPosition& position : recovered.positions) {
        if (position.index <= state.position.index) replica->remember_ballot(position);
    }

    consensus.self = options.self;
    replica->core_ = make_log(consensus);
    replica->inputs_.push_back(consensus::Recovered{.hard_state = recovered.hard_state,
                                                    .start = recovered.start,
                                                    .positions = std::move(recovered.positions),
                                                    .tail = std::move(recovered.tail),
                                                    .membership_entries = std::move(recovered.membership_entries),
                                                    .applied = state.position,
                                                    .membership = std::move(state.membership),
                                                    .damaged = std::move(recovered.damaged)});
    return replica;
}

void GroupReplica::start() {
    alarm_ = world_.reactor.make_alarm([this] {
        alarm_at_ = Instant::never();
        feed(consensus::Tick{});
        if (world_.reactor.now() >= next_sweep_) sweep();
        set_alarm();
    });
    next_sweep_ = world_.reactor.now() + options_.sweep_interval;
    ENSURE(inputs_.size() == 1);
    consensus::Input recovered = std::move(inputs_.front());
    inputs_.clear();
    feed(std::move(recovered));
    tasks_.spawn("replica_flush", flush_loop());
    set_alarm();
}

runtime::Task<void> GroupReplica::stop() {
    stopping_ = true;
    if (alarm_) alarm_->clear();
    for (const auto& pending : pending_.all()) {
        pending_.answer(pending->sequence, pending->was_sent
                                               ? Result<Bytes>(fail(Code::Unknown, "the node is stopping"))
                                               : Result<Bytes>(fail(Code::Unavailable, "the node is stopping")));
    }
    CO_TRY(co_await tasks_.stop());
    if (incoming_ && incoming_->store) CO_TRY(co_await flush_store(*incoming_->store));
    // A snapshot that was being installed is in one of the two stores for good; a restart finds which.
    if (flushing_ || installing_) co_return runtime::done();
    co_return co_await flush_applied();
}

// ---- The core ----

void GroupReplica::feed(consensus::Input input) {
    if (stopping_) return;
    if (stepping_) {
        inputs_.push_back(std::move(input));
        return;
    }
    stepping_ = true;
    consensus::Outputs outputs;
    core_->step(world_.reactor.fresh_now(), std::move(input), outputs);
    for (;;) {
        for (consensus::Output& output : outputs) perform(std::move(output));
        if (inputs_.empty()) break;
        outputs.clear();
        input = std::move(inputs_.front());
        inputs_.pop_front();
        core_->step(world_.reactor.fresh_now(), std::move(input), outputs);
    }
    stepping_ = false;
    world_.reactor.at_turn_end(*this);
}

void GroupReplica::perform(consensus::Output output) {
    std::visit([this](auto& one) { perform(one); }, output);
}

void GroupReplica::turn_end() {
    if (stopping_) return;
    send_commands();
    issue_barriers();
    apply_some();
    set_alarm();
}

void GroupReplica::set_alarm() {
    if (!alarm_ || stopping_) return;
    // A deadline that a Tick does not settle must cost a tick now and then, not the whole reactor.
    constexpr auto ticks_apart = std::chrono::milliseconds(1);
    const Instant soonest = world_.reactor.now() + ticks_apart;
    const Instant due = std::max(std::min(core_->next_deadline(), next_sweep_), soonest);
    if (due >= alarm_at_) return;
    alarm_at_ = due;
    alarm_->set(due);
}

void GroupReplica::perform(consensus::Send& send) { peers_.send(send.to, options_.group, send.message); }

void GroupReplica::perform(consensus::Store& store) {
    tasks_.spawn("replica_store", store_write(store.token, std::move(store.write)));
}

runtime::Task<void> GroupReplica::store_write(consensus::StoreToken token, LogWrite write) {
    const Result<void> written = co_await wal_.write(options_.group, std::move(write));
    if (written) {
        feed(consensus::Stored{token});
    } else if (written.error().code == Code::NoSpace) {
        feed(consensus::StoreRefused{token});
    } else if (written.error().code != Code::Canceled) {
        // The log is no longer what the core believes: only a restart from disk makes them agree again.
        log::error("log_write_failed", {"group", options_.group}, {"why", written.error().what});
        ENSURE(stopping_);
    }
    co_return runtime::done();
}

void GroupReplica::perform(consensus::Fetch& fetch) { tasks_.spawn("replica_fetch", fetch_entries(fetch.range)); }

runtime::Task<void> GroupReplica::fetch_entries(LogRange range) {
    constexpr uint64_t fetch_bytes_max = 4u << 20;
    Result<std::vector<Entry>> entries = co_await wal_.read(options_.group, range, fetch_bytes_max);
    if (!entries) {
        log::debug("fetch_failed", {"first", range.first}, {"why", entries.error().what});
        entries = std::vector<Entry>();
    }
    feed(consensus::Fetched{range, *std::move(entries)});
    co_return runtime::done();
}

void GroupReplica::perform(consensus::Deliver& deliver) {
    ENSURE(deliver.ids.size() == deliver.entries.size());
    for (const consensus::RequestId id : deliver.ids) proposed_.take(id);
    for (Entry& entry : deliver.entries) to_apply_.push_back(std::move(entry));
}

void GroupReplica::perform(consensus::ReadReady& ready) {
    const auto round = barriers_.find(ready.id);
    if (round == barriers_.end()) return;
    reads_waiting_to_apply_.emplace(ready.index, std::move(round->second));
    barriers_.erase(round);
    serve_ready_reads();
}

void GroupReplica::perform(consensus::LeaderReady& ready) {
    leadership_ = {.ready = true, .leader = options_.self, .ballot = ready.ballot};
    log::info("leader_ready", {"group", options_.group}, {"epoch", ready.ballot.epoch});
    publish_leadership();
}

void GroupReplica::perform(consensus::LeaderLost& lost) {
    if (!leadership_.ready || leadership_.ballot != lost.ballot) return;
    leadership_.ready = false;
    log::info("leader_lost", {"group", options_.group}, {"epoch", lost.ballot.epoch});
    publish_leadership();
}

void GroupReplica::perform(consensus::LeaderKnown& known) {
    if (known.leader == leadership_.leader && known.ballot == leadership_.ballot) return;
    if (known.leader != leadership_.leader) ++counters_.leader_changes;
    leadership_ = {.ready = false, .leader = known.leader, .ballot = known.ballot};
    if (known.leader != NodeId::Nobody) {
        log::info("leader_known", {"group", options_.group}, {"leader", known.leader}, {"epoch", known.ballot.epoch});
        resend_all();
        for (auto& [id, round] : std::exchange(barriers_, {})) retry_barrier(std::move(round));
    }
    publish_leadership();
}

void GroupReplica::perform(consensus::ConfigActive& active) {
    membership_ = std::move(active.membership);
    publish_leadership();
}

void GroupReplica::perform(consensus::NeedSnapshot& need) {
    if (std::exchange(sending_snapshot_[need.to], true)) return;
    tasks_.spawn("replica_snapshot", send_snapshot(need.to, need.position));
}

void GroupReplica::publish_leadership() {
    for (const auto& listener : leadership_listeners_) listener(leadership_);
}

void GroupReplica::on_leadership(std::function<void(const Leadership&)> listener) {
    leadership_listeners_.push_back(std::move(listener));
}

bool GroupReplica::is_learner() const { return !membership_.votes(options_.self); }

void GroupReplica::receive(NodeId from, consensus::Message message) {
    feed(consensus::Receive{from, std::move(message)});
}

void GroupReplica::unreachable(NodeId node) { feed(consensus::Unreachable{node}); }

void GroupReplica::liveness(NodeId node, bool alive) { feed(consensus::Liveness{node, alive}); }

GroupStatus GroupReplica::status() const {
    const consensus::Status core = core_->status();
    GroupStatus status = counters_;
    status.last = core.last;
    status.committed = core.committed;
    status.applied = applied_.index;
    status.ballot = core.ballot;
    status.leader = core.leader;
    status.proposals_pending = pending_.size();
    return status;
}

// ---- Membership and leadership on demand ----

runtime::Task<void> GroupReplica::reconfigure(std::vector<NodeId> voters, std::vector<NodeId> learners) {
    const consensus::RequestId id = next_request_++;
    runtime::Completion<void> ended;
    requests_.emplace(id, &ended);
    feed(consensus::Reconfigure{id, std::move(voters), std::move(learners)});
    const Result<void> result = co_await ended.wait();
    requests_.erase(id);
    co_return result;
}

runtime::Task<void> GroupReplica::transfer_leadership(NodeId to) {
    const consensus::RequestId id = next_request_++;
    runtime::Completion<void> ended;
    requests_.emplace(id, &ended);
    feed(consensus::TransferLeadership{id, to});
    const Result<void> result = co_await ended.wait();
    requests_.erase(id);
    co_return result;
}

void GroupReplica::perform(consensus::Done& done) {
    const auto place = requests_.find(done.id);
    if (place != requests_.end()) place->second->complete({});
}

}  // namespace polis::cluster
