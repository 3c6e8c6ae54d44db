#include "rpc/server.h"

#include <algorithm>
#include <array>

#include "base/ensure.h"
#include "base/log.h"
#include "rpc/http1_connection.h"
#include "rpc/http2_connection.h"
#include "rpc/service.h"

namespace polis::rpc {
namespace {

constexpr std::string_view http2_preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr size_t telling_bytes = 3;  // No method of HTTP/1 begins with "PRI".
constexpr Duration tick_max = std::chrono::seconds(1);
constexpr Duration tick_min = std::chrono::milliseconds(10);

// One accepted connection, whatever it speaks; counted for as long as it lives, also if its task is dropped unstarted.
struct Connection : Linked<Connection> {
    Connection(std::unique_ptr<runtime::Stream> accepted, ServerStats& counted, runtime::Signal& over)
        : stream(std::move(accepted)), stats(counted), ended(over) {
        ++stats.connections_accepted;
        ++stats.connections_open;
    }
    ~Connection() {
        ENSURE(stats.connections_open > 0);
        --stats.connections_open;
        unlink();
        ended.notify_all();
    }
    std::unique_ptr<runtime::Stream> stream;
    ServerStats& stats;
    runtime::Signal& ended;
    Http2Connection* http2 = nullptr;  // Either is set once it is known what the client speaks.
    Http1Connection* http1 = nullptr;
};

class StreamServer final : public Server {
public:
    StreamServer(runtime::World world, const Routes& routes, ServerOptions options)
        : world_(world),
          options_(std::move(options)),
          service_(world_, routes, options_),
          tasks_(world_.reactor),
          tick_alarm_(world_.reactor.make_alarm([this] { tick(); })) {}
    ~StreamServer() override { ENSURE(stats_.connections_open == 0); }

    runtime::Task<void> serve(std::unique_ptr<runtime::Listener> listener) override;
    runtime::Task<void> drain(Instant deadline) override;
    runtime::Task<void> stop() override;
    ServerStats stats() const override;
    void reconfigure(const ServerOptions& options) override;
    void set_tls(std::shared_ptr<const runtime::TlsContext> tls) override;

private:
    // A listener being served: closing it ends its accept loop.
    struct Port : Linked<Port> {
        explicit Port(runtime::Scope& parent) : accepting(parent) {}
        std::shared_ptr<runtime::Listener> listener;
        runtime::Scope accepting;
    };

    runtime::Task<void> accept_all(Port& port);
    runtime::Task<void> serve_connection(std::shared_ptr<runtime::Listener> listener,
                                         std::unique_ptr<Connection> connection);
    runtime::Task<void> speak(Connection& connection, runtime::Listener& listener);
    runtime::Task<void> speak_http2(Connection& connection, std::string received);
    runtime::Task<void> speak_http1(Connection& connection, std::string received);
    runtime::Task<std::string> first_octets(Connection& connection, runtime::Listener& listener);
    runtime::Task<void> all_ended();
    void stop_accepting();
    void tick();
    Duration tick_interval() const;

