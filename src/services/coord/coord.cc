#include "services/coord/coord.h"

#include <algorithm>
#include <utility>

#include "base/ensure.h"

namespace polis::services {

namespace {

WatchHub::Options watch_options_of(const CoordOptions& options) {
    WatchHub::Options watch;
    watch.buffer_bytes = options.watch_buffer_bytes;
    watch.fragment_bytes = options.request_bytes_max + (512u << 10);  // As etcd: what gRPC adds at most.
    watch.progress_interval = options.watch_progress_interval;
    return watch;
}

LoadGate::Limits load_limits_of(const CoordOptions& options) {
    LoadGate::Limits limits;
    limits.apply_lag_max = options.apply_lag_max;
    limits.write_bytes_max = options.write_bytes_max;
    limits.user_requests_per_s = options.user_requests_per_s;
    limits.user_burst = options.user_burst;
    return limits;
}

CoordOptions with_defaults(CoordOptions options) {
    if (options.quota_bytes == 0) options.quota_bytes = CoordOptions().quota_bytes;
    return options;
}

}  // namespace

std::unique_ptr<cluster::Model> make_coord_model(const CoordOptions& options) {
    return std::make_unique<CoordModel>(options.cache_bytes);
}

std::unique_ptr<Coord> make_coord(runtime::World world, cluster::Cluster& cluster, cluster::Replica& replica,
                                  cluster::Model& model, const CoordOptions& options) {
    auto* coord_model = dynamic_cast<CoordModel*>(&model);
    ENSURE(coord_model != nullptr);
    return std::make_unique<CoordService>(world, cluster, replica, *coord_model, options);
}

CoordService::CoordService(runtime::World world, cluster::Cluster& cluster, cluster::Replica& replica,
                           CoordModel& model, const CoordOptions& options)
    : world_(world),
      cluster_(cluster),
      replica_(replica),
      model_(model),
      options_(with_defaults(options)),
      reader_(replica.store()),
      hub_(std::make_unique<WatchHub>(world.reactor, model.mvcc(), replica.store(), watch_gate(),
                                      watch_options_of(options))),
      leases_(options.lease_checkpoint_interval),
      tokens_(options.token_ttl),
      gate_(load_limits_of(options)),
      tasks_(world.reactor) {
    if (options_.token_key) jwts_.emplace(options_.token_key, options_.jwt_ttl);
    model_.listen(this);
    replica_.on_leadership([this](const cluster::Leadership& leadership) { on_leadership(leadership); });
    replica_.on_question([this](Bytes question) { return answer_question(std::move(question)); });
    on_leadership(replica_.leadership());
    tasks_.spawn("expire_leases", expire_leases());
    if (options_.lease_checkpoint_interval > Duration(0)) tasks_.spawn("checkpoint_leases", checkpoint_leases());
    tasks_.spawn("drive_compaction", drive_compaction());
    tasks_.spawn("drop_ended_tokens", drop_ended_tokens());
    if (options_.auto_compaction == CoordOptions::AutoCompaction::Periodic)
        tasks_.spawn("compact_periodically", compact_periodically());
    if (options_.auto_compaction == CoordOptions::AutoCompaction::Revision)
        tasks_.spawn("compact_by_revision", compact_by_revision());
}

CoordService::~CoordService() { model_.listen(nullptr); }

runtime::Task<void> CoordService::stop() { return tasks_.stop(); }

void CoordService::reconfigure(const CoordOptions& options) {
    const CoordOptions fresh = with_defaults(options);
    options_.quota_bytes = fresh.quota_bytes;
    options_.operations_per_txn_max = fresh.operations_per_txn_max;
    options_.request_bytes_max = fresh.request_bytes_max;
    options_.apply_lag_max = fresh.apply_lag_max;
    options_.write_bytes_max = fresh.write_bytes_max;
    options_.user_requests_per_s = fresh.user_requests_per_s;
    options_.user_burst = fresh.user_burst;
    options_.watch_progress_interval = fresh.watch_progress_interval;
    gate_.set_limits(load_limits_of(options_));
    hub_->reconfigure(watch_options_of(options_));
}

// ---- Who asks ----

std::expected<CoordService::Caller, Refusal> CoordService::identify(const Credentials& who) const {
    Caller caller;
    caller.trace = who.trace.low;
    const AuthTable& auth = model_.auth();
    if (!auth.enabled()) return caller;
    caller.auth_revision = auth.revision();
    if (who.token.empty()) {
        caller.principal = who.common_name;
    } else if (jwts_) {
        const JwtTokens::Claims* claims = jwts_->find(who.token, world_.reactor.wall_now());
        if (!claims) return refuse(Refusal::InvalidAuthToken);
        caller.principal = claims->user;
        caller.auth_revision = claims->revision;
    } else {
        const std::string* user = tokens_.find(who.token, world_.reactor.now());
        if (!user) return refuse(Refusal::InvalidAuthToken);
        caller.principal = *user;
    }
    if (who.phases) who.phases->user = caller.principal;
    return caller;
}

std::expected<Access, Refusal> CoordService::access_of(const Credentials& who) const {
    LET(const Caller caller, identify(who));
    return model_.auth().access_of(caller.principal, caller.auth_revision);
}

/// A watch was let in once; later it goes by what its user may do by then, whatever became of the token.
WatchHub::Gate CoordService::watch_gate() const {
    return {.identify = [this](const Credentials& who) -> std::expected<WatchHub::Identity, Refusal> {
                LET(Caller caller, identify(who));
                Access access = model_.auth().access_of(caller.principal, caller.auth_revision);
                return WatchHub::Identity{std::move(caller.principal), std::move(access)};
            },
            .access_of =
                [this](const std::string& user) { return model_.auth().access_of(user, model_.auth().revision()); }};
}

// ---- How much ----

/// Whoever has the role root is not limited: in trouble, an operator must get through.
Allowed CoordService::check_rate(const Caller& caller) {
    if (!gate_.limits_users()) return {};
    if (model_.auth().enabled() && model_.auth().permit_admin(caller.principal)) return {};
    return gate_.admit_user(caller.principal, world_.reactor.now());
}

uint64_t CoordService::apply_lag() {
    const Instant now = world_.reactor.now();
    if (now >= apply_lag_known_until_) {
        const cluster::GroupStatus group = cluster_.status(GroupId::Coord);
        apply_lag_ = group.committed > group.applied ? group.committed.value - group.applied.value : 0;
        apply_lag_known_until_ = now + std::chrono::milliseconds(1);
    }
    return apply_lag_;
}

CoordService::Tracing::Tracing(CoordService& service, const Credentials& who, const Caller& caller)
    : traced_(service.traced_), place_(service.traced_.end()) {
    if (!who.phases) return;
    who.phases->proposed = service.world_.reactor.now();
    if (caller.trace != 0) place_ = traced_.emplace(caller.trace, who.phases);
}

CoordService::Tracing::~Tracing() {
    if (place_ != traced_.end()) traced_.erase(place_);
}

Reply<void> CoordService::permit_admin(const Credentials& who) const {
    LET(const Caller caller, identify(who));
    return model_.auth().permit_admin(caller.principal);
}

// ---- Headers and status ----

void CoordService::complete(pb::ResponseHeader& header) const {
    header.set_cluster_id(number_of(cluster_.id()));
    header.set_member_id(number_of(cluster_.self()));
    header.set_raft_term(replica_.leadership().ballot.epoch);
    if (header.revision() == 0) header.set_revision(model_.mvcc().visible_revision());
}

pb::ResponseHeader CoordService::header() const {
    pb::ResponseHeader header;
    complete(header);
    return header;
}

CoordStatus CoordService::status() const {
    const Mvcc& mvcc = model_.mvcc();
    const storage::Store::Usage usage = replica_.store().usage();
    const WatchHub::Counts watching = hub_->counts();
    CoordStatus status;
    status.revision = mvcc.visible_revision();
    status.compacted_revision = std::max<int64_t>(mvcc.compacted_revision(), 0);
    // Versions as the quota counts them, or all that is there (users, leases, the tables' own records) if that is more:
    // a store with anything in it is never shown as empty.
    const auto stored = static_cast<int64_t>(std::max(usage.live_bytes, usage.unflushed_bytes));
    status.db_bytes_in_use = std::max(mvcc.totals().bytes, stored);
    status.db_bytes = std::max(static_cast<int64_t>(usage.disk_bytes + usage.unflushed_bytes), status.db_bytes_in_use);
    status.quota_bytes = static_cast<int64_t>(options_.quota_bytes);
    status.alarms = model_.alarms().all();
    status.keys = static_cast<uint64_t>(mvcc.totals().keys);
    status.watchers = watching.watchers;
    status.watch_streams = watching.streams;
    status.slow_watchers = watching.slow_watchers;
    status.leases = model_.leases().all().size();
    status.puts = model_.counters().puts;
    status.deletes = model_.counters().deletes;
    status.txns = model_.counters().txns;
    status.ranges = ranges_;
    status.refused_for_load = gate_.counts().refused_for_load;
    status.refused_for_rate = gate_.counts().refused_for_rate;
    status.events = watching.events;
    status.pending_events = watching.pending_messages;
    return status;
}

// ---- What happens ----

/// Several requests may have one trace id; they are applied in the order in which they were proposed.
void CoordService::on_command(const cluster::Envelope& envelope) {
    if (traced_.empty() || envelope.trace == 0 || envelope.origin != cluster_.self()) return;
    const auto [first, end] = traced_.equal_range(envelope.trace);
    const auto found = std::find_if(first, end, [](const auto& each) { return !each.second->committed; });
    if (found == end) return;
    found->second->committed = world_.reactor.now();
    applying_.push_back(found->second);
}

void CoordService::on_effects(Effects effects) {
    const Instant now = world_.reactor.now();
    if (!applying_.empty()) {
        const Instant applied = world_.reactor.fresh_now();
        for (const auto& phases : std::exchange(applying_, {})) phases->applied = applied;
    }
    if (effects.tokens_void) tokens_.clear();
    for (const std::string& user : effects.users_changed) tokens_.remove_all_of(user);
    for (const Effects::Token& each : effects.tokens) tokens_.add(each.token, each.user, now);
    for (const int64_t id : effects.leases_granted) leases_.granted(id, model_.leases(), now);
    for (const int64_t id : effects.leases_removed)
        if (!model_.leases().find(id)) leases_.removed(id);
    hub_->publish(effects.changes);
    if (effects.auth_changed) hub_->access_changed(effects.users_changed);
    if (effects.compacted) changed_.notify_all();
}

void CoordService::on_loaded() {
    tokens_.clear();
    applying_.clear();
    if (leases_.leading()) leases_.lead(model_.leases(), world_.reactor.now());
    hub_->state_replaced();
    hub_->access_changed({});
    changed_.notify_all();
}

void CoordService::on_leadership(const cluster::Leadership& leadership) {
    leadership_ = leadership;
    if (leadership.ready && !leases_.leading()) leases_.lead(model_.leases(), world_.reactor.now());
    if (!leadership.ready) leases_.stop_leading();
    changed_.notify_all();
}

std::unique_ptr<WatchStream> CoordService::watch(const Credentials& who) { return hub_->open(who); }

}  // namespace polis::services
