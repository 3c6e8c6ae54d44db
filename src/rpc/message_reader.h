// MessageReader: cuts one direction of a call into gRPC messages (5-octet prefix, then the body). Pure.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "rpc/status.h"

namespace polis::rpc {

/// grpc-encoding of the messages of one direction.
enum class Encoding : uint8_t { Identity, Gzip };

/// Takes octets as they arrive, gives messages when they are asked for.
///
/// At most one message is assembled ahead; what arrives behind it stays an unparsed backlog, so that memory is what
/// the peer really sent, however small its messages are, and flow control can hold the peer back by the backlog alone.
/// A message's memory grows with the octets that arrive, not with the length that its prefix claims.
class MessageReader {
public:
    MessageReader(uint32_t message_bytes_max, Encoding encoding)
        : message_bytes_max_(message_bytes_max), encoding_(encoding) {}

    /// After an error further octets are dropped.
    void feed(std::string_view octets);

    bool ready() const { return complete_; }
    /// The next message. REQUIRES: ready().
    Bytes pop();

    /// Why the stream of messages can not go on: a message over the limit (ResourceExhausted, in grpc-go's words), a
    /// compressed one without an encoding, or damaged compression (Internal). Messages before it can still be popped.
    const std::optional<Status>& error() const { return error_; }

    /// In the middle of a message: the stream must not end here.
    bool partial() const { return !complete_ && prefix_size_ > 0; }
    /// Octets held that belong to messages behind the one being assembled.
    size_t backlog_bytes() const { return backlog_.size() - backlog_offset_; }
    /// Octets of the message being assembled, or waiting to be popped.
    size_t assembled_bytes() const { return body_.size(); }
    /// Forgets everything; what comes is dropped. Nothing is ready any more.
    void discard();

private:
    static constexpr size_t prefix_bytes = 5;

    size_t parse(std::string_view octets);
    size_t take_prefix(std::string_view octets);
    size_t take_body(std::string_view octets);
    void complete();
    void refuse(StatusCode code, std::string why);

    uint32_t message_bytes_max_;
    Encoding encoding_;
    bool complete_ = false;  // body_ is a whole message, not popped yet.
    bool discarded_ = false;
    uint8_t prefix_size_ = 0;
    std::array<char, prefix_bytes> prefix_{};
    uint32_t body_bytes_ = 0;  // As the prefix says; at most message_bytes_max_.
    std::string body_;
    std::string backlog_;
    size_t backlog_offset_ = 0;
    std::optional<Status> error_;
};

}  // namespace polis::rpc
