// The parts of the simulated cluster that tests use (cluster_testing.h).
#include "cluster/cluster_testing.h"

#include "base/ensure.h"
#include "cluster/restore.h"

namespace polis::cluster {

using namespace std::chrono_literals;

Applied RegisterModel::apply(LogIndex, const Envelope& envelope, storage::Overlay& state) {
    const std::string_view command = envelope.command;
    const size_t equals = command.find('=');
    const std::string key = "v" + std::string(command.substr(0, equals));
    const std::string count_key = "n" + std::string(command.substr(0, equals));
    const auto count = state.get(count_key);
    ENSURE(count.has_value());
    const int next = (*count ? std::stoi(**count) : 0) + 1;
    state.put(key, command.substr(equals + 1));
    state.put(count_key, std::to_string(next));
    return {Bytes::take(std::to_string(next))};
}

class SimNode::Shelf : public StoreShelf {
public:
    Shelf(SimNode& node, GroupId group)
        : stores_(node.stores_[group]),
          living_(node.living_stores_),
          pool_(node.pool_),
          count_(node.closings_on_reactor_) {}
    runtime::Task<std::unique_ptr<storage::Store>> open_current() override { co_return wrap(stores_.current); }
    runtime::Task<std::unique_ptr<storage::Store>> open_next() override {
        ENSURE(next_is_closed());
        stores_.next = std::make_shared<storage::MemoryStore>();
        co_return wrap_next();
    }
    runtime::Task<std::unique_ptr<storage::Store>> reopen_next() override {
        ENSURE(next_is_closed());
        co_return stores_.next ? wrap_next() : nullptr;
    }
    runtime::Task<void> remove_unused() override {
        ENSURE(next_is_closed());
        stores_.next.reset();
        co_return runtime::done();
    }
    runtime::Task<void> switch_to_next() override {
        stores_.current = std::exchange(stores_.next, nullptr);
        co_return runtime::done();
    }

private:
    bool next_is_closed() const { return !stores_.next || stores_.next.use_count() == 1; }
    std::unique_ptr<storage::Store> wrap_next() {
        auto wrapped = wrap(stores_.next);
        wrapped->count_closing(pool_.inside(), count_);
        return wrapped;
    }
    std::unique_ptr<MortalStore> wrap(const std::shared_ptr<storage::MemoryStore>& store) {
        auto wrapped = std::make_unique<MortalStore>(store);
        living_.push_back(std::make_unique<MortalStore*>(wrapped.get()));
        wrapped->death_ = living_.back().get();
        return wrapped;
    }
    Stores& stores_;
    std::vector<std::unique_ptr<MortalStore*>>& living_;
    const MarkedPool& pool_;
    uint64_t& count_;
};

SimNode::SimNode(runtime::SimReactor& reactor, runtime::SimNetwork& network, std::string name, uint64_t seed)
    : reactor_(reactor),
      network_(network),
      name_(std::move(name)),
      seed_(seed),
      disk_(std::make_unique<runtime::SimDisk>(reactor, runtime::SimDisk::Options{.seed = seed})),
      random_(seed ^ 1),
      pool_(seed ^ 2) {}

SimNode::~SimNode() {
    if (alive()) kill();
}

void SimNode::complete(HostOptions& options) {
    options.name = name_;
    options.wal.segment_bytes = 1u << 20;
    options.wal.reserve_bytes = 0;
    options.make_shelf = [this](GroupId group) { return std::make_unique<Shelf>(*this, group); };
}

Result<void> SimNode::restore(HostOptions options, const std::function<Result<void>(storage::Store&)>& fill) {
    ENSURE(!alive());
    complete(options);
    const std::unique_ptr<runtime::Disk> mount = disk_->mount();
    const runtime::World world{reactor_, network_.host(name_), *mount, random_, pool_};
    const Result<void> restored = runtime::run(reactor_, restore_node(world, options, fill));
    living_stores_.clear();
    return restored;
}

void SimNode::start(HostOptions options) {
    ENSURE(!alive());
    network_.power_on(name_);
    mount_ = disk_->mount();
    complete(options);
    runtime::Network& network = network_.host(name_);
    const runtime::World world{reactor_, network, *mount_, random_, pool_};
    host_ = std::make_unique<Host>(world, std::move(options));
    tasks_ = std::make_unique<runtime::TaskGroup>(reactor_);
    opened_.reset();
    auto listener = network.listen({name_, 2380}, nullptr);
    ENSURE(listener.has_value());
    std::vector<std::unique_ptr<runtime::Listener>> listeners;
    listeners.push_back(*std::move(listener));
    const auto open = [](Host& host, Model& model, std::vector<std::unique_ptr<runtime::Listener>> ports,
                         std::optional<Result<void>>& opened) -> runtime::Task<void> {
        std::map<GroupId, Model*> models;
        models.emplace(GroupId::Coord, &model);
        opened.emplace(co_await host.open(std::move(models), std::move(ports)));
        co_return runtime::done();
    };
    tasks_->spawn("open", open(*host_, model_, std::move(listeners), opened_));
}

void SimNode::kill() {
    for (const auto& store : living_stores_) {
        if (*store) (*store)->die();
    }
    for (auto& [group, stores] : stores_) {
        stores.current->crash(seed_++);
        if (stores.next) stores.next->crash(seed_++);
    }
    disk_->crash(runtime::CrashLoss::Drawn);
    network_.crash(name_);
    end_life();
}

void SimNode::stop() { end_life(); }

void SimNode::end_life() {
    (void)runtime::run(reactor_, tasks_->stop()).has_value();
    (void)runtime::run(reactor_, host_->stop()).has_value();
    host_.reset();
    tasks_.reset();
    mount_.reset();
    living_stores_.clear();
}

void SimNode::wipe() {
    ENSURE(!alive());
    disk_ = std::make_unique<runtime::SimDisk>(reactor_, runtime::SimDisk::Options{.seed = ++seed_});
    stores_.clear();
}

SimCluster::SimCluster(uint64_t seed, int size)
    : reactor_(seed), network_(reactor_, seed + 1), seed_(seed), founders_(size) {
    for (int number = 1; number <= size; ++number) add_node();
}

SimCluster::~SimCluster() { nodes_.clear(); }

int SimCluster::add_node() {
    const int number = size() + 1;
    nodes_.push_back(std::make_unique<SimNode>(reactor_, network_, "n" + std::to_string(number),
                                               seed_ * 100 + static_cast<uint64_t>(number)));
    return number;
}

HostOptions SimCluster::options_of(int number) const {
    HostOptions options;
    options.advertised_peer_urls = {url_of(number)};
    options.advertised_client_urls = {"http://client" + std::to_string(number) + ":2379"};
    for (int founder = 1; founder <= founders_; ++founder) {
        options.initial.emplace("n" + std::to_string(founder), url_of(founder));
    }
    options.replica.keep_entries = 10;
    if (adjust_) adjust_(options);
    return options;
}

void SimCluster::start(int number) { node(number).start(options_of(number)); }

Result<void> SimCluster::restore(int number, const std::function<Result<void>(storage::Store&)>& fill) {
    return node(number).restore(options_of(number), fill);
}

void SimCluster::start_joining(int number) {
    HostOptions options = options_of(number);
    options.join = true;
    node(number).start(std::move(options));
}

bool SimCluster::all_published(int number) {
    const std::vector<Member> members = node(number).host().members();
    return std::ranges::none_of(members, [](const Member& member) { return member.client_urls.empty(); });
}

bool SimCluster::eventually(const std::function<bool()>& condition, Duration limit) {
    return reactor_.run_until(condition, reactor_.now() + limit);
}

int SimCluster::leader() {
    int leader = 0;
    Ballot best;
    for (int number = 1; number <= size(); ++number) {
        SimNode& one = node(number);
        if (!one.alive() || !one.opened() || !one.opened()->has_value()) continue;
        const Leadership leadership = one.replica().leadership();
        if (!leadership.ready || leadership.ballot < best) continue;
        best = leadership.ballot;
        leader = number;
    }
    return leader;
}

Result<std::string> SimCluster::propose(int at, const std::string& command, Duration limit) {
    if (!eventually([&] { return node(at).opened().has_value(); }, limit)) return fail(Code::Timeout, "not open");
    if (!*node(at).opened()) return std::unexpected(node(at).opened()->error());
    LET(const Bytes reply, runtime::run(reactor_, node(at).replica().propose({}, Bytes::copy(command)), limit));
    return reply.str();
}

Result<std::string> SimCluster::read(int at, const std::string& key, Duration limit) {
    if (!eventually([&] { return node(at).opened().has_value(); }, limit)) return fail(Code::Timeout, "not open");
    if (!*node(at).opened()) return std::unexpected(node(at).opened()->error());
    const Instant give_up = reactor_.now() + limit;
    for (;;) {
        const Result<void> current = runtime::run(reactor_, node(at).replica().read_barrier(), limit + 10s);
        if (!current && reactor_.now() < give_up) continue;
        TRY(current);
        break;
    }
    LET(const std::optional<std::string> value, node(at).replica().store().get("v" + key));
    return value.value_or("(none)");
}

}  // namespace polis::cluster
