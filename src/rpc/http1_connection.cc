#include "rpc/http1_connection.h"

#include <array>
#include <vector>

#include "base/ascii.h"
#include "base/ensure.h"
#include "base/log.h"
#include "codec/http1/serialiser.h"
#include "rpc/http_body.h"
#include "rpc/http_target.h"
#include "rpc/wire.h"

namespace polis::rpc {
namespace {

constexpr size_t busy_read_bytes = 16u << 10;
constexpr size_t watched_bytes_max = 64u << 10;  // What a client may pipeline while it waits.
constexpr size_t skipped_bytes_max = 256u
                                     << 10;  // Of a body that no handler wanted; more, and the connection is closed.
constexpr Duration linger_time = std::chrono::seconds(1);

codec::Http1Limits limits_of(const ServerOptions& options) {
    codec::Http1Limits limits;
    limits.head_bytes_max = options.header_bytes_max;
    return limits;
}

// A connection after an upgrade: octets that came with the request, then the connection itself.
class UpgradedStream : public runtime::Stream {
public:
    UpgradedStream(std::unique_ptr<runtime::Stream> stream, std::string received)
        : stream_(std::move(stream)), received_(std::move(received)) {}

    runtime::Task<size_t> read_some(std::span<std::byte> target) override {
        if (received_.empty()) co_return co_await stream_->read_some(target);
        const size_t count = std::min(target.size(), received_.size());
        std::copy_n(as_bytes(received_).begin(), count, target.begin());
        received_.erase(0, count);
        co_return count;
    }
    runtime::Task<void> write(std::span<const std::string_view> parts) override {
        co_return co_await stream_->write(parts);
    }
    runtime::Task<void> finish() override { co_return co_await stream_->finish(); }
    void close() override { stream_->close(); }
    const runtime::Peer& peer() const override { return stream_->peer(); }

private:
    std::unique_ptr<runtime::Stream> stream_;
    std::string received_;
};

}  // namespace

// Reads ahead while a handler works, from the end of its first turn on: most handlers are done by then.
class Http1Connection::Watch : public runtime::TurnHook {
public:
    Watch(Http1Connection& connection, runtime::Scope& handler)
        : connection_(connection), handler_(handler), reader_(connection.service_.world.reactor) {}
    ~Watch() override { reader_.reactor().forget(*this); }

    /// The request is there in full: nothing but the next one, or the end, can come.
    void begin() { reader_.reactor().at_turn_end(*this); }
    runtime::Task<void> stop() {
        stopped_ = true;
        reader_.reactor().forget(*this);
        if (reader_.running() == 0) co_return runtime::done();
        co_return co_await reader_.stop();
    }

private:
    void turn_end() override {
        if (!stopped_) reader_.spawn("http1_watch", watch());
    }
    runtime::Task<void> watch() {
        while (connection_.buffer_.size() < watched_bytes_max) {
            const Result<void> read = co_await connection_.read_more();
            if (read) continue;
            if (!reader_.scope().canceled()) handler_.cancel();
            break;
        }
        co_return runtime::done();
    }

    Http1Connection& connection_;
    runtime::Scope& handler_;
    runtime::TaskGroup reader_;
    bool stopped_ = false;
};

class Http1Connection::Exchange : public HttpExchange {
public:
    Exchange(Http1Connection& connection, const codec::Http1Request& head, HttpRequest request, Watch& watch)
        : connection_(connection),
          watch_(watch),
          request_(std::move(request)),
          body_(head, limits_of(connection.service_.options)),
          minor_version_(head.minor_version),
          keep_alive_(head.keep_alive && !connection.draining_),
          wants_upgrade_(head.upgrade),
          expects_continue_(head.expects_continue) {
        if (body_.ended()) watch_.begin();
    }

    const HttpRequest& request() const override { return request_; }
    runtime::Task<std::string> read_body(size_t bytes_max) override;
    runtime::Task<Bytes> read_piece() override;
    runtime::Task<void> respond(int status, Metadata headers, std::string body) override;
    runtime::Task<void> begin(int status, Metadata headers) override;
    runtime::Task<void> write(std::string_view piece) override;
    runtime::Task<void> end() override;
    runtime::Task<std::unique_ptr<runtime::Stream>> upgrade(Metadata headers) override;

