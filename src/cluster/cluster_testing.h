// A whole cluster in one simulated process, for tests: hosts with a trivial model, on twins of disk, network and store.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "cluster/host.h"
#include "runtime/sim_disk.h"
#include "runtime/sim_network.h"
#include "runtime/sim_reactor.h"
#include "runtime/sim_world.h"
#include "storage/kv/memory_store.h"

namespace polis::cluster {

/// "key=value" writes, "key?" reads. The reply to a write is the number of commands applied to that key so far, so that a command
/// that is applied twice shows.
class RegisterModel : public Model {
public:
    Result<void> load(const storage::Store&) override { return {}; }
    Applied apply(LogIndex, const Envelope& envelope, storage::Overlay& state) override;
    void committed(LogIndex) override {}
};

/// A store whose owner can die: from then on it changes nothing any more.
class MortalStore : public storage::Store {
public:
    explicit MortalStore(std::shared_ptr<storage::MemoryStore> store) : store_(std::move(store)) {}
    ~MortalStore() override {
        if (death_) *death_ = nullptr;
        if (closings_ && !*elsewhere_) ++*closings_;
    }
    void die() { dead_ = true; }
    /// From now on its closing adds one to `count`, unless `elsewhere` is true by then.
    void count_closing(const bool& elsewhere, uint64_t& count) {
        elsewhere_ = &elsewhere;
        closings_ = &count;
    }

    Result<std::optional<std::string>> get(std::string_view key) const override { return store_->get(key); }
    std::unique_ptr<storage::Cursor> cursor(const storage::KeyRange& range) const override {
        return store_->cursor(range);
    }
    std::shared_ptr<const storage::View> view() const override { return store_->view(); }
    Result<void> write(const storage::Batch& batch) override { return dead_ ? Result<void>() : store_->write(batch); }
    Result<void> flush() override { return dead_ ? Result<void>() : store_->flush(); }
    Result<void> export_range(const storage::KeyRange& range, size_t bytes,
                              const storage::ChunkSink& sink) const override {
        return store_->export_range(range, bytes, sink);
    }
    Result<void> import_range(const storage::KeyRange& range, const storage::ChunkSource& source) override {
        return store_->import_range(range, source);
    }
    std::vector<storage::KeyRange> interrupted_imports() const override { return store_->interrupted_imports(); }
    Result<uint64_t> hash(const storage::KeyRange& range) const override { return store_->hash(range); }
    Result<void> erase(const storage::KeyRange& range) override { return store_->erase(range); }
    Usage usage() const override { return store_->usage(); }

    MortalStore** death_ = nullptr;

private:
    std::shared_ptr<storage::MemoryStore> store_;
    bool dead_ = false;
    const bool* elsewhere_ = nullptr;
    uint64_t* closings_ = nullptr;
};

/// A pool that knows whether the present moment is one of its threads' or the reactor's.
class MarkedPool : public runtime::Pool {
public:
    explicit MarkedPool(uint64_t seed) : pool_(seed) {}
    runtime::Task<void> run(std::function<void()> work) override {
        return pool_.run([this, work = std::move(work)] {
            inside_ = true;
            work();
            inside_ = false;
        });
    }
    const bool& inside() const { return inside_; }

private:
    runtime::SimPool pool_;
    bool inside_ = false;
};

/// What survives a node's process: its disk and its stores. And the node while it lives.
class SimNode {
public:
    SimNode(runtime::SimReactor& reactor, runtime::SimNetwork& network, std::string name, uint64_t seed);
    ~SimNode();

    /// Starts a life. REQUIRES: dead. `options`: initial, join, timing; the rest is filled in.
    void start(HostOptions options);
    /// Makes its disk that of a founder restored from a backup. REQUIRES: dead.
    Result<void> restore(HostOptions options, const std::function<Result<void>(storage::Store&)>& fill);
    /// As by a power cut.
    void kill();
    /// As by SIGTERM.
    void stop();
    /// An empty disk takes the old one's place. REQUIRES: dead.
    void wipe();

