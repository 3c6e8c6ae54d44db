#include "rpc/client_stream.h"

#include <charconv>
#include <vector>

#include "base/ensure.h"
#include "rpc/wire.h"

namespace polis::rpc {
namespace {

// grpc/doc/http-grpc-status-mapping.md: for answers that are not gRPC's own (of proxies, of web servers).
StatusCode code_of_http(int http_status) {
    switch (http_status) {
        case 400: return StatusCode::Internal;
        case 401: return StatusCode::Unauthenticated;
        case 403: return StatusCode::PermissionDenied;
        case 404: return StatusCode::Unimplemented;
        case 429:
        case 502:
        case 503:
        case 504: return StatusCode::Unavailable;
        default: return StatusCode::Unknown;
    }
}

// grpc/doc/PROTOCOL-HTTP2.md, "Errors".
StatusCode code_of_reset(uint32_t error) {
    switch (error) {
        case NGHTTP2_REFUSED_STREAM: return StatusCode::Unavailable;
        case NGHTTP2_CANCEL: return StatusCode::Cancelled;
        case NGHTTP2_ENHANCE_YOUR_CALM: return StatusCode::ResourceExhausted;
        case NGHTTP2_INADEQUATE_SECURITY: return StatusCode::PermissionDenied;
        case connection_lost: return StatusCode::Unavailable;
        default: return StatusCode::Internal;
    }
}

int number_of(std::string_view digits) {
    int number = -1;
    std::from_chars(digits.data(), digits.data() + digits.size(), number);
    return number;
}

// Keeps the stream's end alive while a coroutine waits on it.
template <class End>
class Held {
public:
    explicit Held(End& end) : end_(end) { end_.retain(); }
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;
    ~Held() { end_.let_go(); }

private:
    End& end_;
};

}  // namespace

void ClientStreamEnd::take_data(std::string_view octets) {
    if (call_) return call_->take_data(octets);
    consume(octets.size());
}

void ClientStreamEnd::take_field(std::string_view name, std::string_view value) {
    if (call_) call_->take_field(name, value);
}

void ClientStreamEnd::take_head(bool ended) {
    if (call_) call_->take_head(ended);
}

void ClientStreamEnd::abandon() {
    call_ = nullptr;
    // What is queued stays until the stream is closed: nghttp2 may have made a frame for some of it already.
    reset(NGHTTP2_CANCEL);
}

void ClientStreamEnd::on_close(uint32_t error) {
    drop_queue();
    if (call_) call_->closed(error);
    call_ = nullptr;
}

GrpcClientStream::GrpcClientStream(Http2Session& session, const ClientCallOptions& options)
    : end_(new ClientStreamEnd(session, *this)),
      message_bytes_max_(options.message_bytes_max),
      write_buffer_bytes_(options.write_buffer_bytes),
      reader_(options.message_bytes_max, Encoding::Identity) {
    std::vector<std::string> encoded;
    encoded.reserve(1 + options.metadata.fields().size());
    std::vector<nghttp2_nv> fields = {
        borrowed_field(":method", "POST"),
        borrowed_field(":scheme", options.tls ? "https" : "http"),
        copied_field(":path", options.method),
        copied_field(":authority", options.authority),
        borrowed_field("content-type", "application/grpc"),
        borrowed_field("te", "trailers"),
        borrowed_field("user-agent", "polis"),
        borrowed_field("grpc-accept-encoding", "identity,gzip"),
    };
    if (options.timeout) {
        encoded.push_back(format_timeout(*options.timeout));
        fields.push_back(copied_field("grpc-timeout", encoded.back()));
    }
    for (const auto& [name, value] : options.metadata.fields()) {
        if (!is_binary_name(name)) {
            fields.push_back(copied_field(name, value));
            continue;
        }
        encoded.push_back(base64_encode(value));
        fields.push_back(copied_field(name, encoded.back()));
    }
    end_->submit_request(fields);
}

GrpcClientStream::~GrpcClientStream() {
    if (end_) end_->abandon();
}

void GrpcClientStream::cancel(Status status) {
    if (!end_) return;
    end_->wake_reader();
    end_->wake_writer();
    std::exchange(end_, nullptr)->abandon();
    status_ = std::move(status);
}

void GrpcClientStream::send_only(Bytes message) {
    if (!end_) return;
    end_->push(std::move(message), SendQueue::Framing::Grpc);
    end_->end_body();
}

runtime::Task<void> GrpcClientStream::write(Bytes message) {
    while (end_ && end_->queued_bytes() >= write_buffer_bytes_) {
        const Held held(*end_);
        CO_TRY(co_await end_->wait_for_room());
    }
    if (!end_ || end_->body_ended()) co_return fail(Code::Io, "the call has ended");
    end_->push(std::move(message), SendQueue::Framing::Grpc);
    co_return runtime::done();
}

runtime::Task<void> GrpcClientStream::finish() {
    if (!end_) co_return fail(Code::Io, "the call has ended");
    end_->end_body();
    co_return runtime::done();
}

runtime::Task<std::optional<Bytes>> GrpcClientStream::read() {
    for (;;) {
        if (reader_.ready()) {
            std::optional<Bytes> message(reader_.pop());
            account_input();
            if (reader_.error()) cancel(*reader_.error());
            co_return message;
        }
        if (!end_) co_return std::optional<Bytes>();
        const Held held(*end_);
        CO_TRY(co_await end_->wait_for_arrival());
    }
}

void GrpcClientStream::take_data(std::string_view octets) {
    end_->hold(octets.size());
    reader_.feed(octets);
    account_input();
    if (reader_.error()) return cancel(*reader_.error());
    end_->wake_reader();
}

void GrpcClientStream::account_input() {
    if (end_) end_->release(end_->held_bytes() - reader_.backlog_bytes());
}

void GrpcClientStream::take_field(std::string_view name, std::string_view value) {
    if (name == ":status") {
        http_status_ = number_of(value);
    } else if (name == "grpc-status") {
        const int code = number_of(value);
        const bool known = code >= 0 && code < static_cast<int>(status_code_count);
        status_.code = known ? static_cast<StatusCode>(code) : StatusCode::Unknown;
        status_seen_ = true;
    } else if (name == "grpc-message") {
        status_.message = percent_decode(value);
    } else if (name == "grpc-status-details-bin") {
        status_.details = base64_decode(value).value_or("");
    } else if (name == "grpc-encoding") {
        if (value == "gzip") encoding_ = Encoding::Gzip;
    } else if (!is_binary_name(name)) {
        fields_.add(std::string(name), std::string(value));
    } else if (std::optional<std::string> octets = base64_decode(value)) {
        fields_.add(std::string(name), *std::move(octets));
    }
}

void GrpcClientStream::take_head(bool ended) {
    Metadata fields = std::exchange(fields_, Metadata());
    if (http_status_ / 100 == 1) return;  // Informational; the real head follows.
    if (!head_seen_ && !ended) {
        initial_metadata_ = std::move(fields);
        reader_ = MessageReader(message_bytes_max_, encoding_);
    } else {
        trailing_metadata_ = std::move(fields);
    }
    head_seen_ = true;
}

void GrpcClientStream::closed(uint32_t error) {
    end_ = nullptr;
    if (status_seen_) return;
    status_.details.clear();
    if (error != NGHTTP2_NO_ERROR) {
        status_.code = code_of_reset(error);
        status_.message = error == connection_lost
                              ? "the connection was lost"
                              : "the stream was reset: " + std::string(nghttp2_http2_strerror(error));
    } else if (http_status_ != 200) {
        status_.code = code_of_http(http_status_);
        status_.message = "the answer is not gRPC's: HTTP status " + std::to_string(http_status_);
    } else {
        status_.code = StatusCode::Internal;
        status_.message = "the server ended the call without a status";
    }
}

}  // namespace polis::rpc