    /// After the handler: whether another request may follow.
    runtime::Task<bool> finish();

private:
    enum class Sent : uint8_t { Nothing, Head, All };

    Result<std::string> head_of(int status, const Metadata& headers, std::optional<size_t> body_bytes);
    bool is_head() const { return request_.method == "HEAD"; }

    Http1Connection& connection_;
    Watch& watch_;
    HttpRequest request_;
    codec::Http1BodyReader body_;
    uint8_t minor_version_;
    bool keep_alive_;
    bool wants_upgrade_;
    bool expects_continue_;
    bool chunked_ = false;   // The response.
    bool bodiless_ = false;  // The response has no body, whatever is written.
    bool upgraded_ = false;
    bool late_ = false;  // The client has sent too slowly.
    Sent sent_ = Sent::Nothing;
};

Http1Connection::Http1Connection(Service& service, std::unique_ptr<runtime::Stream>& transport)
    : service_(service), transport_(transport), parser_(limits_of(service.options)) {}

runtime::Task<void> Http1Connection::run(std::string received) {
    bytes_received_ += received.size();
    buffer_ = std::move(received);
    for (;;) {
        CO_LET(const bool more, co_await serve_one());
        if (!transport_) co_return runtime::done();  // Upgraded.
        if (more && !draining_) continue;
        break;
    }
    // The last answer must not be overtaken by a reset because the client is still sending.
    CO_TRY(co_await transport_->finish());
    const Instant limit = service_.world.reactor.now() + linger_time;
    buffer_.clear();
    size_t dropped = 0;
    while (dropped < skipped_bytes_max) {
        CO_TRY(co_await runtime::with_deadline(limit, read_more()));
        dropped += buffer_.size();
        buffer_.clear();
    }
    co_return runtime::done();
}

void Http1Connection::drain() {
    draining_ = true;
    if (idle_) idle_->cancel();
}

// Errors: Io at the end of what the client sends.
runtime::Task<void> Http1Connection::read_more() {
    const size_t before = buffer_.size();
    buffer_.resize(before + read_bytes_);
    const std::span<char> target = std::span(buffer_).subspan(before);
    const Result<size_t> count = co_await transport_->read_some(std::as_writable_bytes(target));
    buffer_.resize(before + count.value_or(0));
    if (!count) co_return std::unexpected(count.error());
    if (*count == 0) co_return fail(Code::Io, "the client has finished");
    bytes_received_ += *count;
    if (*count == read_bytes_) read_bytes_ = busy_read_bytes;  // More is likely there.
    co_return runtime::done();
}

runtime::Task<void> Http1Connection::write(std::span<const std::string_view> parts) {
    for (const std::string_view part : parts) bytes_sent_ += part.size();
    co_return co_await transport_->write(parts);
}

// Nothing if the client has finished, or a drain has begun, between requests. Errors: Timeout, Io in the middle of a head.
runtime::Task<std::optional<codec::Http1Request>> Http1Connection::read_head() {
    using Head = std::optional<codec::Http1Request>;
    const runtime::Context here = co_await runtime::this_context();
    runtime::Reactor& reactor = service_.world.reactor;
    parser_.restart();
    if (buffer_.empty()) {
        buffer_ = {};
        read_bytes_ = idle_read_bytes;
        runtime::Scope idle(*here.scope);
        idle_ = &idle;
        const Instant limit = reactor.now() + service_.options.http_idle_timeout;
        const Result<void> begun = co_await runtime::in_scope(idle, runtime::with_deadline(limit, read_more()));
        idle_ = nullptr;
        if (!begun) co_return Head();
    }
    const Instant limit = reactor.now() + service_.options.handshake_timeout;
    for (;;) {
        codec::Http1Parsed<codec::Http1Request> head = parser_.request(buffer_);
        if (!head) {
            (void)co_await refuse(head.error().status, head.error().why);
            co_return Head();
        }
        if (*head) co_return std::move(*head);
        CO_TRY(co_await runtime::with_deadline(limit, read_more()));
    }
}

runtime::Task<bool> Http1Connection::refuse(int status, std::string_view why) {
    const std::string length = std::to_string(why.size() + 1);
    const std::array<codec::Http1Field, 3> fields = {
        {{"content-type", "text/plain; charset=utf-8"}, {"content-length", length}, {"connection", "close"}}};
    const Result<std::string> head = codec::http1_response_head(status, fields);
    ENSURE(head.has_value());
    const std::array<std::string_view, 3> parts = {*head, why, "\n"};
    CO_TRY(co_await write(parts));
    co_return false;
}

// True if another request may follow.
runtime::Task<bool> Http1Connection::serve_one() {
    CO_LET(std::optional<codec::Http1Request> head, co_await read_head());
    if (!head) co_return false;
    std::optional<HttpTarget> target = parse_target(head->origin);
    if (!target) co_return co_await refuse(400, "malformed request target");
    if (is_grpc_content_type(head->find("content-type").value_or(""))) {
        co_return co_await refuse(505, "gRPC needs HTTP/2");
    }

    HttpRequest request;
    request.method = head->method;
    request.target = head->origin;
    request.path = std::move(target->path);
    request.query = std::move(target->query);
    request.peer = transport_->peer();
    for (const auto& [name, value] : head->fields) request.headers.add(lower_case(name), std::string(value));
    buffer_.erase(0, head->head_bytes);  // The views end here.

    const HttpHandler* const handler = service_.routes.find_http(request.path);
    const runtime::Context here = co_await runtime::this_context();
    runtime::Scope handling(*here.scope);
    Watch watch(*this, handling);
    Exchange exchange(*this, *head, std::move(request), watch);
    if (handler) {
        (void)co_await runtime::in_scope(handling, run_handler(*handler, exchange));
    } else {
        (void)co_await not_found(exchange);
    }
    CO_TRY(co_await watch.stop());  // Whatever went wrong: it uses the buffer.
    co_return co_await exchange.finish();
}

runtime::Task<void> Http1Connection::not_found(Exchange& exchange) {
    Metadata headers;
    headers.add("content-type", "text/plain; charset=utf-8");
    co_return co_await exchange.respond(404, std::move(headers), "404 page not found\n");
}

runtime::Task<void> Http1Connection::run_handler(const HttpHandler& handler, Exchange& exchange) {
    try {
        co_return co_await handler(exchange);
    } catch (const std::exception& exception) {
        log::error("handler_threw", {"path", exchange.request().path}, {"what", exception.what()});
    }
    co_return fail(Code::Invalid, "the handler threw");
}

runtime::Task<Bytes> Http1Connection::Exchange::read_piece() {
    // Once the answer has begun it is too late for an interim one.
    if (sent_ == Sent::Nothing && std::exchange(expects_continue_, false) && connection_.buffer_.empty() &&
        !body_.ended()) {
        const std::array<std::string_view, 1> parts = {codec::http1_continue};
        CO_TRY(co_await connection_.write(parts));
    }
    while (!body_.ended()) {
        const auto step = body_.step(connection_.buffer_);
        if (!step) {
            keep_alive_ = false;  // Where the next request begins is unknown.
            co_return fail(Code::Invalid, std::string(step.error().why));
        }
        Bytes piece = Bytes::copy(step->piece);
        connection_.buffer_.erase(0, step->consumed);
        if (body_.ended()) watch_.begin();
        if (!piece.empty()) co_return piece;
        if (step->consumed == 0 && !body_.ended()) CO_TRY(co_await connection_.read_more());
    }
    co_return Bytes();
}

runtime::Task<std::string> Http1Connection::Exchange::read_body(size_t bytes_max) {
    Service& service = connection_.service_;
    const BodyLimits limits{bytes_max, service.options.http_body_timeout};
    Result<std::string> body = co_await gather_body(*this, service.world.reactor, limits);
    if (!body && body.error().code == Code::Timeout) {
        late_ = true;
        keep_alive_ = false;
    }
    co_return body;
}

// With the framing fields of a body of that size; of unknown size if none is given.
Result<std::string> Http1Connection::Exchange::head_of(int status, const Metadata& headers,
                                                       std::optional<size_t> body_bytes) {
    std::vector<codec::Http1Field> fields;
    for (const auto& [name, value] : headers.fields()) {
        if (name != "content-length" && name != "transfer-encoding" && name != "connection") {
            fields.push_back({name, value});
        }
    }
    bodiless_ = is_head() || !may_have_body(status);
    const std::string length = std::to_string(body_bytes.value_or(0));
    if (body_bytes && may_have_body(status)) fields.push_back({"content-length", length});
    if (!body_bytes && !bodiless_) {
        chunked_ = minor_version_ == 1;
        if (chunked_) fields.push_back({"transfer-encoding", "chunked"});
        keep_alive_ &= chunked_;
    }
    if (!keep_alive_) {
        fields.push_back({"connection", "close"});
    } else if (minor_version_ == 0) {
        fields.push_back({"connection", "keep-alive"});
    }
    return codec::http1_response_head(status, fields);
}

runtime::Task<void> Http1Connection::Exchange::respond(int status, Metadata headers, std::string body) {
    ENSURE(sent_ == Sent::Nothing);
    CO_LET(const std::string head, head_of(status, headers, body.size()));
    sent_ = Sent::All;
    const std::array<std::string_view, 2> parts = {head, bodiless_ ? std::string_view() : std::string_view(body)};
    co_return co_await connection_.write(parts);
}

runtime::Task<void> Http1Connection::Exchange::begin(int status, Metadata headers) {
    ENSURE(sent_ == Sent::Nothing);
    CO_LET(const std::string head, head_of(status, headers, std::nullopt));
    sent_ = Sent::Head;
    const std::array<std::string_view, 1> parts = {head};
    co_return co_await connection_.write(parts);
}

runtime::Task<void> Http1Connection::Exchange::write(std::string_view piece) {
    ENSURE(sent_ == Sent::Head);
    if (piece.empty() || bodiless_) co_return runtime::done();
    if (!chunked_) {
        const std::array<std::string_view, 1> parts = {piece};
        co_return co_await connection_.write(parts);
    }
    const std::string prefix = codec::http1_chunk_prefix(piece.size());
    const std::array<std::string_view, 3> parts = {prefix, piece, codec::http1_chunk_suffix};
    co_return co_await connection_.write(parts);
}

runtime::Task<void> Http1Connection::Exchange::end() {
    ENSURE(sent_ == Sent::Head);
    sent_ = Sent::All;
    if (!chunked_) co_return runtime::done();
    const std::array<std::string_view, 1> parts = {codec::http1_last_chunk};
    co_return co_await connection_.write(parts);
}

runtime::Task<std::unique_ptr<runtime::Stream>> Http1Connection::Exchange::upgrade(Metadata headers) {
    ENSURE(sent_ == Sent::Nothing);
    if (!wants_upgrade_ || !body_.ended()) co_return fail(Code::Invalid, "the request asks for no upgrade");
    CO_TRY(co_await watch_.stop());
    std::vector<codec::Http1Field> fields = {{"connection", "upgrade"}};
    for (const auto& [name, value] : headers.fields()) fields.push_back({name, value});
    CO_LET(const std::string head, codec::http1_response_head(101, fields));
    sent_ = Sent::All;
    upgraded_ = true;
    const std::array<std::string_view, 1> parts = {head};
    CO_TRY(co_await connection_.write(parts));
    std::unique_ptr<runtime::Stream> stream = std::make_unique<UpgradedStream>(
        std::move(connection_.transport_), std::exchange(connection_.buffer_, std::string()));
    co_return stream;
}

runtime::Task<bool> Http1Connection::Exchange::finish() {
    if (upgraded_ || sent_ == Sent::Head) co_return false;  // A half-sent body can only be cut off.
    if (sent_ == Sent::Nothing) CO_TRY(co_await respond(late_ ? 408 : 500, Metadata(), std::string()));
    if (!keep_alive_) co_return false;
    // The rest of a body that the handler did not want. A client that waits for 100-continue sends none, or closes.
    if (expects_continue_ && !body_.ended()) co_return false;
    size_t skipped = 0;
    const Instant limit = connection_.service_.world.reactor.now() + linger_time;
    while (!body_.ended() && skipped < skipped_bytes_max) {
        CO_LET(const Bytes piece, co_await runtime::with_deadline(limit, read_piece()));
        skipped += piece.size();
    }
    co_return body_.ended();
}

}  // namespace polis::rpc
