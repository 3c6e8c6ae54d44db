#include "node/duration.h"

#include <algorithm>
#include <charconv>
#include <string>
#include <utility>

namespace polis::node {
namespace {

constexpr std::pair<std::string_view, Duration> units[] = {
    {"ns", std::chrono::nanoseconds(1)}, {"us", std::chrono::microseconds(1)}, {"ms", std::chrono::milliseconds(1)},
    {"s", std::chrono::seconds(1)},      {"m", std::chrono::minutes(1)},       {"h", std::chrono::hours(1)}};

constexpr Duration duration_max = std::chrono::years(100);

}  // namespace

Result<Duration> parse_duration(std::string_view text) {
    constexpr std::string_view digits = "0123456789.";
    const auto refused = [text] {
        return fail(Code::Invalid, "\"" + std::string(text) + "\" is no duration like 1h30m or 500ms");
    };
    if (text.empty()) return refused();
    double total_ns = 0;
    std::string_view rest = text;
    while (!rest.empty()) {
        // The number's own letters ("inf", an exponent) are none of ours.
        if (digits.find(rest.front()) == std::string_view::npos) return refused();
        double number = 0;
        const auto parsed = std::from_chars(rest.data(), rest.data() + rest.size(), number, std::chars_format::fixed);
        if (parsed.ec != std::errc()) return refused();
        rest.remove_prefix(static_cast<size_t>(parsed.ptr - rest.data()));
        const std::string_view unit = rest.substr(0, std::min(rest.find_first_of(digits), rest.size()));
        const auto* const place = std::ranges::find(units, unit, &std::pair<std::string_view, Duration>::first);
        if (place == std::end(units)) return refused();
        total_ns += number * static_cast<double>(place->second.count());
        if (total_ns > static_cast<double>(duration_max.count())) return refused();
        rest.remove_prefix(unit.size());
    }
    return Duration(static_cast<Duration::rep>(total_ns));
}

}  // namespace polis::node