    bool alive() const { return host_ != nullptr; }
    Host& host() { return *host_; }
    const std::optional<Result<void>>& opened() const { return opened_; }
    GroupReplica& replica() { return host_->replica(GroupId::Coord); }
    runtime::SimDisk& disk() { return *disk_; }
    const std::string& name() const { return name_; }
    /// Whether a store lies beside the one in use: of a snapshot that has not arrived in full.
    bool has_next_store() const { return stores_.contains(GroupId::Coord) && stores_.at(GroupId::Coord).next; }
    /// Of stores of snapshots: how often one was closed on the reactor, which stands still meanwhile.
    uint64_t closings_on_reactor() const { return closings_on_reactor_; }

private:
    class Shelf;
    struct Stores {
        std::shared_ptr<storage::MemoryStore> current = std::make_shared<storage::MemoryStore>();
        std::shared_ptr<storage::MemoryStore> next;
    };
    void end_life();
    void complete(HostOptions& options);

    runtime::SimReactor& reactor_;
    runtime::SimNetwork& network_;
    std::string name_;
    uint64_t seed_;
    std::unique_ptr<runtime::SimDisk> disk_;
    std::map<GroupId, Stores> stores_;
    runtime::SimRandom random_;
    MarkedPool pool_;
    uint64_t closings_on_reactor_ = 0;
    RegisterModel model_;
    std::unique_ptr<runtime::Disk> mount_;
    std::vector<std::unique_ptr<MortalStore*>> living_stores_;
    std::unique_ptr<runtime::TaskGroup> tasks_;
    std::unique_ptr<Host> host_;
    std::optional<Result<void>> opened_;
};

/// Nodes n1, n2 ... founding one cluster.
class SimCluster {
public:
    SimCluster(uint64_t seed, int size);
    ~SimCluster();

    runtime::SimReactor& reactor() { return reactor_; }
    runtime::SimNetwork& network() { return network_; }
    SimNode& node(int number) { return *nodes_.at(static_cast<size_t>(number - 1)); }
    int size() const { return static_cast<int>(nodes_.size()); }

    /// Starts (or starts again) node `number` as a founder.
    void start(int number);
    void start_all() {
        for (int number = 1; number <= size(); ++number) start(number);
    }
    /// Applied to the options of every start from now on.
    void adjust(std::function<void(HostOptions&)> adjust) { adjust_ = std::move(adjust); }
    /// True once the node's host has opened (or failed to).
    bool is_open(int number) { return node(number).alive() && node(number).opened().has_value(); }
    /// Whether the node knows where clients reach each member, which members say only after they have started.
    bool all_published(int number);
    Result<void> restore(int number, const std::function<Result<void>(storage::Store&)>& fill);
    /// A further node that is not a founder; returns its number. Its peer URL is url_of(number).
    int add_node();
    void start_joining(int number);
    static std::string url_of(int number) { return "http://n" + std::to_string(number) + ":2380"; }

    /// Waits in virtual time. False if `condition` does not come true within `limit`.
    bool eventually(const std::function<bool()>& condition, Duration limit = std::chrono::seconds(30));
    bool eventually_led() {
        return eventually([this] { return leader() != 0; });
    }
    /// The number of the node that leads and is ready; 0 if none or several claim it in different ballots.
    int leader();
    /// Proposes at a node and waits for the reply.
    Result<std::string> propose(int at, const std::string& command, Duration limit = std::chrono::seconds(30));
    /// A linearizable read at a node.
    Result<std::string> read(int at, const std::string& key, Duration limit = std::chrono::seconds(30));

private:
    HostOptions options_of(int number) const;

    runtime::SimReactor reactor_;
    runtime::SimNetwork network_;
    uint64_t seed_;
    int founders_;
    std::function<void(HostOptions&)> adjust_;
    std::vector<std::unique_ptr<SimNode>> nodes_;
};

}  // namespace polis::cluster
