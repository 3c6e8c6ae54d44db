// Host: all of a cluster that lives on one node: its identity, log, replicas and connections to the other members.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cluster/api.h"
#include "cluster/balance.h"
#include "cluster/identity.h"
#include "cluster/join.h"
#include "cluster/meta_model.h"
#include "cluster/peers.h"
#include "cluster/replica.h"
#include "runtime/task_group.h"
#include "runtime/world.h"
#include "storage/wal/wal.h"

namespace polis::cluster {

/// Kinds of Request frames for the host itself; replicas' kinds are below 64. Stable on the wire.
enum class HostRequest : uint8_t { Join = 64, Promote = 65 };

/// What a removed member is told when it knocks.
constexpr char removed_text[] = "you were removed from the cluster";

/// What a node is told when it starts.
struct HostOptions {
    std::string name;
    std::vector<std::string> advertised_peer_urls;  // How others reach this node's peer port.
    std::vector<std::string> advertised_client_urls;
    std::map<std::string, std::string> labels;  // zone = "a" ...
    std::string token = "polis-cluster";        // Tells apart clusters founded from the same addresses.
    /// First start only: the founding members (this one among them) by name, or, if `join`, some members to ask.
    std::multimap<std::string, std::string> initial;  // name -> peer URL; a name may have several.
    bool join = false;                                // The cluster exists, and this node was added to it.
    std::string consensus = "raft";
    consensus::Options timing;  // heartbeat, election_timeout, priority ...; the rest is filled in here.
    Duration quiesce_after = std::chrono::seconds(1);  // A group without work for so long sends nothing; 0: never.
    LeaderBalance balance;
    ReplicaOptions replica;
    PeerOptions peers;
    storage::Wal::Options wal;
    storage::StoreOptions meta_store{.write_buffer_bytes = 1u << 20, .block_cache_bytes = 1u << 20};
    storage::StoreOptions coord_store;
    /// Where a group's stores lie; unset: RocksDB on the world's disk. The simulator gives twins in memory.
    std::function<std::unique_ptr<StoreShelf>(GroupId)> make_shelf;
    Duration reconcile_interval = std::chrono::milliseconds(200);
};

/// Owns the node's replicas and decides, with the others, who is a member. Lifecycle: construct, open (once), stop (awaited), destroy. One
/// reactor.
///
/// What the members should be is written in group Meta; every leader of a group brings its group's consensus to it, step
/// by step (newcomers learn first, vote when they have caught up).
class Host : public Cluster, private PeerHandler {
public:
    Host(runtime::World world, HostOptions options);
    ~Host() override;

    /// Finds out who this node is (from its disk, or by founding or joining a cluster), opens the log and the stores, and starts the
    /// replicas. `models`: of the groups besides Meta. `listeners`: the peer ports, served until stop().
    /// Errors: Corrupt, Io, Denied (the cluster does not want this node: says why), Unavailable (nobody answered).
    runtime::Task<void> open(std::map<GroupId, Model*> models,
                             std::vector<std::unique_ptr<runtime::Listener>> listeners);
    runtime::Task<void> stop();

    /// REQUIRES: open() has succeeded.
    GroupReplica& replica(GroupId group) { return *replicas_.at(group); }
    /// The members are written down in group Meta, as far as this node has applied it.
    bool is_founded() const { return meta_.cluster() != ClusterId::None; }
    const Identity& identity() const { return identity_; }
    storage::WalStats wal_stats() const { return wal_->stats(); }
    const Peers& peers() const { return *peers_; }
    /// Ends when something happened that this node cannot go on after (it was removed from the cluster): says what.
    runtime::Task<std::string> fatal() { return fatal_channel_.pop(); }

