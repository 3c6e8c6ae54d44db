// Http2Exchange: a plain HTTP request on an HTTP/2 stream.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "rpc/http2_stream.h"
#include "rpc/server.h"

namespace polis::rpc {

class Http2Exchange final : public Http2Stream, public HttpExchange {
public:
    Http2Exchange(Http2Session& session, int32_t stream, const HttpHandler& handler, HttpRequest request,
                  const ServerOptions& options);

    void take_data(std::string_view octets) override;
    void take_end() override;

    const HttpRequest& request() const override { return request_; }
    runtime::Task<std::string> read_body(size_t bytes_max) override;
    runtime::Task<Bytes> read_piece() override;
    runtime::Task<void> respond(int status, Metadata headers, std::string body) override;
    runtime::Task<void> begin(int status, Metadata headers) override;
    runtime::Task<void> write(std::string_view piece) override;
    runtime::Task<void> end() override;
    runtime::Task<std::unique_ptr<runtime::Stream>> upgrade(Metadata headers) override;

private:
    struct Root;
    static Root run(Http2Exchange& exchange, const HttpHandler& handler);

    ~Http2Exchange() override = default;
    void on_close(uint32_t error) override;
    void send_head(int status, const Metadata& headers, std::optional<size_t> body_bytes);
    void handler_ended(bool ok);
    bool is_head() const { return request_.method == "HEAD"; }

    HttpRequest request_;
    const ServerOptions& options_;
    bool late_ = false;     // The client has sent too slowly.
    std::string received_;  // Not read yet; bounded by the stream's window.
};

}  // namespace polis::rpc
