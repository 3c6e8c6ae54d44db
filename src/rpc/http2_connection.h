// Http2Connection: the server's side of one HTTP/2 connection: requests to handlers, keep-alive, drain, protection.
#pragma once

#include <string_view>
#include <vector>

#include "rpc/flood_guard.h"
#include "rpc/grpc_call.h"
#include "rpc/header_rules.h"
#include "rpc/http2_session.h"
#include "rpc/service.h"

namespace polis::rpc {

class Http2Connection final : public Http2Session {
public:
    Http2Connection(Service& service, runtime::Stream& transport);

    /// Does what is due: keep-alive, idle memory, the end of an unfinished handshake. Called about once a second.
    void tick(Instant now);
    /// GOAWAY in two steps, so that no request under way is lost.
    void drain();

private:
    // The header block that is arriving; there is never more than one on a connection.
    struct RequestHead {
        int32_t stream = 0;
        size_t bytes = 0;  // As RFC 9113, section 6.5.2 counts them.
        HeaderText method, path, authority, content_type, timeout, encoding;
        std::vector<HeaderField> fields;
        HeaderRules rules;
    };

    int begin_frame(const nghttp2_frame_hd& header) override;
    int begin_headers(const nghttp2_frame& frame) override;
    int header(const nghttp2_frame& frame, nghttp2_rcbuf* name, nghttp2_rcbuf* value) override;
    int frame_received(const nghttp2_frame& frame) override;
    void frame_sent(const nghttp2_frame& frame) override;
    int invalid_frame() override;

    int count(FloodGuard::Event event);
    int ping_received(const nghttp2_frame& frame);
    void keep_field(FieldName known, nghttp2_rcbuf* name, nghttp2_rcbuf* value);
    void end_of_headers(const nghttp2_frame& frame);
    /// A body shorter than its content-length makes the request malformed (RFC 9113, section 8.1.1).
    void end_of_body(int32_t id);
    void dispatch(bool ended);
    void dispatch_grpc();
    MethodEntry* find_method(std::string_view path);
    void dispatch_http(bool ended);
    void refuse(int http_status);
    void send_ping(uint64_t payload);

    Service& service_;
    FloodGuard guard_;
    PingPolice police_;
    RequestHead head_;
    MethodEntry* recent_method_ = nullptr;  // Of the last call: most clients call one and the same again and again.
    const Instant opened_at_;
    Instant received_at_;          // When octets were last seen to have come, to the accuracy of ticks.
    uint64_t received_bytes_ = 0;  // As of then.
    Instant pinged_at_ = Instant::never();
    bool settings_received_ = false;
};

}  // namespace polis::rpc
