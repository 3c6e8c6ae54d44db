// HeaderRules: whether the fields of an HTTP/2 request make a well-formed head (RFC 9113, section 8.2 and 8.3).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace polis::rpc {

/// Told of each field in order. nghttp2's own check is switched off, because it also refuses ":authority: http://host:port",
/// which Go's clients send when they are given a URL as target, and which every Go server takes.
class HeaderRules {
public:
    /// Takes the next field into account. False once the head is malformed, for good.
    bool admit(std::string_view name, std::string_view value);
    /// The next field of a trailer section: no pseudo-fields there.
    bool admit_trailer(std::string_view name, std::string_view value);
    /// After the last field: everything that a request must have has come.
    bool is_complete() const;
    /// How long the body is to be (section 8.1.1), if the head says so.
    std::optional<uint64_t> content_length() const { return content_length_; }

private:
    bool admit_pseudo(std::string_view name, std::string_view value);
    bool admit_content_length(std::string_view value);

    uint8_t seen_ = 0;  // Pseudo-fields, a bit each.
    std::optional<uint64_t> content_length_;
    bool regular_began_ = false;
    bool malformed_ = false;
};

}  // namespace polis::rpc
