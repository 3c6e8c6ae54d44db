// HttpCall: an HTTP exchange with JSON bodies, as the gRPC call that it stands for. Streams are lines.
#pragma once

#include <memory>
#include <string>

#include "gateways/etcd/json.h"
#include "rpc/server.h"

namespace polis::gateways {

/// Which method a path stands for and what its messages are called.
struct JsonMethod {
    std::string name;           // "/etcdserverpb.KV/Range"
    std::string request_type;   // "etcdserverpb.RangeRequest"
    std::string response_type;  // "etcdserverpb.RangeResponse"
};

/// Lines of JSON in, lines of JSON out: the body of an exchange, or a websocket.
class JsonChannel {
public:
    virtual ~JsonChannel() = default;
    /// More of what the client sends; empty at the end.
    virtual runtime::Task<Bytes> read() = 0;
    /// Sends one line (without its end), beginning the response if it is the first.
    virtual runtime::Task<void> write(std::string line) = 0;
};

/// The largest JSON text of one message: what base64 makes of the largest gRPC message, and some.
constexpr size_t json_bytes_max = 4u << 20;

/// As far as handlers see, a gRPC call. A client certificate is not its caller's identity: anybody's HTTP client may hold it for
/// transport only, which is why etcd ignores it here too.
class HttpCall : public rpc::Call {
public:
    /// REQUIRES: all outlive it. `channel` may be null for a unary call.
    HttpCall(const rpc::HttpRequest& request, const JsonMethod& method, JsonChannel* channel);

    std::string_view method() const override { return method_.name; }
    const rpc::Metadata& metadata() const override { return metadata_; }
    const runtime::Peer& peer() const override { return peer_; }
    Instant deadline() const override { return Instant::never(); }
    rpc::Metadata& initial_metadata() override { return initial_metadata_; }
    rpc::Metadata& trailing_metadata() override { return trailing_metadata_; }
    void send_initial_metadata() override {}

    runtime::Task<std::optional<Bytes>> read() override;
    runtime::Task<void> write(Bytes message) override;
    bool try_write(Bytes) override { return false; }
    size_t buffered_bytes() const override { return 0; }

private:
    const JsonMethod& method_;
    JsonChannel* channel_;
    rpc::Metadata metadata_, initial_metadata_, trailing_metadata_;
    runtime::Peer peer_;
    JsonSplitter splitter_{json_bytes_max};
};

/// The metadata that a request's headers carry: authorization, traceparent, and what comes as Grpc-Metadata-<name>.
rpc::Metadata metadata_from(const rpc::Metadata& headers);

}  // namespace polis::gateways
