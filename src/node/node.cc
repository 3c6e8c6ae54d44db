#include "node/node.h"

#include <csignal>
#include <memory>
#include <utility>

#include "base/log.h"
#include "cluster/host.h"
#include "gateways/etcd/gateway.h"
#include "node/figures.h"
#include "node/tls.h"
#include "node/translate.h"
#include "rpc/server.h"
#include "runtime/asio_network.h"
#include "runtime/asio_reactor.h"
#include "runtime/posix_disk.h"
#include "runtime/system_random.h"
#include "runtime/thread_pool.h"
#include "services/coord/api.h"
#include "services/coord/options.h"

namespace polis::node {
namespace {

constexpr auto drain_time = std::chrono::milliseconds(500);

/// Everything a node is made of, in the order it depends on each other.
class Node {
public:
    Node(const Config& config, std::string config_path, std::unique_ptr<runtime::PosixDisk> disk,
         std::function<void()> ready)
        : config_(config),
          config_path_(std::move(config_path)),
          ready_(std::move(ready)),
          reactor_({.spin = std::chrono::microseconds(config.spin_us)}),
          network_(reactor_),
          disk_(std::move(disk)),
          world_{reactor_, network_, *disk_, random_, pool_},
          coord_options_(coord_options_of(config)),
          coord_model_(services::make_coord_model(coord_options_)),
          tasks_(reactor_) {}

    Result<void> run() {
        reactor_.on_signal(SIGTERM, [this] {
            stop_.notify_all();
            stopping_ = true;
        });
        reactor_.on_signal(SIGINT, [this] {
            stop_.notify_all();
            stopping_ = true;
        });
        reactor_.on_signal(SIGHUP, [this] { reload(); });
        return runtime::run(reactor_, live());
    }

private:
    runtime::Task<void> live() {
        Result<void> ended = co_await open();
        if (ended) ended = co_await serve_until_stopped();
        const Result<void> closed = co_await close();
        if (!closed) log::warn("close_failed", {"why", closed.error().what});
        co_return ended;
    }

    runtime::Task<void> open() {
        // Ports first: a port that is taken should be found before anything is written.
        CO_LET(tls_client_, load_server_tls(config_.tls_client, config_.data_dir, "client"));
        CO_LET(tls_peer_, load_server_tls(config_.tls_peer, config_.data_dir, "peer"));
        CO_LET(auto peer_listeners, listen_all(config_.listen_peer, tls_peer_));
        CO_LET(auto client_listeners, listen_all(config_.listen_client, tls_client_));
        CO_LET(auto metrics_listeners, listen_all(config_.listen_metrics, tls_client_));

        cluster::HostOptions host = host_options_of(config_);
        CO_LET(host.peers.client_tls, load_client_tls(config_.tls_peer, config_.data_dir, "peer"));
        host_ = std::make_unique<cluster::Host>(world_, std::move(host));
        std::map<GroupId, cluster::Model*> models;
        models.emplace(GroupId::Coord, coord_model_.get());
        CO_TRY(co_await host_->open(std::move(models), std::move(peer_listeners)));

        cluster::GroupReplica& replica = host_->replica(GroupId::Coord);
        coord_ = services::make_coord(world_, *host_, replica, *coord_model_, coord_options_);
        gateways::EtcdGatewayOptions gateway = gateway_options_of(config_);
        gateway.read_barrier = [&replica] { return replica.read_barrier(); };
        gateway.metrics.server = [this] { return server_->stats(); };
        gateway.metrics.node = [this] { return figures_.now(*host_); };
        gateway_ = std::make_unique<gateways::EtcdGateway>(world_, *coord_, *host_, std::move(gateway));
        gateway_->register_routes(routes_);
        server_ = rpc::Server::create(world_, routes_, server_options_of(config_));
        for (auto& listener : client_listeners) tasks_.spawn("client_listener", server_->serve(std::move(listener)));
        for (auto& listener : metrics_listeners) tasks_.spawn("metrics_listener", server_->serve(std::move(listener)));
        tasks_.spawn("ready", tell_ready());
        tasks_.spawn("fatal", watch_fatal());
        co_return runtime::done();
    }

