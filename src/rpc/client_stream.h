// The client's side of one gRPC call on an HTTP/2 stream.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "rpc/client.h"
#include "rpc/http2_stream.h"
#include "rpc/message_reader.h"

namespace polis::rpc {

class GrpcClientStream;

/// The stream as the session knows it. It may end before its call is done with what has arrived, and the other way round; then
/// each forgets the other.
class ClientStreamEnd final : public Http2Stream {
public:
    ClientStreamEnd(Http2Session& session, GrpcClientStream& call) : Http2Stream(session, 0), call_(&call) {}

    void take_data(std::string_view octets) override;
    void take_end() override { remote_ended_ = true; }
    void take_field(std::string_view name, std::string_view value);
    /// The header block is complete; `ended` if it is the last.
    void take_head(bool ended);

    /// The call needs no answer any more: resets the stream unless it has ended.
    void abandon();

private:
    friend class GrpcClientStream;
    ~ClientStreamEnd() override = default;
    void on_close(uint32_t error) override;

    GrpcClientStream* call_;
};

struct ClientCallOptions {
    std::string_view method;  // "/package.Service/Method"
    const Metadata& metadata;
    std::optional<Duration> timeout;
    std::string_view authority;
    bool tls = false;
    uint32_t message_bytes_max = 0;
    uint32_t write_buffer_bytes = 256u << 10;
};

/// Lives as long as its user wants; needs no connection to be read to its end.
class GrpcClientStream final : public ClientStream {
public:
    GrpcClientStream(Http2Session& session, const ClientCallOptions& options);
    ~GrpcClientStream() override;

    runtime::Task<void> write(Bytes message) override;
    runtime::Task<void> finish() override;
    runtime::Task<std::optional<Bytes>> read() override;
    const Status& status() const override { return status_; }
    const Metadata& initial_metadata() const override { return initial_metadata_; }
    const Metadata& trailing_metadata() const override { return trailing_metadata_; }

    /// One message and no more.
    void send_only(Bytes message);
    /// Ends the call here, with `status`.
    void cancel(Status status);

private:
    friend class ClientStreamEnd;
    void take_data(std::string_view octets);
    void take_field(std::string_view name, std::string_view value);
    void take_head(bool ended);
    void closed(uint32_t error);
    void account_input();

    ClientStreamEnd* end_;  // Null once the stream is over.
    const uint32_t message_bytes_max_;
    const uint32_t write_buffer_bytes_;
    MessageReader reader_;
    bool head_seen_ = false;
    bool status_seen_ = false;
    int http_status_ = 0;
    Encoding encoding_ = Encoding::Identity;
    Metadata fields_;  // Of the header block that is arriving.
    Status status_;
    Metadata initial_metadata_;
    Metadata trailing_metadata_;
};

}  // namespace polis::rpc
