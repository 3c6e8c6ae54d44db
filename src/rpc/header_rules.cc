#include "rpc/header_rules.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace polis::rpc {
namespace {

constexpr std::array<std::string_view, 4> pseudo_names = {":method", ":scheme", ":path", ":authority"};
constexpr uint8_t required = 0b0111;
// RFC 9113, 8.2.2: they speak of a connection, and HTTP/2 has its own ways.
constexpr std::array<std::string_view, 5> connection_names = {"connection", "proxy-connection", "keep-alive",
                                                              "transfer-encoding", "upgrade"};

bool is_name_octet(char octet) {
    if ((octet >= 'a' && octet <= 'z') || (octet >= '0' && octet <= '9')) return true;
    return std::string_view("!#$%&'*+-.^_`|~").find(octet) != std::string_view::npos;
}

bool is_value(std::string_view value) {
    return value.find_first_of(std::string_view("\0\r\n", 3)) == std::string_view::npos;
}

bool is_regular(std::string_view name, std::string_view value) {
    if (name.empty() || !std::ranges::all_of(name, is_name_octet) || !is_value(value)) return false;
    if (name == "te") return value == "trailers";
    return std::ranges::find(connection_names, name) == connection_names.end();
}

}  // namespace

bool HeaderRules::admit(std::string_view name, std::string_view value) {
    if (malformed_) return false;
    if (name.starts_with(':')) {
        malformed_ = regular_began_ || !admit_pseudo(name, value);
    } else {
        regular_began_ = true;
        malformed_ = !is_regular(name, value) || (name == "content-length" && !admit_content_length(value));
    }
    return !malformed_;
}

bool HeaderRules::admit_trailer(std::string_view name, std::string_view value) {
    if (!malformed_) malformed_ = name.starts_with(':') || !is_regular(name, value);
    return !malformed_;
}

bool HeaderRules::admit_pseudo(std::string_view name, std::string_view value) {
    const auto place = std::ranges::find(pseudo_names, name);
    if (place == pseudo_names.end() || !is_value(value)) return false;
    const auto bit = static_cast<uint8_t>(1u << (place - pseudo_names.begin()));
    if (seen_ & bit) return false;
    seen_ |= bit;
    return !value.empty() || name == ":authority";
}

bool HeaderRules::admit_content_length(std::string_view value) {
    uint64_t bytes = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), bytes);
    // Digits alone: no sign, no list of equal values, which only a proxy would make. And said once.
    if (error != std::errc() || end != value.data() + value.size() || content_length_) return false;
    content_length_ = bytes;
    return true;
}

bool HeaderRules::is_complete() const { return !malformed_ && (seen_ & required) == required; }

}  // namespace polis::rpc
