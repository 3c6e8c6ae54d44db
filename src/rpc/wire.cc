#include "rpc/wire.h"

#include <array>
#include <cstdint>

#include "base/ascii.h"

namespace polis::rpc {
namespace {

constexpr std::string_view hex_digits = "0123456789ABCDEF";
constexpr std::string_view base64_digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr std::array<int8_t, 256> base64_values = [] {
    std::array<int8_t, 256> values{};
    values.fill(-1);
    for (size_t i = 0; i < base64_digits.size(); ++i) {
        values[static_cast<uint8_t>(base64_digits[i])] = static_cast<int8_t>(i);
    }
    return values;
}();

struct Unit {
    char letter;
    int64_t nanoseconds;
};
constexpr std::array<Unit, 6> units = {Unit{'n', 1},         {'u', 1'000},          {'m', 1'000'000},
                                       {'S', 1'000'000'000}, {'M', 60'000'000'000}, {'H', 3'600'000'000'000}};

}  // namespace

std::string percent_encode(std::string_view text) {
    std::string encoded;
    encoded.reserve(text.size());
    for (const char octet : text) {
        const auto value = static_cast<uint8_t>(octet);
        if (value >= 0x20 && value <= 0x7e && octet != '%') {
            encoded += octet;
        } else {
            encoded += {'%', hex_digits[value >> 4], hex_digits[value & 15]};
        }
    }
    return encoded;
}

std::string percent_decode(std::string_view text) {
    std::string decoded;
    decoded.reserve(text.size());
    for (size_t i = 0; i < text.size(); ++i) {
        const bool escape = text[i] == '%' && i + 2 < text.size();
        const int high = escape ? hex_value(text[i + 1]) : -1;
        const int low = escape ? hex_value(text[i + 2]) : -1;
        if (high < 0 || low < 0) {
            decoded += text[i];
            continue;
        }
        decoded += static_cast<char>(high << 4 | low);
        i += 2;
    }
    return decoded;
}

std::string base64_encode(std::string_view octets) {
    std::string text;
    text.reserve((octets.size() * 4 + 2) / 3);
    uint32_t bits = 0;
    int count = 0;
    for (const char octet : octets) {
        bits = bits << 8 | static_cast<uint8_t>(octet);
        for (count += 8; count >= 6; count -= 6) text += base64_digits[bits >> (count - 6) & 63];
    }
    if (count > 0) text += base64_digits[bits << (6 - count) & 63];
    return text;
}

std::optional<std::string> base64_decode(std::string_view text) {
    for (int padding = 0; padding < 2 && text.ends_with('='); ++padding) text.remove_suffix(1);
    if (text.size() % 4 == 1) return std::nullopt;
    std::string octets;
    octets.reserve(text.size() * 3 / 4);
    uint32_t bits = 0;
    int count = 0;
    for (const char digit : text) {
        const int value = base64_values[static_cast<uint8_t>(digit)];
        if (value < 0) return std::nullopt;
        bits = bits << 6 | static_cast<uint32_t>(value);
        count += 6;
        if (count < 8) continue;
        count -= 8;
        octets += static_cast<char>(bits >> count & 0xff);
    }
    return octets;
}

std::optional<Duration> parse_timeout(std::string_view text) {
    if (text.size() < 2 || text.size() > 9) return std::nullopt;
    int64_t count = 0;
    for (const char digit : text.substr(0, text.size() - 1)) {
        if (digit < '0' || digit > '9') return std::nullopt;
        count = count * 10 + (digit - '0');
    }
    for (const Unit& unit : units) {
        if (unit.letter != text.back()) continue;
        if (count > Duration::max().count() / unit.nanoseconds) return Duration::max();
        return Duration(count * unit.nanoseconds);
    }
    return std::nullopt;
}

std::string format_timeout(Duration span) {
    constexpr int64_t count_max = 99'999'999;
    if (span.count() <= 0) return "1n";
    for (const Unit& unit : units) {
        const int64_t count = span.count() / unit.nanoseconds + (span.count() % unit.nanoseconds != 0 ? 1 : 0);
        if (count <= count_max) return std::to_string(count) + unit.letter;
    }
    return std::to_string(count_max) + 'H';
}

bool is_grpc_content_type(std::string_view content_type) {
    constexpr std::string_view grpc = "application/grpc";
    if (!content_type.starts_with(grpc)) return false;
    return content_type.size() == grpc.size() || content_type[grpc.size()] == '+' || content_type[grpc.size()] == ';';
}

}  // namespace polis::rpc
