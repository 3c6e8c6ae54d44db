// Server: one port that serves gRPC over HTTP/2 and plain HTTP (1.1 and 2) to whatever handlers are registered.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/time.h"
#include "rpc/handling_times.h"
#include "rpc/status.h"
#include "runtime/task_group.h"
#include "runtime/world.h"

namespace polis::rpc {

/// Header fields in the order they came; names are lower case. Values of names that end in "-bin" are decoded octets
/// here, base64 on the wire.
class Metadata {
public:
    void add(std::string name, std::string value) { fields_.emplace_back(std::move(name), std::move(value)); }
    /// The first value of that name, or nothing.
    std::optional<std::string_view> find(std::string_view name) const;
    const std::vector<std::pair<std::string, std::string>>& fields() const { return fields_; }

private:
    std::vector<std::pair<std::string, std::string>> fields_;
};

/// The server's side of one gRPC call. Lives until its handler's task has ended. When the client cancels, its deadline
/// passes or the connection ends, the handler's scope is cancelled: every wait inside returns an error.
class Call {
public:
    virtual ~Call() = default;

    virtual std::string_view method() const = 0;  // "/etcdserverpb.KV/Put"
    virtual const Metadata& metadata() const = 0;
    virtual const runtime::Peer& peer() const = 0;
    virtual Instant deadline() const = 0;  // Instant::never() if the client gave none.

    /// Initial metadata goes out with the first message (or `send_initial_metadata`), trailing metadata with the status.
    virtual Metadata& initial_metadata() = 0;
    virtual Metadata& trailing_metadata() = 0;
    virtual void send_initial_metadata() = 0;

    /// Streaming calls: the next message, or nothing once the client has finished sending.
    virtual runtime::Task<std::optional<Bytes>> read() = 0;
    /// Streaming calls: sends one message; waits while the client's flow-control window and our buffer are full, so that
    /// a slow reader costs bounded memory. The parts are sent as one message.
    virtual runtime::Task<void> write(Bytes message) = 0;
    /// As write, without waiting: false, and nothing sent, if the buffer is full.
    virtual bool try_write(Bytes message) = 0;
    /// Octets accepted by write and not yet handed to the connection's socket.
    virtual size_t buffered_bytes() const = 0;
};

/// What a unary handler gives back: a message, or a status that is not Ok.
struct Outcome {
    Status status;
    Bytes message;

    static Outcome of(Bytes message) { return {{}, std::move(message)}; }
    static Outcome of(Status status) { return {std::move(status), {}}; }
};

/// A failing Result (not an Outcome) is answered with status_of(error).
using UnaryHandler = std::function<runtime::Task<Outcome>(Call& call, Bytes request)>;
/// Any kind of streaming: reads and writes the call as it likes. The status it ends with is the call's.
using StreamHandler = std::function<runtime::Task<Status>(Call& call)>;

/// One plain HTTP request, its body still to be read.
struct HttpRequest {
    std::string method;                                     // "GET"
    std::string target;                                     // "/v3/kv/range?x=1", origin form
    std::string path;                                       // Decoded path of the target, without query.
    std::map<std::string, std::string, std::less<>> query;  // Decoded; the last of a repeated name wins.
    Metadata headers;
    runtime::Peer peer;
};

/// The exchange a plain handler works with. The body of the request arrives in pieces; so may the response's.
class HttpExchange {
public:
    virtual ~HttpExchange() = default;
    virtual const HttpRequest& request() const = 0;

    /// The whole body. Errors: Invalid if larger than `bytes_max`; Timeout if the client sends too slowly, after which a handler should
    /// end: the answer is 408 then; Io.
    virtual runtime::Task<std::string> read_body(size_t bytes_max) = 0;
    /// The next piece of the body; empty at its end.
    virtual runtime::Task<Bytes> read_piece() = 0;

    /// A complete response. `headers` need no content-length.
    virtual runtime::Task<void> respond(int status, Metadata headers, std::string body) = 0;
    /// A response of unknown length (chunked in HTTP/1.1): begin, then pieces, then end.
    virtual runtime::Task<void> begin(int status, Metadata headers) = 0;
    virtual runtime::Task<void> write(std::string_view piece) = 0;
    virtual runtime::Task<void> end() = 0;

