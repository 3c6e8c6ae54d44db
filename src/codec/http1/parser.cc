#include "codec/http1/parser.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <variant>

namespace polis::codec {
namespace {

using Unit = std::expected<std::monostate, Http1Refusal>;

std::unexpected<Http1Refusal> refuse(int status, std::string_view why) {
    return std::unexpected(Http1Refusal{status, why});
}

constexpr std::array<bool, 256> token_octets = [] {
    std::array<bool, 256> allowed{};
    for (char c = '0'; c <= '9'; ++c) allowed[static_cast<uint8_t>(c)] = true;
    for (char c = 'a'; c <= 'z'; ++c) allowed[static_cast<uint8_t>(c)] = true;
    for (char c = 'A'; c <= 'Z'; ++c) allowed[static_cast<uint8_t>(c)] = true;
    for (const char c : std::string_view("!#$%&'*+-.^_`|~")) allowed[static_cast<uint8_t>(c)] = true;
    return allowed;
}();

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

// The octets up to the next CRLF, which is taken too. REQUIRES: there is one.
std::string_view take_line(std::string_view& text) {
    const size_t end = text.find("\r\n");
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 2);
    return line;
}

// Cuts at the next `separator`; the rest stays in `text`.
std::string_view take_until(std::string_view& text, char separator) {
    const size_t end = text.find(separator);
    const std::string_view part = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    return part;
}

std::optional<uint64_t> decimal(std::string_view digits) {
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    // from_chars takes no sign for unsigned types, and reports what does not fit.
    if (error != std::errc() || end != digits.data() + digits.size() || digits.empty()) return std::nullopt;
    if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return std::nullopt;
    return value;
}

// "HTTP/1.0" or "HTTP/1.1": the minor version.
std::expected<uint8_t, Http1Refusal> version(std::string_view text) {
    const bool shaped = text.size() == 8 && text.starts_with("HTTP/") && text[5] >= '0' && text[5] <= '9' &&
                        text[6] == '.' && text[7] >= '0' && text[7] <= '9';
    if (!shaped) return refuse(400, "malformed HTTP version");
    if (text[5] != '1' || text[7] > '1') return refuse(505, "HTTP version not supported");
    return static_cast<uint8_t>(text[7] - '0');
}

Unit parse_field_line(std::string_view line, Http1Head& head) {
    if (line.front() == ' ' || line.front() == '\t') return refuse(400, "folded header field");
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) return refuse(400, "header field without a colon");
    // Also refuses an empty name and white space before the colon.
    if (!is_token(line.substr(0, colon))) return refuse(400, "malformed header field name");
    const std::string_view value = trimmed(line.substr(colon + 1));
    if (!is_field_value(value)) return refuse(400, "forbidden character in a header field");
    head.fields.push_back({line.substr(0, colon), value});
    return {};
}

Unit parse_fields(std::string_view lines, const Http1Limits& limits, Http1Head& head) {
    while (!lines.empty()) {
        const std::string_view line = take_line(lines);
        if (line.empty()) break;
        if (head.fields.size() >= limits.fields_max) return refuse(431, "too many header fields");
        if (Unit parsed = parse_field_line(line, head); !parsed) return parsed;
    }
    return {};
}

// What the fields say about the message's framing.
struct Framing {
    std::optional<uint64_t> length;
    bool chunked = false;
    bool close = false;
    bool keep_alive = false;
    bool upgrade = false;
    int hosts = 0;
    std::string_view host;
    bool expects_continue = false;
    bool expects_else = false;
};

void read_connection(std::string_view value, Framing& framing) {
    while (!value.empty()) {
        const std::string_view option = trimmed(take_until(value, ','));
        framing.close |= same_name(option, "close");
        framing.keep_alive |= same_name(option, "keep-alive");
        framing.upgrade |= same_name(option, "upgrade");
    }
}

