#include "security/base64.h"

#include <array>
#include <cstdint>

namespace polis::security {
namespace {

constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr int8_t foreign = -1;

constexpr std::array<int8_t, 256> value_of_letter = [] {
    std::array<int8_t, 256> values{};
    values.fill(foreign);
    for (size_t i = 0; i < alphabet.size(); ++i) values[static_cast<uint8_t>(alphabet[i])] = static_cast<int8_t>(i);
    return values;
}();

}  // namespace

std::string encode_base64url(std::string_view octets) {
    std::string text;
    text.reserve((octets.size() * 4 + 2) / 3);
    uint32_t bits = 0;
    int count = 0;
    for (const char octet : octets) {
        bits = bits << 8 | static_cast<uint8_t>(octet);
        for (count += 8; count >= 6; count -= 6) text += alphabet[bits >> (count - 6) & 63];
    }
    if (count > 0) text += alphabet[bits << (6 - count) & 63];
    return text;
}

Result<std::string> decode_base64url(std::string_view text) {
    std::string octets;
    octets.reserve(text.size() * 3 / 4);
    uint32_t bits = 0;
    int count = 0;
    for (const char letter : text) {
        const int8_t value = value_of_letter[static_cast<uint8_t>(letter)];
        if (value == foreign) return fail(Code::Invalid, "not base64url: a letter that is not in its alphabet");
        bits = bits << 6 | static_cast<uint32_t>(value);
        count += 6;
        if (count < 8) continue;
        count -= 8;
        octets += static_cast<char>(bits >> count & 255);
    }
    if (count >= 6) return fail(Code::Invalid, "not base64url: its length is impossible");
    if ((bits & ((1u << count) - 1)) != 0) return fail(Code::Invalid, "not base64url: bits are left over");
    return octets;
}

}  // namespace polis::security
