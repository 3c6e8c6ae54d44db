#include "cluster/host.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "consensus/raft/raft.h"

namespace polis::cluster {
namespace {

constexpr char wal_directory[] = "shard-0/wal";

Result<MakeLog> log_maker(const std::string& consensus) {
    if (consensus == "raft") return MakeLog([](consensus::Options options) { return consensus::make_raft(options); });
    return fail(Code::Invalid, "no consensus protocol \"" + consensus + "\": this release has raft");
}

}  // namespace

std::string store_directory(GroupId group) { return "shard-0/kv/" + std::to_string(number_of(group)); }

Result<runtime::Address> address_of_url(std::string_view url) {
    std::string_view rest = url;
    if (rest.starts_with("http://")) {
        rest.remove_prefix(7);
    } else if (rest.starts_with("https://")) {
        rest.remove_prefix(8);
    } else {
        return fail(Code::Invalid, "\"" + std::string(url) + "\" is no URL like http://host:port");
    }
    if (rest.ends_with('/')) rest.remove_suffix(1);
    return runtime::parse_address(rest);
}

Host::Host(runtime::World world, HostOptions options)
    : world_(world), options_(std::move(options)), tasks_(world.reactor) {
    options_.peers.alive_interval = options_.timing.heartbeat;
    options_.peers.dead_after = options_.timing.election_timeout;
    options_.timing.quiesce_after = options_.quiesce_after;
    meta_.on_change([this] {
        undisturbed_since_ = world_.reactor.now();
        members_changed();
        changed_.notify_all();
    });
}

Host::~Host() = default;

runtime::Task<void> Host::open(std::map<GroupId, Model*> models,
                               std::vector<std::unique_ptr<runtime::Listener>> listeners) {
    CO_LET(const std::optional<Identity> identity, co_await load_identity(world_));
    known_members_ = founders_of(options_);
    if (identity) {
        identity_ = *identity;
        const auto is_self = [this](const Member& member) { return member.id == identity_.node; };
        founder_ = std::ranges::any_of(known_members_, is_self);
    } else {
        // Whoever asks meanwhile is told that we are new, too.
        identity_.incarnation = world_.random.next();
    }
    // Until it is certain that it may take part, it speaks as a stranger.
    const PeerIdentity stranger{
        .cluster = ClusterId::None, .node = NodeId::Nobody, .incarnation = identity_.incarnation};
    peers_ = std::make_unique<Peers>(world_, stranger, options_.peers, static_cast<PeerHandler&>(*this));
    for (auto& listener : listeners) tasks_.spawn("peer_listener", peers_->serve(std::move(listener)));
    if (!identity) CO_TRY(co_await become_somebody());
    if (identity && identity->founding) CO_TRY(co_await found_cluster());

    ++identity_.boot;
    CO_TRY(co_await save_own_identity());
    peers_->set_identity({identity_.cluster, identity_.node, identity_.incarnation});
    log::info("node_identity", {"node", identity_.node}, {"name", options_.name}, {"boot", identity_.boot});

    CO_LET(storage::Wal::Opened opened,
           co_await storage::Wal::open(world_, wal_directory, identity_.incarnation, options_.wal));
    wal_ = std::move(opened.wal);
    models[GroupId::Meta] = &meta_;
    for (const auto& [group, model] : models) {
        const storage::StoreOptions& store = group == GroupId::Meta ? options_.meta_store : options_.coord_store;
        CO_TRY(co_await open_replica(group, *model, store, std::move(opened.groups[group])));
    }
    if (identity && options_.join && meta_.cluster() == ClusterId::None) {
        const Result<void> learned = co_await learn_members();
        if (!learned) log::warn("members_unknown", {"why", learned.error().what});
    }
    open_ = true;
    members_changed();
    for (auto& [group, replica] : replicas_) {
        replica->on_leadership([this](const Leadership&) {
            undisturbed_since_ = world_.reactor.now();
            changed_.notify_all();
        });
        replica->start();
    }
    tasks_.spawn("host_reconcile", reconcile_loop());
    tasks_.spawn("host_publish", found_and_publish());
    tasks_.spawn("host_balance", balance_loop());
    co_return runtime::done();
}

runtime::Task<void> Host::open_replica(GroupId group, Model& model, storage::StoreOptions store_options,
                                       storage::GroupLog log) {
    CO_LET(const MakeLog make_log, log_maker(identity_.consensus));
    std::unique_ptr<StoreShelf> shelf = options_.make_shelf
                                            ? options_.make_shelf(group)
                                            : make_disk_shelf(world_, store_directory(group), store_options);
    CO_LET(std::unique_ptr<storage::Store> store, co_await shelf->open_current());

    ReplicaOptions replica = options_.replica;
    replica.group = group;
    replica.self = identity_.node;
    replica.boot = identity_.boot;
    consensus::Options consensus = options_.timing;
    consensus.self = identity_.node;
    consensus.seed = world_.random.next();
    CO_LET(replicas_[group],
           GroupReplica::open(world_, replica, consensus, make_log, *wal_, std::move(log), std::move(shelf),
                              std::move(store), model, *peers_, first_membership()));
    co_return runtime::done();
}

// Only of use to a group whose store is empty: a founder's, whether or not it has crashed since it became one.
consensus::Membership Host::first_membership() const {
    consensus::Membership membership;
    if (!founder_) return membership;
    for (const Member& member : founders_of(options_)) membership.voters.push_back(member.id);
    std::ranges::sort(membership.voters);
    return membership;
}

runtime::Task<void> Host::stop() {
    open_ = false;
    CO_TRY(co_await tasks_.stop());
    for (auto& [group, replica] : replicas_) {
        const Result<void> stopped = co_await replica->stop();
        if (!stopped) log::warn("replica_stop_failed", {"group", group}, {"why", stopped.error().what});
    }
    if (peers_) CO_TRY(co_await peers_->stop());
    if (wal_) CO_TRY(co_await wal_->close());
    fatal_channel_.close();
    co_return runtime::done();
}

// ---- What arrives ----

Result<void> Host::admit(const Hello& hello) {
    // A node that is new asks on a connection without a cluster: it may ask to join, and nothing else (on_request).
    if (hello.cluster == ClusterId::None) return {};
    if (!open_) return fail(Code::Unavailable, "this node is starting");
    if (hello.cluster != identity_.cluster) {
        return fail(Code::Denied, "you belong to another cluster: check the peer addresses and the cluster token");
    }
    if (meta_.was_removed(hello.from)) return fail(Code::Denied, removed_text);
    const auto member = meta_.members().find(hello.from);
    if (member != meta_.members().end() && member->second.incarnation != 0 &&
        member->second.incarnation != hello.incarnation) {
        return fail(Code::Denied, "your disk is not the one the cluster knows: wipe it, and the node joins again");
    }
    // Before the cluster has written its members down, the founders' own notes tell.
    const auto founder = identity_.founders.find(hello.from);
    const bool written_down = member != meta_.members().end() && member->second.incarnation != 0;
    if (!written_down && founder != identity_.founders.end() && founder->second != hello.incarnation) {
        return fail(Code::Denied,
                    "your disk is not the one that founded the cluster: wipe it, and the node joins again");
    }
    return {};
}

void Host::on_message(NodeId from, GroupMessage message) {
    if (!open_) return;
    const auto place = replicas_.find(message.group);
    if (place != replicas_.end()) place->second->receive(from, std::move(message.message));
}

void Host::on_forward(NodeId from, Forward forward) {
    if (!open_) return;
    const auto place = replicas_.find(forward.group);
    if (place != replicas_.end()) place->second->receive(from, std::move(forward));
}

void Host::on_forward_refused(NodeId, ForwardRefused refused) {
    if (!open_) return;
    const auto place = replicas_.find(refused.group);
    if (place != replicas_.end()) place->second->receive(refused);
}

runtime::Task<Bytes> Host::on_request(NodeId from, GroupId group, uint8_t kind, Bytes body) {
    if (kind == static_cast<uint8_t>(HostRequest::Join)) co_return co_await answer_join(std::move(body));
    if (from == NodeId::Nobody || !open_)
        co_return fail(Code::Unavailable, "this node is starting, or you are unknown");
    if (kind == static_cast<uint8_t>(HostRequest::Promote)) {
        co_return co_await answer_promote(NodeId{OctetReader(body).number<uint64_t>()});
    }
    const auto place = replicas_.find(group);
    if (place == replicas_.end()) co_return fail(Code::NotFound, "this node has no such group");
    co_return co_await place->second->on_request(from, kind, std::move(body));
}

void Host::on_unreachable(NodeId node) {
    if (!open_) return;
    for (auto& [group, replica] : replicas_) replica->unreachable(node);
}

void Host::on_liveness(NodeId node, bool alive) {
    if (!open_) return;
    for (auto& [group, replica] : replicas_) replica->liveness(node, alive);
}

void Host::on_refused(NodeId by, const std::string& why) {
    log::warn("refused_by_peer", {"peer", by}, {"why", why});
    if (why == removed_text) fatal_channel_.try_push("this node was removed from the cluster (says a member)");
}

}  // namespace polis::cluster