std::expected<Framing, Http1Refusal> framing_of(const Http1Head& head) {
    Framing framing;
    for (const auto& [name, value] : head.fields) {
        if (same_name(name, "content-length")) {
            if (framing.length) return refuse(400, "more than one Content-Length");
            framing.length = decimal(value);
            if (!framing.length) return refuse(400, "malformed Content-Length");
        } else if (same_name(name, "transfer-encoding")) {
            if (framing.chunked) return refuse(400, "more than one Transfer-Encoding");
            if (!same_name(value, "chunked")) return refuse(501, "Transfer-Encoding other than chunked");
            framing.chunked = true;
        } else if (same_name(name, "connection")) {
            read_connection(value, framing);
        } else if (same_name(name, "host")) {
            ++framing.hosts;
            framing.host = value;
        } else if (same_name(name, "expect")) {
            (same_name(value, "100-continue") ? framing.expects_continue : framing.expects_else) = true;
        }
    }
    if (framing.chunked && framing.length) return refuse(400, "both Transfer-Encoding and Content-Length");
    if (framing.chunked && head.minor_version == 0) return refuse(400, "Transfer-Encoding in HTTP/1.0");
    return framing;
}

void set_framing(const Framing& framing, Http1Head& head) {
    head.upgrade = framing.upgrade && head.minor_version == 1;
    head.keep_alive = head.minor_version == 0 ? framing.keep_alive && !framing.close : !framing.close;
    if (framing.chunked) head.body = Http1Body::Chunked;
    if (framing.length.value_or(0) > 0) head.body = Http1Body::Length;
    head.content_length = framing.length.value_or(0);
}

bool is_target(std::string_view text) {
    return std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7f && c != '#'; });
}

constexpr std::string_view authority_marks = "-._~%!$&'()*+,;=:[]";

// host[:port] without user information; brackets for IPv6. Loose, but nothing that could be taken for something else.
bool is_authority(std::string_view text) {
    return std::ranges::all_of(text, [](char c) {
        return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z') || authority_marks.contains(c);
    });
}

Unit set_target(std::string_view host, Http1Request& request) {
    const std::string_view target = request.target;
    request.authority = host;
    if (target.front() == '/') {
        request.origin = target;
    } else if (request.method == "CONNECT") {
        request.authority = target;
        if (!target.contains(':')) return refuse(400, "CONNECT without a port");
    } else if (target == "*" && request.method == "OPTIONS") {
        request.origin = target;
    } else {
        const size_t scheme_end = target.find("://");
        const std::string_view scheme = target.substr(0, scheme_end);
        if (scheme_end == std::string_view::npos || !(same_name(scheme, "http") || same_name(scheme, "https"))) {
            return refuse(400, "malformed request target");
        }
        const std::string_view rest = target.substr(scheme_end + 3);
        const size_t path = rest.find_first_of("/?");
        request.authority = rest.substr(0, path);
        request.origin = path == std::string_view::npos ? std::string_view("/") : rest.substr(path);
        if (request.authority.empty()) return refuse(400, "absolute target without a host");
        if (request.origin.front() == '?') return refuse(400, "absolute target without a path");
    }
    if (!is_authority(request.authority)) return refuse(400, "malformed host");
    return {};
}

Unit parse_request_line(std::string_view line, const Http1Limits& limits, Http1Request& request) {
    request.method = take_until(line, ' ');
    request.target = take_until(line, ' ');
    if (!is_token(request.method)) return refuse(400, "malformed method");
    if (request.target.size() > limits.target_bytes_max) return refuse(414, "request target too long");
    if (request.target.empty() || !is_target(request.target)) return refuse(400, "malformed request target");
    const auto minor = version(line);
    if (!minor) return std::unexpected(minor.error());
    request.minor_version = *minor;
    return {};
}

Unit parse_status_line(std::string_view line, Http1Response& response) {
    const auto minor = version(take_until(line, ' '));
    if (!minor) return std::unexpected(minor.error());
    response.minor_version = *minor;
    const std::string_view code = take_until(line, ' ');
    const std::optional<uint64_t> status = decimal(code);
    if (code.size() != 3 || !status || *status < 100 || *status > 599) return refuse(502, "malformed status code");
    if (!is_field_value(line)) return refuse(502, "forbidden character in a reason phrase");
    response.status = static_cast<int>(*status);
    response.reason = line;
    return {};
}

