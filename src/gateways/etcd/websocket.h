// Websocket: the server's side of RFC 6455, as far as lines of JSON need it: whole text messages, no extensions.
#pragma once

#include <string>

#include "gateways/etcd/http_call.h"
#include "rpc/server.h"
#include "runtime/stream.h"
#include "runtime/wait.h"

namespace polis::gateways {

/// Whether the request asks to become a websocket.
bool is_websocket(const rpc::HttpRequest& request);

/// The headers of the 101 answer, but for Connection, which is the server's. Errors: Invalid if the key or the version is missing or wrong.
Result<rpc::Metadata> websocket_answer(const rpc::Metadata& headers);

/// One frame of a server: final, unmasked.
std::string websocket_frame(uint8_t opcode, std::string_view payload);

/// One connection after the handshake. At most one read and one write at a time. REQUIRES: `stream` outlives it.
class Websocket : public JsonChannel {
public:
    Websocket(runtime::Stream& stream, size_t message_bytes_max)
        : stream_(stream), message_bytes_max_(message_bytes_max) {}

    /// The next message of the client, whole, never empty. Pings are answered inside. Errors: Canceled once the client has said
    /// goodbye, which ends the call as hanging up does; Invalid if it breaks the protocol or the limit; Io.
    runtime::Task<Bytes> read() override;
    /// One text message.
    runtime::Task<void> write(std::string line) override;
    /// Says goodbye (1000).
    runtime::Task<void> close();
    /// The client has said goodbye.
    bool closed() const { return closed_; }

private:
    struct Frame {
        bool final = false;
        uint8_t opcode = 0;
        std::string payload;
    };
    runtime::Task<Frame> read_frame();
    runtime::Task<std::string> read_exactly(size_t bytes);
    runtime::Task<void> send(uint8_t opcode, std::string payload);

    runtime::Stream& stream_;
    size_t message_bytes_max_;
    std::string arrived_;  // Read from the stream, not yet used.
    bool closed_ = false;  // The client has said goodbye.
    bool writing_ = false;
    runtime::Signal written_;  // A write has ended: the other of an answer and a pong may go.
};

}  // namespace polis::gateways
