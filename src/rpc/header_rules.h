// HeaderRules: whether the fields of an HTTP/2 request make a well-formed head (RFC 9113, section 8.2 and 8.3).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace polis::rpc {

/// The names of fields that mean something to HTTP/2 or to gRPC: first the pseudo-fields, then those that no request may have.
enum class FieldName : uint8_t {
    Method,
    Scheme,
    Path,
    Authority,
    OtherPseudo,   // Begins with a colon, and is none of a request's.
    OfConnection,  // RFC 9113, section 8.2.2: HTTP/2 has its own ways.
    ContentType,
    ContentLength,
    Te,
    GrpcTimeout,
    GrpcEncoding,
    GrpcAcceptEncoding,
    Other,
};

/// Which of them `name` is. Its length and its octets decide, once for all who ask.
FieldName field_name(std::string_view name);

/// A field as it came, and what its name is.
struct NamedField {
    NamedField(std::string_view field, std::string_view text) : name(field), value(text), known(field_name(field)) {}
    std::string_view name;
    std::string_view value;
    FieldName known;
};

/// Told of each field in order. nghttp2's own check is switched off, because it also refuses ":authority: http://host:port",
/// which Go's clients send when they are given a URL as target, and which every Go server takes.
class HeaderRules {
public:
    /// Takes the next field into account. False once the head is malformed, for good.
    bool admit(const NamedField& field);
    bool admit(std::string_view name, std::string_view value) { return admit(NamedField(name, value)); }
    /// The next field of a trailer section: no pseudo-fields there.
    bool admit_trailer(const NamedField& field);
    bool admit_trailer(std::string_view name, std::string_view value) { return admit_trailer(NamedField(name, value)); }
    /// After the last field: everything that a request must have has come.
    bool is_complete() const;
    /// How long the body is to be (section 8.1.1), if the head says so.
    std::optional<uint64_t> content_length() const { return content_length_; }

private:
    bool admit_pseudo(const NamedField& field);
    bool admit_content_length(std::string_view value);

    uint8_t seen_ = 0;  // Pseudo-fields, a bit each.
    std::optional<uint64_t> content_length_;
    bool regular_began_ = false;
    bool malformed_ = false;
};

}  // namespace polis::rpc
