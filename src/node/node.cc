#include "node/node.h"

#include <malloc.h>

#include <csignal>
#include <memory>
#include <utility>

#include "base/log.h"
#include "cluster/host.h"
#include "gateways/etcd/gateway.h"
#include "node/auth_token.h"
#include "node/directory_lock.h"
#include "node/figures.h"
#include "node/node_page.h"
#include "node/reload.h"
#include "node/renewing_network.h"
#include "node/tls.h"
#include "node/translate.h"
#include "rpc/server.h"
#include "runtime/epoll_reactor.h"
#include "runtime/io_threads.h"
#include "runtime/posix_disk.h"
#include "runtime/system_random.h"
#include "runtime/tcp_network.h"
#include "runtime/thread_pool.h"
#include "services/coord/api.h"
#include "services/coord/options.h"

namespace polis::node {
namespace {

constexpr auto hand_over_time = std::chrono::milliseconds(500);
constexpr auto drain_time = std::chrono::milliseconds(500);

std::unique_ptr<runtime::IoThreads> make_io_threads(runtime::EpollReactor& reactor, int64_t threads) {
    if (threads == 0) return nullptr;
    return std::make_unique<runtime::IoThreads>(reactor, static_cast<uint32_t>(threads));
}

/// Everything a node is made of, in the order it depends on each other.
class Node {
public:
    Node(const Config& config, ConfigSource source, std::unique_ptr<runtime::PosixDisk> disk,
         std::function<void()> ready)
        : config_(config),
          source_(std::move(source)),
          ready_(std::move(ready)),
          reactor_({.spin = std::chrono::microseconds(config.spin_us)}),
          plain_network_(reactor_),
          network_(plain_network_),
          io_threads_(make_io_threads(reactor_, config.io_threads)),
          client_network_(io_threads_ ? static_cast<runtime::Network&>(*io_threads_) : plain_network_),
          disk_(std::move(disk)),
          world_{reactor_, network_, *disk_, random_, pool_},
          coord_model_(services::make_coord_model(coord_options_of(config))),
          tasks_(reactor_) {}

    Result<void> run() {
        for (const int signal : {SIGTERM, SIGINT}) {
            reactor_.on_signal(signal, [this] {
                stopping_ = true;
                stop_.notify_all();
            });
        }
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
        CO_LET(tls_, load_tls(config_));
        CO_LET(const AuthToken token, load_auth_token(config_.auth_token));
        CO_LET(auto peer_listeners, listen_all(network_, config_.listen_peer, tls_.peer_server));
        CO_LET(auto client_listeners, listen_all(client_network_, config_.listen_client, tls_.client_server));
        CO_LET(auto metrics_listeners, listen_all(client_network_, config_.listen_metrics, tls_.client_server));

        cluster::HostOptions host = host_options_of(config_);
        host.peers.client_tls = tls_.peer_client;
        host_ = std::make_unique<cluster::Host>(world_, std::move(host));
        std::map<GroupId, cluster::Model*> models;
        models.emplace(GroupId::Coord, coord_model_.get());
        CO_TRY(co_await host_->open(std::move(models), std::move(peer_listeners)));

        cluster::GroupReplica& replica = host_->replica(GroupId::Coord);
        // Translated here, not before: the file may have been read again while the host was opening.
        services::CoordOptions coord = coord_options_of(config_);
        coord.token_key = token.key;
        coord.jwt_ttl = token.ttl;
        coord_ = services::make_coord(world_, *host_, replica, *coord_model_, coord);
        gateways::EtcdGatewayOptions gateway = gateway_options_of(config_);
        gateway.read_barrier = [&replica] { return replica.read_barrier(); };
        gateway.metrics.server = [this] { return server_->stats(); };
        gateway.metrics.node = [this] { return figures_.now(*host_); };
        gateway_ = std::make_unique<gateways::EtcdGateway>(world_, *coord_, *host_, std::move(gateway));
        gateway_->register_routes(routes_);
        routes_.http(node_page_path, [this](rpc::HttpExchange& exchange) { return serve_page(exchange); });
        server_ = rpc::Server::create(world_, routes_, server_options_of(config_));
        for (auto& listener : client_listeners) tasks_.spawn("client_listener", server_->serve(std::move(listener)));
        for (auto& listener : metrics_listeners) tasks_.spawn("metrics_listener", server_->serve(std::move(listener)));
        tasks_.spawn("ready", tell_ready());
        tasks_.spawn("fatal", watch_fatal());
        co_return runtime::done();
    }

