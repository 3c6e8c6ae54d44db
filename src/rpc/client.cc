#include "rpc/client.h"

#include "base/ensure.h"
#include "rpc/client_stream.h"
#include "runtime/wait.h"

namespace polis::rpc {
namespace {

constexpr uint32_t header_bytes_max = 64u << 10;

// One HTTP/2 connection to the server.
class ClientConnection final : public Http2Session {
public:
    ClientConnection(runtime::Reactor& reactor, runtime::Stream& transport, const ClientOptions& options)
        : Http2Session(reactor, transport, Side::Client,
                       {.stream_window_bytes = options.window_bytes,
                        .connection_window_bytes = 4 * options.window_bytes,
                        .streams_max = 0,
                        .header_bytes_max = header_bytes_max}) {}

    /// New calls may use it.
    bool open() const { return !ended() && !going_away_ && nghttp2_session_check_request_allowed(raw_session()) != 0; }

private:
    nghttp2_session* raw_session() const { return const_cast<ClientConnection*>(this)->raw(); }

    int begin_frame(const nghttp2_frame_hd&) override { return 0; }
    int begin_headers(const nghttp2_frame&) override {
        header_bytes_ = 0;
        return 0;
    }
    int header(const nghttp2_frame& frame, nghttp2_rcbuf* name, nghttp2_rcbuf* value) override {
        const HeaderText name_text(name);
        const HeaderText value_text(value);
        header_bytes_ += name_text.view().size() + value_text.view().size();
        if (header_bytes_ > header_bytes_max) return abuse(NGHTTP2_ENHANCE_YOUR_CALM, "header list too large");
        if (auto* stream = static_cast<ClientStreamEnd*>(stream_of(frame.hd.stream_id))) {
            stream->take_field(name_text.view(), value_text.view());
        }
        return 0;
    }
    int frame_received(const nghttp2_frame& frame) override {
        const bool ended = (frame.hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
        auto* stream = static_cast<ClientStreamEnd*>(stream_of(frame.hd.stream_id));
        if (frame.hd.type == NGHTTP2_GOAWAY) going_away_ = true;
        if (frame.hd.type == NGHTTP2_HEADERS && stream) stream->take_head(ended);
        return 0;
    }
    void frame_sent(const nghttp2_frame&) override {}

    size_t header_bytes_ = 0;
    bool going_away_ = false;
};

class GrpcClient final : public Client {
public:
    GrpcClient(runtime::World world, ClientOptions options)
        : world_(world),
          options_(std::move(options)),
          authority_(runtime::to_string(options_.address)),
          tasks_(world.reactor) {}
    ~GrpcClient() override { ENSURE(tasks_.running() == 0); }

    runtime::Task<Outcome> call(std::string method, Bytes request, Metadata metadata,
                                std::optional<Duration> timeout) override;
    runtime::Task<std::unique_ptr<ClientStream>> open(std::string method, Metadata metadata) override;
    runtime::Task<void> stop() override;

private:
    runtime::Task<Outcome> call_unlimited(std::string method, Bytes request, Metadata metadata,
                                          std::optional<Duration> timeout);
    runtime::Task<void> connected();
    runtime::Task<void> keep_connection();
    std::unique_ptr<GrpcClientStream> start(std::string_view method, const Metadata& metadata,
                                            std::optional<Duration> timeout);

