#include "rpc/http2_connection.h"

#include <array>
#include <cstring>

#include "base/ensure.h"
#include "rpc/http2_exchange.h"
#include "rpc/http_target.h"
#include "rpc/wire.h"

namespace polis::rpc {
namespace {

constexpr size_t field_overhead_bytes = 32;  // RFC 9113, section 6.5.2.
// A list over the limit is refused; one this much over it ends the connection: it may be a bomb of indexed fields.
constexpr size_t header_bomb_factor = 4;
constexpr uint64_t keep_alive_ping = 1;
constexpr uint64_t drain_ping = 2;

std::string_view view_of(nghttp2_rcbuf* text) {
    const nghttp2_vec octets = nghttp2_rcbuf_get_buf(text);
    return {reinterpret_cast<const char*>(octets.base), octets.len};
}

bool ends_stream(const nghttp2_frame& frame) { return (frame.hd.flags & NGHTTP2_FLAG_END_STREAM) != 0; }
bool is_ack(const nghttp2_frame& frame) { return (frame.hd.flags & NGHTTP2_FLAG_ACK) != 0; }

Http2Limits limits_of(const ServerOptions& options) {
    return {options.stream_window_bytes, options.connection_window_bytes, options.streams_max,
            options.header_bytes_max};
}

}  // namespace

Http2Connection::Http2Connection(Service& service, runtime::Stream& transport)
    : Http2Session(service.world.reactor, transport, Side::Server, limits_of(service.options)),
      service_(service),
      guard_(service.options.rapid_resets_max),
      police_(service.options.client_ping_interval_min),
      opened_at_(service.world.reactor.now()),
      received_at_(opened_at_) {}

int Http2Connection::count(FloodGuard::Event event) {
    const std::optional<std::string_view> too_many = guard_.count(event, service_.world.reactor.now());
    return too_many ? abuse(NGHTTP2_ENHANCE_YOUR_CALM, *too_many) : 0;
}

int Http2Connection::begin_frame(const nghttp2_frame_hd& header) {
    switch (header.type) {
        case NGHTTP2_DATA:
            if (header.length > 0 || (header.flags & NGHTTP2_FLAG_END_STREAM) != 0) return 0;
            return count(FloodGuard::Event::EmptyData);
        case NGHTTP2_HEADERS: return 0;
        case NGHTTP2_PRIORITY: return count(FloodGuard::Event::Priority);
        case NGHTTP2_RST_STREAM: return count(FloodGuard::Event::StreamReset);
        case NGHTTP2_SETTINGS: return count(FloodGuard::Event::Settings);
        case NGHTTP2_PING: return count(FloodGuard::Event::Ping);
        case NGHTTP2_WINDOW_UPDATE: return count(FloodGuard::Event::WindowUpdate);
        default: return count(FloodGuard::Event::Other);
    }
}

int Http2Connection::invalid_frame() { return count(FloodGuard::Event::Other); }

int Http2Connection::begin_headers(const nghttp2_frame& frame) {
    // Not empty if the block before was cut off by an error of its stream.
    if (head_.stream != 0) head_ = RequestHead();
    head_.stream = frame.hd.stream_id;
    return 0;
}

int Http2Connection::header(const nghttp2_frame& frame, nghttp2_rcbuf* name, nghttp2_rcbuf* value) {
    const NamedField field(view_of(name), view_of(value));
    head_.bytes += field.name.size() + field.value.size() + field_overhead_bytes;
    if (head_.bytes > service_.options.header_bytes_max * header_bomb_factor) {
        return abuse(NGHTTP2_ENHANCE_YOUR_CALM, "header list too large");
    }
    // What is malformed is looked at when the head is whole.
    if (frame.headers.cat != NGHTTP2_HCAT_REQUEST) {
        (void)head_.rules.admit_trailer(field);
    } else if (head_.rules.admit(field) && head_.bytes <= service_.options.header_bytes_max) {
        keep_field(field.known, name, value);
    }
    return 0;
}

void Http2Connection::keep_field(FieldName known, nghttp2_rcbuf* name, nghttp2_rcbuf* value) {
    switch (known) {
        case FieldName::Path: head_.path = HeaderText(value); break;
        case FieldName::Method: head_.method = HeaderText(value); break;
        case FieldName::Authority: head_.authority = HeaderText(value); break;
        case FieldName::ContentType: head_.content_type = HeaderText(value); break;
        case FieldName::GrpcTimeout: head_.timeout = HeaderText(value); break;
        case FieldName::GrpcEncoding: head_.encoding = HeaderText(value); break;
        case FieldName::Scheme:
        case FieldName::Te:
        case FieldName::GrpcAcceptEncoding: break;
        default: head_.fields.push_back({HeaderText(name), HeaderText(value)}); break;
    }
}

int Http2Connection::frame_received(const nghttp2_frame& frame) {
    switch (frame.hd.type) {
        case NGHTTP2_HEADERS: end_of_headers(frame); break;
        case NGHTTP2_DATA:
            if (ends_stream(frame)) end_of_body(frame.hd.stream_id);
            break;
        case NGHTTP2_SETTINGS: settings_received_ = true; break;
        case NGHTTP2_PING: return ping_received(frame);
        default: break;
    }
    return 0;
}

void Http2Connection::end_of_headers(const nghttp2_frame& frame) {
    const bool request = frame.headers.cat == NGHTTP2_HCAT_REQUEST;
    const bool is_empty = ends_stream(frame) && head_.rules.content_length().value_or(0) == 0;
    const bool well_formed = request ? head_.rules.is_complete() && (is_empty || !ends_stream(frame))
                                     : ends_stream(frame) && head_.rules.admit_trailer("x", "");
    if (!well_formed) {
        (void)nghttp2_submit_rst_stream(raw(), NGHTTP2_FLAG_NONE, frame.hd.stream_id, NGHTTP2_PROTOCOL_ERROR);
    } else if (request) {
        dispatch(ends_stream(frame));
        if (Http2Stream* stream = stream_of(frame.hd.stream_id)) stream->expect_body(head_.rules.content_length());
    } else {
        end_of_body(frame.hd.stream_id);
    }
    head_ = RequestHead();
}

void Http2Connection::end_of_body(int32_t id) {
    Http2Stream* const stream = stream_of(id);
    if (!stream) return;
    if (stream->is_body_whole()) return stream->take_end();
    (void)nghttp2_submit_rst_stream(raw(), NGHTTP2_FLAG_NONE, id, NGHTTP2_PROTOCOL_ERROR);
}

int Http2Connection::ping_received(const nghttp2_frame& frame) {
    if (!is_ack(frame)) {
        const bool too_many = police_.ping_received(service_.world.reactor.now(), stream_count() > 0);
        return too_many ? abuse(NGHTTP2_ENHANCE_YOUR_CALM, "too_many_pings") : 0;
    }
    uint64_t payload = 0;
    std::memcpy(&payload, frame.ping.opaque_data, sizeof(payload));
    if (payload == drain_ping && draining()) finish_drain();
    return 0;
}

void Http2Connection::frame_sent(const nghttp2_frame& frame) {
    const uint8_t type = frame.hd.type;
    if (type == NGHTTP2_RST_STREAM && frame.rst_stream.error_code != NGHTTP2_NO_ERROR) {
        (void)count(FloodGuard::Event::StreamReset);  // Looked at when the peer sends more.
    }
    if (type != NGHTTP2_DATA && type != NGHTTP2_HEADERS) return;
    police_.data_sent();
    // An answer given before the request's end: the rest of it is not wanted.
    if (ends_stream(frame) && nghttp2_session_get_stream_remote_close(raw(), frame.hd.stream_id) == 0) {
        (void)nghttp2_submit_rst_stream(raw(), NGHTTP2_FLAG_NONE, frame.hd.stream_id, NGHTTP2_NO_ERROR);
    }
}

void Http2Connection::dispatch(bool ended) {
    const bool grpc = is_grpc_content_type(head_.content_type.view());
    if (head_.bytes > service_.options.header_bytes_max) {
        if (!grpc) return refuse(431);
        return answer_trailers_only(*this, head_.stream, {StatusCode::ResourceExhausted, "header list too large", {}});
    }
    // Cancelled calls whose handlers have not ended yet count too, or resets would buy more than the limit.
    if (stream_count() >= service_.options.streams_max) {
        (void)nghttp2_submit_rst_stream(raw(), NGHTTP2_FLAG_NONE, head_.stream, NGHTTP2_REFUSED_STREAM);
        return;
    }
    if (!grpc) return dispatch_http(ended);
    dispatch_grpc();
    if (!ended) return;
    if (Http2Stream* stream = stream_of(head_.stream)) stream->take_end();
}

void Http2Connection::dispatch_grpc() {
    const auto end = [this](StatusCode code, std::string why) {
        answer_trailers_only(*this, head_.stream, {code, std::move(why), {}});
    };
    if (head_.method.view() != "POST") return refuse(405);
    MethodEntry* const method = find_method(head_.path.view());
    if (!method) return answer_trailers_only(*this, head_.stream, service_.methods.unknown(head_.path.view()));

    GrpcRequest request;
    const std::string_view encoding = head_.encoding.view();
    if (encoding == "gzip") {
        request.encoding = Encoding::Gzip;
    } else if (!encoding.empty() && encoding != "identity") {
        return refuse_encoding(*this, head_.stream, encoding);
    }
    if (const std::string_view text = head_.timeout.view(); !text.empty()) {
        const std::optional<Duration> timeout = parse_timeout(text);
        if (!timeout) return end(StatusCode::Internal, "malformed grpc-timeout: \"" + std::string(text) + "\"");
        const Instant now = service_.world.reactor.now();
        if (*timeout < Instant::never() - now) request.deadline = now + *timeout;
    }
    request.fields = std::move(head_.fields);
    auto* call = new GrpcCall(*this, head_.stream, *method, std::move(request), service_.options, service_.deadlines);
    (void)nghttp2_session_set_stream_user_data(raw(), head_.stream, call);
}

MethodEntry* Http2Connection::find_method(std::string_view path) {
    if (recent_method_ && recent_method_->name == path) return recent_method_;
    MethodEntry* const method = service_.methods.find(path);
    if (method) recent_method_ = method;
    return method;
}

void Http2Connection::dispatch_http(bool ended) {
    HttpRequest request;
    std::optional<HttpTarget> target = parse_target(head_.path.view());
    if (!target) return refuse(400);
    const HttpHandler* const handler = service_.routes.find_http(target->path);
    if (!handler) return refuse(404);
    request.method = head_.method.view();
    request.target = head_.path.view();
    request.path = std::move(target->path);
    request.query = std::move(target->query);
    request.peer = transport().peer();
    if (!head_.authority.empty()) request.headers.add("host", std::string(head_.authority.view()));
    if (!head_.content_type.empty()) request.headers.add("content-type", std::string(head_.content_type.view()));
    for (const HeaderField& field : head_.fields) {
        request.headers.add(std::string(field.name.view()), std::string(field.value.view()));
    }
    auto* exchange = new Http2Exchange(*this, head_.stream, *handler, std::move(request), service_.options);
    (void)nghttp2_session_set_stream_user_data(raw(), head_.stream, exchange);
    if (ended) exchange->take_end();
}

void Http2Connection::refuse(int http_status) {
    const std::string status = std::to_string(http_status);
    const std::array<nghttp2_nv, 2> fields = {copied_field(":status", status), borrowed_field("content-length", "0")};
    (void)nghttp2_submit_response(raw(), head_.stream, fields.data(), fields.size(), nullptr);
    wake();
}

void Http2Connection::send_ping(uint64_t payload) {
    std::array<uint8_t, 8> octets{};
    std::memcpy(octets.data(), &payload, sizeof(payload));
    (void)nghttp2_submit_ping(raw(), NGHTTP2_FLAG_NONE, octets.data());
    wake();
}

void Http2Connection::drain() {
    if (draining() || ended()) return;
    begin_drain();
    send_ping(drain_ping);  // When its answer comes, so has every request sent before the client knew.
}

void Http2Connection::tick(Instant now) {
    if (ended()) return;
    const ServerOptions& options = service_.options;
    trim();
    if (bytes_received() != received_bytes_) {
        received_bytes_ = bytes_received();
        received_at_ = now;
        pinged_at_ = Instant::never();
    }
    if (!settings_received_ && now - opened_at_ >= options.handshake_timeout) return transport().close();
    if (pinged_at_ != Instant::never()) {
        if (now - pinged_at_ >= options.ping_timeout) transport().close();
    } else if (now - received_at_ >= options.ping_interval) {
        pinged_at_ = now;
        send_ping(keep_alive_ping);
    }
    if (options.connection_age_max == Duration::max()) return;
    const Duration age = now - opened_at_;
    if (age >= options.connection_age_max) drain();
    if (age - options.connection_age_max >= options.connection_age_grace) {
        terminate(NGHTTP2_NO_ERROR, "the connection is too old");
    }
}

}  // namespace polis::rpc
