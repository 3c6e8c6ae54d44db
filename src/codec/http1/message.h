// HTTP/1.1 messages as views of the octets they were parsed from (RFC 9112).
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string_view>
#include <vector>

namespace polis::codec {

/// One header field. The name as it came (compare with `same_name`), the value without surrounding white space.
struct Http1Field {
    std::string_view name;
    std::string_view value;

    friend bool operator==(const Http1Field&, const Http1Field&) = default;
};

struct Http1Limits {
    uint32_t head_bytes_max = 64u << 10;    // Start line and fields.
    uint32_t target_bytes_max = 32u << 10;  // Of the request target.
    uint32_t fields_max = 128;
    uint32_t chunk_line_bytes_max = 256;    // A chunk's size with its extensions.
    uint32_t trailer_bytes_max = 8u << 10;  // All trailer fields of a chunked body.
};

/// Why a message is not accepted: the status to answer with (400, 414, 431, 501, 505; for responses from a server 502) and the reason.
/// After one the connection must be closed: where the next message would begin is unknown.
struct Http1Refusal {
    int status;
    std::string_view why;  // Lives for ever.
};

/// Nothing yet: more octets are needed.
template <class T>
using Http1Parsed = std::expected<std::optional<T>, Http1Refusal>;

enum class Http1Body : uint8_t {
    None,        // The message ends with its head.
    Length,      // content_length octets follow; more than 0.
    Chunked,     // Chunks follow.
    UntilClose,  // Everything up to the end of the connection (responses only).
};

/// What both kinds of head have in common.
struct Http1Head {
    uint32_t head_bytes = 0;    // Of the buffer, up to where the body begins.
    uint8_t minor_version = 1;  // HTTP/1.x; 0 or 1.
    bool keep_alive = true;     // Another message may follow on the connection.
    bool upgrade = false;       // "Connection: upgrade" is there.
    Http1Body body = Http1Body::None;
    uint64_t content_length = 0;
    std::vector<Http1Field> fields;

    /// The first value of that name, in any case; nothing if absent.
    std::optional<std::string_view> find(std::string_view name) const;
};

struct Http1Request : Http1Head {
    std::string_view method;     // As sent: methods are case-sensitive.
    std::string_view target;     // As sent.
    std::string_view origin;     // Path and query of the target: "/" if an absolute target has none; "*" or empty
                                 // (CONNECT) where there is no path.
    std::string_view authority;  // Of an absolute target or of CONNECT, else the Host field's value.
    bool expects_continue = false;
};

struct Http1Response : Http1Head {
    int status = 0;  // 100..599; 1xx are followed by another head (but 101).
    std::string_view reason;
};

/// Equal without regard to the case of ASCII letters.
bool same_name(std::string_view a, std::string_view b);
/// A method or field name: one or more tchar (RFC 9110, section 5.6.2).
bool is_token(std::string_view text);
/// No control character but horizontal tab: what may stand in a field's value.
bool is_field_value(std::string_view text);

}  // namespace polis::codec
