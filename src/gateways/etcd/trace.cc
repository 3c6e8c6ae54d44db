#include "gateways/etcd/trace.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>

#include "base/ascii.h"

namespace polis::gateways {
namespace {

constexpr size_t version_digits = 2, trace_digits = 32, parent_digits = 16, flag_digits = 2;

/// Lower case only, as the specification demands.
bool is_hex(std::string_view text) {
    return std::ranges::all_of(
        text, [](char digit) { return (digit >= '0' && digit <= '9') || (digit >= 'a' && digit <= 'f'); });
}

uint64_t number_of(std::string_view digits) {
    uint64_t number = 0;
    for (const char digit : digits) {
        number = number << 4 | static_cast<uint64_t>(hex_value(digit));
    }
    return number;
}

/// The next `digits` characters and the dash behind them, if there is to be one.
std::optional<std::string_view> take(std::string_view& header, size_t digits, bool dash) {
    if (header.size() < digits + dash) return std::nullopt;
    const std::string_view field = header.substr(0, digits);
    if (!is_hex(field) || (dash && header[digits] != '-')) return std::nullopt;
    header.remove_prefix(digits + dash);
    return field;
}

}  // namespace

std::optional<services::TraceId> parse_traceparent(std::string_view header) {
    const auto version = take(header, version_digits, true);
    const auto trace = take(header, trace_digits, true);
    const auto parent = take(header, parent_digits, true);
    const auto flags = take(header, flag_digits, false);
    if (!version || !trace || !parent || !flags || *version == "ff") return std::nullopt;
    // Later versions may add fields, behind another dash; version 00 has none.
    if (!header.empty() && (*version == "00" || header.front() != '-')) return std::nullopt;
    const services::TraceId id{number_of(trace->substr(0, 16)), number_of(trace->substr(16))};
    if (id == services::TraceId() || number_of(*parent) == 0) return std::nullopt;
    return id;
}

std::string to_text(const services::TraceId& trace) {
    char text[trace_digits + 1];
    std::snprintf(text, sizeof text, "%016" PRIx64 "%016" PRIx64, trace.high, trace.low);
    return text;
}

}  // namespace polis::gateways