    runtime::World world_;
    ClientOptions options_;
    std::string authority_;
    runtime::TaskGroup tasks_;
    ClientConnection* connection_ = nullptr;  // The one new calls use.
    bool connecting_ = false;
    std::optional<Error> connect_error_;  // Of the last attempt.
    runtime::Signal connect_ended_;
};

runtime::Task<Outcome> GrpcClient::call(std::string method, Bytes request, Metadata metadata,
                                        std::optional<Duration> timeout) {
    if (!timeout) {
        co_return co_await call_unlimited(std::move(method), std::move(request), std::move(metadata), timeout);
    }
    const runtime::Context here = co_await runtime::this_context();
    const Instant limit = world_.reactor.now() + *timeout;
    Result<Outcome> outcome = co_await runtime::with_deadline(
        limit, call_unlimited(std::move(method), std::move(request), std::move(metadata), timeout));
    if (outcome || outcome.error().code != Code::Timeout || here.scope->canceled()) co_return outcome;
    co_return Outcome::of(Status{StatusCode::DeadlineExceeded, "context deadline exceeded", {}});
}

runtime::Task<Outcome> GrpcClient::call_unlimited(std::string method, Bytes request, Metadata metadata,
                                                  std::optional<Duration> timeout) {
    if (!connection_ || !connection_->open()) {
        const Result<void> ready = co_await connected();
        if (!ready && ready.error().code == Code::Unavailable) co_return Outcome::of(status_of(ready.error()));
        CO_TRY(ready);
    }
    const std::unique_ptr<GrpcClientStream> stream = start(method, metadata, timeout);
    stream->send_only(std::move(request));
    CO_LET(std::optional<Bytes> answer, co_await stream->read());
    if (answer) {
        CO_LET(const std::optional<Bytes> second, co_await stream->read());
        if (second) {
            co_return Outcome::of(Status{StatusCode::Internal, "more than one answer to a unary call", {}});
        }
    }
    Status status = stream->status();
    if (status.ok() && !answer) status = {StatusCode::Internal, "no answer to a unary call", {}};
    co_return Outcome{std::move(status), answer ? *std::move(answer) : Bytes()};
}

runtime::Task<std::unique_ptr<ClientStream>> GrpcClient::open(std::string method, Metadata metadata) {
    if (!connection_ || !connection_->open()) CO_TRY(co_await connected());
    std::unique_ptr<ClientStream> stream = start(method, metadata, std::nullopt);
    co_return stream;
}

std::unique_ptr<GrpcClientStream> GrpcClient::start(std::string_view method, const Metadata& metadata,
                                                    std::optional<Duration> timeout) {
    ENSURE(connection_ != nullptr);
    return std::make_unique<GrpcClientStream>(*connection_,
                                              ClientCallOptions{.method = method,
                                                                .metadata = metadata,
                                                                .timeout = timeout,
                                                                .authority = authority_,
                                                                .tls = options_.tls != nullptr,
                                                                .message_bytes_max = options_.message_bytes_max});
}

// Many callers may wait for one attempt. Errors: Unavailable; the scope's.
runtime::Task<void> GrpcClient::connected() {
    while (!connection_ || !connection_->open()) {
        if (tasks_.scope().canceled()) co_return fail(Code::Canceled, "the client is stopping");
        if (!connecting_) {
            connecting_ = true;
            connect_error_.reset();
            tasks_.spawn("rpc_client", keep_connection());
        }
        CO_TRY(co_await connect_ended_.wait());
        if (connect_error_) {
            co_return fail(Code::Unavailable, "connecting to " + authority_ + ": " + connect_error_->what);
        }
    }
    co_return runtime::done();
}

runtime::Task<void> GrpcClient::keep_connection() {
    const Instant limit = world_.reactor.now() + options_.connect_timeout;
    Result<std::unique_ptr<runtime::Stream>> stream =
        co_await runtime::with_deadline(limit, world_.network.connect(options_.address, options_.tls));
    connecting_ = false;
    if (!stream) {
        connect_error_ = stream.error();
        connect_ended_.notify_all();
        co_return std::unexpected(stream.error());
    }
    ClientConnection connection(world_.reactor, **stream, options_);
    connection_ = &connection;
    connect_ended_.notify_all();
    Result<void> ended = co_await connection.run(std::string());
    if (connection_ == &connection) connection_ = nullptr;
    (*stream)->close();
    co_return ended;
}

runtime::Task<void> GrpcClient::stop() {
    Result<void> stopped = co_await tasks_.stop();
    // A connection that was to be made may never have been begun: nobody else tells those who wait for it.
    connecting_ = false;
    connect_ended_.notify_all();
    co_return stopped;
}

}  // namespace

std::unique_ptr<Client> Client::create(runtime::World world, ClientOptions options) {
    return std::make_unique<GrpcClient>(world, std::move(options));
}

}  // namespace polis::rpc