// RFC 9112, section 6.3.
void set_response_body(std::string_view request_method, bool has_length, Http1Response& response) {
    const bool tunnel = request_method == "CONNECT" && response.status / 100 == 2;
    if (request_method == "HEAD" || response.status / 100 == 1 || response.status == 204 || response.status == 304 ||
        tunnel) {
        response.body = Http1Body::None;
    } else if (response.body == Http1Body::None && !has_length) {
        response.body = Http1Body::UntilClose;
        response.keep_alive = false;
    }
}

Http1Refusal from_server(const Http1Refusal& refusal) { return {502, refusal.why}; }

}  // namespace

bool same_name(std::string_view a, std::string_view b) {
    return std::ranges::equal(a, b, [](char x, char y) { return lower(x) == lower(y); });
}

bool is_token(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](char c) { return token_octets[static_cast<uint8_t>(c)]; });
}

bool is_field_value(std::string_view text) {
    return std::ranges::all_of(text, [](char c) {
        const auto octet = static_cast<uint8_t>(c);
        return (octet >= 0x20 && octet != 0x7f) || octet == '\t';
    });
}

std::optional<std::string_view> Http1Head::find(std::string_view name) const {
    for (const Http1Field& field : fields) {
        if (same_name(field.name, name)) return field.value;
    }
    return std::nullopt;
}

// The head with its final empty line, if all of it is there.
Http1Parsed<std::string_view> Http1HeadParser::whole_head(std::string_view buffer) {
    constexpr std::string_view end_mark = "\r\n\r\n";
    const size_t end = buffer.find(end_mark, searched_);
    if (end != std::string_view::npos && end + end_mark.size() <= limits_.head_bytes_max) {
        return buffer.substr(0, end + end_mark.size());
    }
    if (end != std::string_view::npos || buffer.size() >= limits_.head_bytes_max) {
        if (!buffer.substr(0, limits_.head_bytes_max).contains('\n')) return refuse(414, "request line too long");
        return refuse(431, "header fields too large");
    }
    searched_ = buffer.size() - std::min(buffer.size(), end_mark.size() - 1);
    return std::nullopt;
}

Http1Parsed<Http1Request> Http1HeadParser::request(std::string_view buffer) {
    const size_t skipped = buffer.starts_with("\r\n") ? 2 : 0;
    searched_ = std::max(searched_, skipped);
    const Http1Parsed<std::string_view> head = whole_head(buffer);
    if (!head) return std::unexpected(head.error());
    if (!*head) return std::nullopt;

    Http1Request request;
    request.head_bytes = static_cast<uint32_t>((*head)->size());
    std::string_view lines = (*head)->substr(skipped);
    if (Unit line = parse_request_line(take_line(lines), limits_, request); !line) return std::unexpected(line.error());
    if (Unit fields = parse_fields(lines, limits_, request); !fields) return std::unexpected(fields.error());
    const auto framing = framing_of(request);
    if (!framing) return std::unexpected(framing.error());
    if (framing->hosts > 1 || (framing->hosts == 0 && request.minor_version == 1)) {
        return refuse(400, "exactly one Host is needed");
    }
    if (framing->expects_else) return refuse(417, "expectation other than 100-continue");
    if (Unit target = set_target(framing->host, request); !target) return std::unexpected(target.error());
    set_framing(*framing, request);
    request.expects_continue =
        framing->expects_continue && request.minor_version == 1 && request.body != Http1Body::None;
    return request;
}

Http1Parsed<Http1Response> Http1HeadParser::response(std::string_view buffer, std::string_view request_method) {
    const Http1Parsed<std::string_view> head = whole_head(buffer);
    if (!head) return std::unexpected(from_server(head.error()));
    if (!*head) return std::nullopt;

    Http1Response response;
    response.head_bytes = static_cast<uint32_t>((*head)->size());
    std::string_view lines = **head;
    if (Unit line = parse_status_line(take_line(lines), response); !line) {
        return std::unexpected(from_server(line.error()));
    }
    if (Unit fields = parse_fields(lines, limits_, response); !fields) {
        return std::unexpected(from_server(fields.error()));
    }
    const auto framing = framing_of(response);
    if (!framing) return std::unexpected(from_server(framing.error()));
    set_framing(*framing, response);
    set_response_body(request_method, framing->length.has_value(), response);
    return response;
}