    Result<std::vector<std::unique_ptr<runtime::Listener>>> listen_all(
        runtime::Network& network, const std::vector<std::string>& urls,
        const std::shared_ptr<const runtime::TlsContext>& tls) {
        std::vector<std::unique_ptr<runtime::Listener>> listeners;
        for (const std::string& url : urls) {
            LET(const runtime::Address address, cluster::address_of_url(url));
            LET(auto listener, network.listen(address, url.starts_with("https://") ? tls : nullptr));
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
        if (host_) CO_TRY(co_await host_->hand_over(reactor_.now() + hand_over_time));
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

    // Finds out first whether all of it can be done, so that a mistake in a file changes nothing.
    Result<ReloadReport> try_reload() {
        LET(const Config fresh, load_config(source_));
        LET(ReloadPlan plan, plan_reload(config_, fresh));
        LET(const TlsContexts tls, load_tls(plan.config));
        renew(tls_.client_server, tls.client_server);
        renew(tls_.peer_server, tls.peer_server);
        renew(tls_.peer_client, tls.peer_client);
        config_ = std::move(plan.config);
        log::set_level(log::level_named(config_.log_level));
        if (host_) host_->set_balance(balance_of(config_));
        if (coord_) coord_->reconfigure(coord_options_of(config_));
        if (gateway_) gateway_->reconfigure(gateway_options_of(config_));
        if (server_) server_->reconfigure(server_options_of(config_));
        return ReloadReport{.refused = {},
                            .certificates_read = tls_.client_server != nullptr || tls_.peer_server != nullptr,
                            .applied = std::move(plan.applied),
                            .at_restart = std::move(plan.at_restart)};
    }

    void renew(const RenewingNetwork::Tls& original, const RenewingNetwork::Tls& fresh) {
        if (!original || !fresh) return;
        network_.renew(original, fresh);
        client_network_.renew(original, fresh);
    }

    void reload() {
        const Result<ReloadReport> done = try_reload();
        const ReloadReport report = done ? *done : ReloadReport{.refused = done.error().what};
        if (!done) log::error("reload_refused", {"why", report.refused});
        for (const Change& change : report.applied) {
            log::info("option_changed", {"option", change.key}, {"before", change.before}, {"after", change.after});
        }
        for (const Change& change : report.at_restart) {
            log::warn("option_waits_for_restart", {"option", change.key}, {"after", change.after});
        }
        if (done) {
            waiting_for_restart_.clear();
            for (const Change& change : report.at_restart) waiting_for_restart_.push_back(change.key);
            log::info("reloaded", {"changed", report.applied.size()}, {"at_restart", report.at_restart.size()});
        }
        report_ = to_json(report);
        if (!std::exchange(reporting_, true)) tasks_.spawn("reload_report", write_report());
    }

    // One at a time: two would write into the same temporary file.
    runtime::Task<void> write_report() {
        Result<void> written;
        while (!report_.empty()) {
            std::string text = std::exchange(report_, {});
            written = co_await runtime::write_file_atomically(*disk_, reload_report_name, std::move(text));
        }
        reporting_ = false;
        if (!written) log::warn("reload_report_failed", {"why", written.error().what});
        co_return written;
    }

    runtime::Task<void> serve_page(rpc::HttpExchange& exchange) {
        rpc::Metadata headers;
        const std::string& method = exchange.request().method;
        if (method != "GET" && method != "HEAD") {
            headers.add("allow", "GET, HEAD");
            co_return co_await exchange.respond(405, std::move(headers), "this page can only be read\n");
        }
        headers.add("content-type", "application/json");
        NodePage page = figures_.page(*host_, config_);
        page.now = reactor_.wall_now();
        page.waiting_for_restart = waiting_for_restart_;
        co_return co_await exchange.respond(200, std::move(headers), to_json(page));
    }

    Config config_;
    ConfigSource source_;
    std::function<void()> ready_;
    runtime::EpollReactor reactor_;
    runtime::TcpNetwork plain_network_;
    RenewingNetwork network_;  // Between nodes: always on the node's own thread, which their messages are for.
    std::unique_ptr<runtime::IoThreads> io_threads_;  // Null: none.
    RenewingNetwork client_network_;
    std::unique_ptr<runtime::PosixDisk> disk_;
    runtime::SystemRandom random_;
    runtime::ThreadPool pool_;
    runtime::World world_;
    std::unique_ptr<cluster::Model> coord_model_;
    TlsContexts tls_;                               // As the node was built; network_ knows what stands for them now.
    std::vector<std::string> waiting_for_restart_;  // Options, by the last reload.
    std::unique_ptr<cluster::Host> host_;
    std::unique_ptr<services::Coord> coord_;
    rpc::Routes routes_;
    std::unique_ptr<gateways::EtcdGateway> gateway_;
    std::unique_ptr<rpc::Server> server_;
    Figures figures_;
    std::string report_;  // Of the last reload, until it is being written.
    bool reporting_ = false;
    runtime::TaskGroup tasks_;
    runtime::Signal stop_;
    bool stopping_ = false;
    std::string fatal_;
};

}  // namespace

Result<void> run_node(const ConfigSource& source, std::function<void(const Config&)> ready) {
    LET(const Config config, load_config(source));
    LET(const DirectoryLock lock, DirectoryLock::take(config.data_dir));
    LET(auto disk, runtime::PosixDisk::open_root(
                       config.data_dir, {.threads = 2, .spin_max = std::chrono::microseconds(config.spin_us)}));
    // glibc would give every thread an arena of its own, which keeps what its busiest moment needed.
    mallopt(M_ARENA_MAX, 1 + static_cast<int>(config.io_threads));
    // A peer that goes away in mid-write is an error of that write, not the end of the process.
    std::signal(SIGPIPE, SIG_IGN);
    log::set_level(log::level_named(config.log_level));
    Node node(config, source, std::move(disk), [&ready, &config] {
        if (ready) ready(config);
    });
    return node.run();
}

}  // namespace polis::node