    runtime::World world_;
    ServerOptions options_;
    Service service_;
    runtime::TaskGroup tasks_;
    std::unique_ptr<runtime::Alarm> tick_alarm_;
    bool ticking_ = false;
    bool stopping_ = false;
    List<Port, Port> ports_;
    mutable List<Connection, Connection> connections_;  // Mutable: List has no visit of a const list.
    runtime::Signal connection_ended_;
    ServerStats stats_;
};

runtime::Task<void> StreamServer::serve(std::unique_ptr<runtime::Listener> listener) {
    ENSURE(listener != nullptr);
    if (stopping_) co_return fail(Code::Canceled, "the server is stopping");
    // Shared with the connections, whose handshakes need it.
    const std::shared_ptr<runtime::Listener> shared = std::move(listener);
    const runtime::Context here = co_await runtime::this_context();
    Port port(*here.scope);
    port.listener = shared;
    ports_.push_back(port);
    co_return co_await runtime::in_scope(port.accepting, accept_all(port));
}

runtime::Task<void> StreamServer::accept_all(Port& port) {
    for (;;) {
        CO_LET(std::unique_ptr<runtime::Stream> stream, co_await port.listener->accept());
        if (stats_.connections_open >= options_.connections_max) {
            ++stats_.connections_refused;
            continue;
        }
        auto connection = std::make_unique<Connection>(std::move(stream), stats_, connection_ended_);
        connections_.push_back(*connection);
        tasks_.spawn("rpc_connection", serve_connection(port.listener, std::move(connection)));
        if (!std::exchange(ticking_, true)) tick_alarm_->set(world_.reactor.now() + tick_interval());
    }
}

runtime::Task<void> StreamServer::serve_connection(std::shared_ptr<runtime::Listener> listener,
                                                   std::unique_ptr<Connection> connection) {
    const Result<void> result = co_await speak(*connection, *listener);
    if (!result && result.error().code != Code::Canceled) {
        log::debug("connection_ended", {"why", result.error().what});
    }
    if (connection->stream) connection->stream->close();
    connection.reset();  // Before the parameters, of which the listener is one.
    co_return runtime::done();
}

runtime::Task<void> StreamServer::speak(Connection& connection, runtime::Listener& listener) {
    const Instant limit = world_.reactor.now() + options_.handshake_timeout;
    CO_LET(std::string received, co_await runtime::with_deadline(limit, first_octets(connection, listener)));
    if (received.empty()) co_return runtime::done();
    const bool http2 = received.starts_with(http2_preface.substr(0, std::min<size_t>(telling_bytes, received.size())));
    if (http2 || connection.stream->peer().alpn == "h2")
        co_return co_await speak_http2(connection, std::move(received));
    co_return co_await speak_http1(connection, std::move(received));
}

runtime::Task<void> StreamServer::speak_http2(Connection& connection, std::string received) {
    Http2Connection http2(service_, *connection.stream);
    connection.http2 = &http2;
    if (stopping_) http2.drain();
    Result<void> result = co_await http2.run(std::move(received));
    connection.http2 = nullptr;
    stats_.bytes_received += http2.bytes_received();
    stats_.bytes_sent += http2.bytes_sent();
    co_return result;
}

runtime::Task<void> StreamServer::speak_http1(Connection& connection, std::string received) {
    Http1Connection http1(service_, connection.stream);
    connection.http1 = &http1;
    if (stopping_) http1.drain();
    Result<void> result = co_await http1.run(std::move(received));
    connection.http1 = nullptr;
    stats_.bytes_received += http1.bytes_received();
    stats_.bytes_sent += http1.bytes_sent();
    co_return result;
}

// Enough to tell HTTP/2's preface from an HTTP/1 request. Empty if the client has finished.
runtime::Task<std::string> StreamServer::first_octets(Connection& connection, runtime::Listener& listener) {
    CO_TRY(co_await listener.handshake(*connection.stream));
    std::array<std::byte, 1024> octets;
    std::string received;
    while (received.size() < telling_bytes) {
        CO_LET(const size_t count, co_await connection.stream->read_some(octets));
        if (count == 0) co_return std::string();
        received.append(as_view(std::span(octets).first(count)));
        if (!http2_preface.starts_with(std::string_view(received).substr(0, telling_bytes))) break;
    }
    co_return received;
}

void StreamServer::stop_accepting() {
    stopping_ = true;
    ports_.for_each([](Port& port) { port.accepting.cancel(); });
}

runtime::Task<void> StreamServer::drain(Instant deadline) {
    stop_accepting();
    connections_.for_each([](Connection& connection) {
        if (connection.http2) connection.http2->drain();
        if (connection.http1) connection.http1->drain();
    });
    (void)co_await runtime::with_deadline(deadline, all_ended());
    co_return co_await stop();
}

runtime::Task<void> StreamServer::all_ended() {
    while (stats_.connections_open > 0) CO_TRY(co_await connection_ended_.wait());
    co_return runtime::done();
}

runtime::Task<void> StreamServer::stop() {
    stop_accepting();
    Result<void> stopped = co_await tasks_.stop();
    tick_alarm_->clear();
    co_return stopped;
}

void StreamServer::tick() {
    const Instant now = world_.reactor.now();
    connections_.for_each([now](Connection& connection) {
        if (connection.http2) connection.http2->tick(now);
    });
    ticking_ = !connections_.empty();
    if (ticking_) tick_alarm_->set(now + tick_interval());
}

// Fine enough that no timeout is missed by much, coarse enough to cost nothing.
Duration StreamServer::tick_interval() const {
    const Duration shortest = std::min({options_.handshake_timeout, options_.ping_interval, options_.ping_timeout,
                                        options_.connection_age_max, options_.connection_age_grace});
    return std::clamp(shortest / 4, tick_min, tick_max);
}

ServerStats StreamServer::stats() const {
    ServerStats stats = stats_;
    service_.methods.add_to(stats);
    connections_.for_each([&stats](const Connection& connection) {
        if (connection.http2) {
            stats.bytes_received += connection.http2->bytes_received();
            stats.bytes_sent += connection.http2->bytes_sent();
        } else if (connection.http1) {
            stats.bytes_received += connection.http1->bytes_received();
            stats.bytes_sent += connection.http1->bytes_sent();
        }
    });
    return stats;
}

void StreamServer::reconfigure(const ServerOptions& options) {
    options_.message_bytes_max = options.message_bytes_max;
    options_.connections_max = options.connections_max;
    if (std::exchange(options_.streams_max, options.streams_max) == options.streams_max) return;
    connections_.for_each([&options](Connection& connection) {
        if (connection.http2) connection.http2->announce_streams_max(options.streams_max);
    });
}

void StreamServer::set_tls(std::shared_ptr<const runtime::TlsContext> tls) {
    ports_.for_each([&tls](Port& port) { port.listener->set_tls(tls); });
}

}  // namespace

std::unique_ptr<Server> Server::create(runtime::World world, const Routes& routes, ServerOptions options) {
    return std::make_unique<StreamServer>(world, routes, std::move(options));
}

}  // namespace polis::rpc