Http1BodyReader::Http1BodyReader(const Http1Head& head, Http1Limits limits)
    : limits_(limits), state_(State::Ended), left_(head.content_length) {
    switch (head.body) {
        case Http1Body::None: break;
        case Http1Body::Length: state_ = State::Length; break;
        case Http1Body::Chunked: state_ = State::ChunkSize; break;
        case Http1Body::UntilClose: state_ = State::UntilClose; break;
    }
}

std::expected<Http1BodyReader::Step, Http1Refusal> Http1BodyReader::step(std::string_view buffer) {
    switch (state_) {
        case State::Ended: return Step{0, {}, true};
        case State::UntilClose: return Step{buffer.size(), buffer, false};
        case State::Length:
        case State::ChunkOctets: return octets(buffer);
        case State::ChunkSize: return chunk_size(buffer);
        case State::ChunkEnd: return chunk_end(buffer);
        case State::Trailers: return trailer(buffer);
    }
    return refuse(400, "no such state");
}

Http1BodyReader::Step Http1BodyReader::octets(std::string_view buffer) {
    const auto count = static_cast<size_t>(std::min<uint64_t>(left_, buffer.size()));
    left_ -= count;
    if (left_ == 0) state_ = state_ == State::Length ? State::Ended : State::ChunkEnd;
    return {count, buffer.substr(0, count), ended()};
}

// "1a2b" or "1a2b;name=value": extensions are skipped, but what stands there must be harmless.
std::expected<Http1BodyReader::Step, Http1Refusal> Http1BodyReader::chunk_size(std::string_view buffer) {
    const size_t end = buffer.find('\n');
    if (end == std::string_view::npos || end >= limits_.chunk_line_bytes_max) {
        if (buffer.size() < limits_.chunk_line_bytes_max) return Step{};
        return refuse(400, "chunk size line too long");
    }
    std::string_view line = buffer.substr(0, end);
    if (!line.ends_with('\r')) return refuse(400, "chunk size line without CR");
    line.remove_suffix(1);
    const size_t digits_end = line.find(';');
    const std::string_view digits = line.substr(0, digits_end);
    uint64_t size = 0;
    const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), size, 16);
    if (error != std::errc() || stop != digits.data() + digits.size() || digits.size() > 15) {
        return refuse(400, "malformed chunk size");
    }
    if (!is_field_value(line)) return refuse(400, "forbidden character in a chunk extension");
    left_ = size;
    state_ = size > 0 ? State::ChunkOctets : State::Trailers;
    return Step{end + 1, {}, false};
}

std::expected<Http1BodyReader::Step, Http1Refusal> Http1BodyReader::chunk_end(std::string_view buffer) {
    constexpr std::string_view line_end = "\r\n";
    if (!line_end.starts_with(buffer.substr(0, 2))) return refuse(400, "chunk longer than its size");
    if (buffer.size() < 2) return Step{};
    state_ = State::ChunkSize;
    return Step{2, {}, false};
}

// Trailer fields are checked and dropped: taking them over into the head is how they become an attack.
std::expected<Http1BodyReader::Step, Http1Refusal> Http1BodyReader::trailer(std::string_view buffer) {
    const size_t end = buffer.find('\n');
    const size_t line_bytes = end == std::string_view::npos ? buffer.size() : end + 1;
    if (trailer_bytes_ + line_bytes > limits_.trailer_bytes_max) return refuse(431, "trailers too large");
    if (end == std::string_view::npos) return Step{};
    std::string_view line = buffer.substr(0, end);
    if (!line.ends_with('\r')) return refuse(400, "trailer line without CR");
    line.remove_suffix(1);
    trailer_bytes_ += line_bytes;
    if (line.empty()) {
        state_ = State::Ended;
        return Step{line_bytes, {}, true};
    }
    Http1Head ignored;
    if (Unit parsed = parse_field_line(line, ignored); !parsed) return std::unexpected(parsed.error());
    return Step{line_bytes, {}, false};
}

}  // namespace polis::codec
