// Parsers of HTTP/1.1 heads and bodies: pure, incremental, strict, without copying. Whatever could be read in two ways is refused.
#pragma once

#include "codec/http1/message.h"

namespace polis::codec {

/// Parses heads out of a connection's buffer.
///
/// Give the same buffer again, grown, until it gives a head or a refusal; octets seen are not searched twice. The views point
/// into the buffer. One head a call: drop head_bytes and the body, then go on with what follows (pipelining).
/// Strict: CRLF only, no folding, no space before the colon, no empty names, no control characters; at most one
/// Content-Length and of digits only; Transfer-Encoding exactly "chunked", never beside Content-Length or in HTTP/1.0; exactly
/// one Host in HTTP/1.1. One empty line before a request is skipped (RFC 9112, section 2.2).
class Http1HeadParser {
public:
    explicit Http1HeadParser(Http1Limits limits) : limits_(limits) {}

    Http1Parsed<Http1Request> request(std::string_view buffer);
    /// `request_method` decides whether a body follows (HEAD, CONNECT). Refusals are 502.
    Http1Parsed<Http1Response> response(std::string_view buffer, std::string_view request_method);

    /// For the next message, whose buffer begins elsewhere.
    void restart() { searched_ = 0; }

private:
    Http1Parsed<std::string_view> whole_head(std::string_view buffer);

    Http1Limits limits_;
    size_t searched_ = 0;  // No head ends before this place of the buffer.
};

/// Cuts a body out of the octets after its head.
class Http1BodyReader {
public:
    Http1BodyReader(const Http1Head& head, Http1Limits limits);

    struct Step {
        size_t consumed = 0;     // Octets of the buffer that are done with, `piece` included.
        std::string_view piece;  // Octets of the body, within the buffer. May be empty.
        bool ended = false;      // The body is complete; what follows `consumed` is the next message.
    };
    /// Looks at the octets that follow those consumed. A step that consumes nothing and has not ended needs more octets behind
    /// the same ones; the buffer must be able to hold chunk_line_bytes_max or a trailer line.
    std::expected<Step, Http1Refusal> step(std::string_view buffer);

    bool ended() const { return state_ == State::Ended; }
    /// UntilClose: the connection's end is the body's end. Anything else was cut short.
    bool may_end_with_connection() const { return state_ == State::UntilClose || ended(); }

private:
    enum class State : uint8_t { Length, ChunkSize, ChunkOctets, ChunkEnd, Trailers, UntilClose, Ended };

    std::expected<Step, Http1Refusal> chunk_size(std::string_view buffer);
    std::expected<Step, Http1Refusal> chunk_end(std::string_view buffer);
    std::expected<Step, Http1Refusal> trailer(std::string_view buffer);
    Step octets(std::string_view buffer);

    Http1Limits limits_;
    State state_;
    uint64_t left_ = 0;  // Octets of the body or of this chunk.
    size_t trailer_bytes_ = 0;
};

}  // namespace polis::codec