    Result<std::vector<std::unique_ptr<runtime::Listener>>> listen_all(
        const std::vector<std::string>& urls, const std::shared_ptr<const runtime::TlsContext>& tls) {
        std::vector<std::unique_ptr<runtime::Listener>> listeners;
        for (const std::string& url : urls) {
            LET(const runtime::Address address, cluster::address_of_url(url));
            LET(auto listener, network_.listen(address, url.starts_with("https://") ? tls : nullptr));
            log::info("listening", {"url", url});
            listeners.push_back(std::move(listener));
        }
        return listeners;
    }

    runtime::Task<void> tell_ready() {
        for (;;) {
            const bool all_led = host_->is_founded() &&
                                 host_->replica(GroupId::Coord).leadership().leader != NodeId::Nobody &&
                                 host_->replica(GroupId::Meta).leadership().leader != NodeId::Nobody;
            if (all_led) break;
            CO_TRY(co_await runtime::sleep_for(std::chrono::milliseconds(20)));
        }
        log::info("ready", {"name", config_.name});
        if (ready_) ready_();
        co_return runtime::done();
    }

    runtime::Task<void> watch_fatal() {
        CO_LET(std::string why, co_await host_->fatal());
        log::error("node_cannot_go_on", {"why", why});
        fatal_ = std::move(why);
        stopping_ = true;
        stop_.notify_all();
        co_return runtime::done();
    }

    runtime::Task<void> serve_until_stopped() {
        while (!stopping_) CO_TRY(co_await stop_.wait());
        if (!fatal_.empty()) co_return fail(Code::Denied, fatal_);
        co_return runtime::done();
    }

    runtime::Task<void> close() {
        log::info("stopping");
        if (gateway_) gateway_->set_serving(false);
        if (server_) {
            CO_TRY(co_await server_->drain(reactor_.now() + drain_time));
            CO_TRY(co_await server_->stop());
        }
        if (gateway_) CO_TRY(co_await gateway_->stop());
        CO_TRY(co_await tasks_.stop());
        gateway_.reset();
        if (coord_) CO_TRY(co_await coord_->stop());
        coord_.reset();
        if (host_) CO_TRY(co_await host_->stop());
        server_.reset();
        co_return runtime::done();
    }

    void reload() {
        const Result<Config> fresh = config_path_.empty() ? Result<Config>(config_) : load_config(config_path_);
        if (!fresh) {
            log::error("reload_failed", {"why", fresh.error().what});
            return;
        }
        const auto tls = load_server_tls(fresh->tls_client, config_.data_dir, "client");
        if (!tls) {
            log::error("reload_failed", {"why", tls.error().what});
            return;
        }
        log::set_level(log::level_named(fresh->log_level));
        if (server_) server_->set_tls(*tls);
        config_ = *fresh;
        log::info("reloaded");
    }

    Config config_;
    std::string config_path_;
    std::function<void()> ready_;
    runtime::AsioReactor reactor_;
    runtime::AsioNetwork network_;
    std::unique_ptr<runtime::PosixDisk> disk_;
    runtime::SystemRandom random_;
    runtime::ThreadPool pool_;
    runtime::World world_;
    services::CoordOptions coord_options_;
    std::unique_ptr<cluster::Model> coord_model_;
    std::shared_ptr<const runtime::TlsContext> tls_client_;
    std::shared_ptr<const runtime::TlsContext> tls_peer_;
    std::unique_ptr<cluster::Host> host_;
    std::unique_ptr<services::Coord> coord_;
    rpc::Routes routes_;
    std::unique_ptr<gateways::EtcdGateway> gateway_;
    std::unique_ptr<rpc::Server> server_;
    Figures figures_;
    runtime::TaskGroup tasks_;
    runtime::Signal stop_;
    bool stopping_ = false;
    std::string fatal_;
};

}  // namespace

Result<void> run_node(const Config& config, const std::string& config_path, std::function<void()> ready) {
    TRY(check_config(config));
    LET(const DirectoryLock lock, DirectoryLock::take(config.data_dir));
    LET(auto disk, runtime::PosixDisk::open_root(
                       config.data_dir, {.threads = 2, .spin_max = std::chrono::microseconds(config.spin_us)}));
    // A peer that goes away in mid-write is an error of that write, not the end of the process.
    std::signal(SIGPIPE, SIG_IGN);
    log::set_level(log::level_named(config.log_level));
    Node node(config, config_path, std::move(disk), std::move(ready));
    return node.run();
}

}  // namespace polis::node