    // ---- Cluster ----
    ClusterId id() const override { return identity_.cluster; }
    NodeId self() const override { return identity_.node; }
    std::vector<Member> members() const override;
    runtime::Task<void> members_barrier() override;
    runtime::Task<Member> add_member(std::vector<std::string> peer_urls, bool learner) override;
    runtime::Task<void> remove_member(NodeId id) override;
    runtime::Task<void> update_member(NodeId id, std::vector<std::string> peer_urls) override;
    runtime::Task<void> promote_member(NodeId id) override;
    runtime::Task<void> transfer_leadership(NodeId to) override;
    /// Before a planned end: moves what this node leads to the members best able to lead, so that nobody waits for an election. Ends at
    /// `deadline` at the latest; what could not be moved stays.
    runtime::Task<void> hand_over(Instant deadline);
    /// Holds for what is moved from now on. May be called at any time.
    void set_balance(const LeaderBalance& balance) { options_.balance = balance; }
    GroupStatus status(GroupId group) const override;
    uint32_t feature_level() const override { return meta_.feature_level(); }
    std::vector<MemberHealth> health() const override;

private:
    // PeerHandler.
    Result<void> admit(const Hello& hello) override;
    void on_message(NodeId from, GroupMessage message) override;
    void on_forward(NodeId from, Forward forward) override;
    void on_forward_refused(NodeId from, ForwardRefused refused) override;
    runtime::Task<Bytes> on_request(NodeId from, GroupId group, uint8_t kind, Bytes body) override;
    void on_unreachable(NodeId node) override;
    void on_liveness(NodeId node, bool alive) override;
    void on_refused(NodeId by, const std::string& why) override;

    // Who am I (host_join.cc).
    runtime::Task<void> become_somebody();
    runtime::Task<void> found_cluster();
    runtime::Task<bool> register_with(Member founder);
    runtime::Task<void> join_cluster();
    runtime::Task<bool> ask_to_join(runtime::Address address);
    runtime::Task<void> learn_members();
    runtime::Task<Bytes> ask_at(runtime::Address address, Bytes question);
    runtime::Task<Bytes> answer_join(Bytes question);
    runtime::Task<bool> note_founder(JoinQuestion question);
    runtime::Task<NodeId> place_for(JoinQuestion question);
    runtime::Task<void> save_own_identity();
    runtime::Task<Member> replace_lost(NodeId lost, uint64_t incarnation);
    std::vector<runtime::Address> founder_addresses() const;

    // Members (host_members.cc).
    runtime::Task<Member> command(MetaCommand command);
    runtime::Task<void> until_founded();
    runtime::Task<void> until_configured(NodeId id, bool present);
    runtime::Task<void> reconcile_loop();
    runtime::Task<void> reconcile(GroupReplica& replica);
    runtime::Task<void> found_and_publish();
    runtime::Task<Bytes> answer_promote(NodeId id);
    void members_changed();

    // Who leads what (host_balance.cc).
    runtime::Task<void> balance_loop();
    std::optional<LeaderMove> next_move() const;
    bool may_lead(const consensus::Status& core, const consensus::Status::Progress& progress) const;

    runtime::Task<void> open_replica(GroupId group, Model& model, storage::StoreOptions store, storage::GroupLog log);
    consensus::Membership first_membership() const;

    runtime::World world_;
    HostOptions options_;
    Identity identity_;
    std::vector<Member> known_members_;  // Before group Meta tells: the founders, or what a member answered to Join.
    MetaModel meta_;
    std::unique_ptr<storage::Wal> wal_;
    std::unique_ptr<Peers> peers_;
    std::map<GroupId, std::unique_ptr<GroupReplica>> replicas_;
    runtime::TaskGroup tasks_;
    runtime::Signal changed_;  // Members or leadership.
    runtime::Channel<std::string> fatal_channel_{4};
    bool open_ = false;
    bool founder_ = false;
    bool saving_ = false;  // The identity is being written.
    runtime::Signal saved_;
    Instant undisturbed_since_;  // No leader, member or transfer has changed.
};

/// The members of the cluster that `options.initial` founds, with the ids that every founder derives. Sorted by id.
std::vector<Member> founders_of(const HostOptions& options);
/// Who `options` make this node among them; without incarnation. Errors: Invalid: it is not among them.
Result<Identity> founder_identity(const HostOptions& options);
/// Where a group's stores lie in the data directory.
std::string store_directory(GroupId group);

/// "http://host:port" or "https://host:port" to an address. Errors: Invalid.
Result<runtime::Address> address_of_url(std::string_view url);

}  // namespace polis::cluster
