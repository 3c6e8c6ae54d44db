// Addresses as people write them.
#include <charconv>

#include "runtime/stream.h"

namespace polis::runtime {
namespace {

Result<uint16_t> parse_port(std::string_view text, std::string_view whole) {
    uint16_t port = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    if (text.empty() || error != std::errc() || end != text.data() + text.size()) {
        return fail(Code::Invalid,
                    "'" + std::string(whole) + "' does not end in a port: write ':' and a number of 0..65535");
    }
    return port;
}

}  // namespace

Result<Address> parse_address(std::string_view text) {
    const auto invalid = [text](const char* why) {
        return fail(Code::Invalid, "'" + std::string(text) + "' is not an address: " + why);
    };
    const bool bracketed = text.starts_with('[');
    const size_t host_end = bracketed ? text.find(']') : text.rfind(':');
    if (host_end == std::string_view::npos) return invalid(bracketed ? "']' is missing" : "':' and a port are missing");

    const std::string_view host = bracketed ? text.substr(1, host_end - 1) : text.substr(0, host_end);
    const std::string_view rest = text.substr(host_end + (bracketed ? 1 : 0));
    if (host.empty()) return invalid("the host is missing");
    if (!bracketed && host.find(':') != std::string_view::npos) {
        return invalid("an IPv6 address stands in brackets, as in [::1]:2379");
    }
    if (bracketed && host.find(':') == std::string_view::npos)
        return invalid("only an IPv6 address stands in brackets");
    if (host.find_first_of(" \t\r\n/@[]") != std::string_view::npos) {
        return invalid("the host holds a character that no name has");
    }
    if (!rest.starts_with(':')) return invalid("':' and a port are missing");
    LET(const uint16_t port, parse_port(rest.substr(1), text));
    return Address{std::string(host), port};
}

std::string to_string(const Address& address) {
    const bool brackets = address.host.find(':') != std::string::npos;
    const std::string port = std::to_string(address.port);
    return brackets ? "[" + address.host + "]:" + port : address.host + ":" + port;
}

}  // namespace polis::runtime