    /// HTTP/1.1 only: answers 101 and hands over the raw stream (websocket). Octets already read come first.
    virtual runtime::Task<std::unique_ptr<runtime::Stream>> upgrade(Metadata headers) = 0;
};
using HttpHandler = std::function<runtime::Task<void>(HttpExchange& exchange)>;

/// The methods and paths that servers answer. Filled before serving, then constant; shared by all reactors.
class Routes {
public:
    /// `name`: "/package.Service/Method". REQUIRES: not registered before.
    void unary(std::string name, UnaryHandler handler);
    void stream(std::string name, StreamHandler handler);
    /// Plain HTTP. `path` matches exactly, or as a prefix if it ends in '/'; the longest wins.
    void http(std::string path, HttpHandler handler);

    const UnaryHandler* find_unary(std::string_view name) const;
    const StreamHandler* find_stream(std::string_view name) const;
    const HttpHandler* find_http(std::string_view path) const;
    bool has_service(std::string_view service) const;  // To tell an unknown method from an unknown service.
    /// All registered gRPC methods, sorted.
    std::vector<std::string> methods() const;

private:
    std::map<std::string, UnaryHandler, std::less<>> unary_;
    std::map<std::string, StreamHandler, std::less<>> stream_;
    std::map<std::string, HttpHandler, std::less<>> http_;
};

struct ServerOptions {
    // ---- Limits: may change while the server serves (Server::reconfigure) ----
    uint32_t message_bytes_max = 2u << 20;  // Of one request message; larger: ResourceExhausted.
    uint32_t streams_max = 1u << 20;        // Concurrent ones per connection (SETTINGS_MAX_CONCURRENT_STREAMS).
    uint32_t connections_max = 18'000;      // Per server; further ones are closed at once.

    // ---- Fixed from the start ----
    uint32_t header_bytes_max = 64u << 10;    // Of one request's header list.
    uint32_t stream_window_bytes = 1u << 20;  // HTTP/2 receive windows.
    uint32_t connection_window_bytes = 4u << 20;
    uint32_t write_buffer_bytes = 256u << 10;                     // Per stream, before write() waits.
    Duration handshake_timeout = std::chrono::seconds(10);        // TLS and the first octets of a request.
    Duration http_idle_timeout = std::chrono::minutes(2);         // HTTP/1.1: between one request and the next.
    Duration http_body_timeout = std::chrono::seconds(30);        // Of a body that is read whole (see http_body.h).
    Duration ping_interval = std::chrono::hours(2);               // Server keep-alive pings when idle ...
    Duration ping_timeout = std::chrono::seconds(20);             // ... and how long to wait for the answer.
    Duration client_ping_interval_min = std::chrono::seconds(5);  // More often: GOAWAY too_many_pings.
    Duration connection_age_max = Duration::max();  // GOAWAY, then connection_age_grace for what is under way.
    Duration connection_age_grace = std::chrono::seconds(10);
    uint32_t rapid_resets_max = 1000;  // Streams reset by a client within a second (CVE-2023-44487): connection closed.
};

/// Counters of one server, for metrics.
struct ServerStats {
    uint64_t connections_open = 0, connections_accepted = 0, connections_refused = 0;
    uint64_t bytes_received = 0, bytes_sent = 0;
    struct Method {
        uint64_t started = 0;
        std::map<StatusCode, uint64_t> handled;
        uint64_t messages_received = 0, messages_sent = 0;
        HandlingTimes handling;  // From a call's first octets to its end, of whole streams too.
    };
    std::map<std::string, Method, std::less<>> methods;
};

/// Serves one listener on one reactor.
///
/// Lifecycle: construct, `serve` (until stopped), `drain` or `stop`, destroy.
class Server {
public:
    /// `routes` is complete now and outlives the server.
    static std::unique_ptr<Server> create(runtime::World world, const Routes& routes, ServerOptions options);
    virtual ~Server() = default;

    /// Accepts and serves until stopped. Several listeners may be served at once.
    virtual runtime::Task<void> serve(std::unique_ptr<runtime::Listener> listener) = 0;

    /// GOAWAY on every connection, no new ones; waits for calls under way until `deadline`, then stops.
    virtual runtime::Task<void> drain(Instant deadline) = 0;

    /// Cancels all calls, closes all connections, and returns when the last task has ended.
    virtual runtime::Task<void> stop() = 0;

    virtual ServerStats stats() const = 0;
    /// From now on the limits among `options` hold, on connections that are there too; the rest stays as it was. What is over a lowered
    /// limit already is left to end by itself.
    virtual void reconfigure(const ServerOptions& options) = 0;
    /// Applies to listeners being served: new connections use this certificate.
    virtual void set_tls(std::shared_ptr<const runtime::TlsContext> tls) = 0;
};

}  // namespace polis::rpc
