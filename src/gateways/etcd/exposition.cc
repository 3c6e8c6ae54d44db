#include <charconv>
#include <cmath>

#include "base/ensure.h"
#include "gateways/etcd/metrics.h"

namespace polis::gateways {
namespace {

std::string number_text(double value) {
    if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
    if (std::isnan(value)) return "NaN";
    char text[32];
    const auto [end, error] = std::to_chars(text, text + sizeof text, value);
    ENSURE(error == std::errc());
    return {text, end};
}

/// A label's value with what would end it early escaped.
std::string escaped_label(std::string_view value) {
    std::string text;
    for (const char letter : value) {
        switch (letter) {
            case '\\': text += "\\\\"; break;
            case '"': text += "\\\""; break;
            case '\n': text += "\\n"; break;
            default: text += letter;
        }
    }
    return text;
}

}  // namespace

void Exposition::family(std::string_view name, std::string_view type, std::string_view help) {
    name_ = name;
    text_.append("# HELP ").append(name).append(" ").append(help).append("\n");
    text_.append("# TYPE ").append(name).append(" ").append(type).append("\n");
}

void Exposition::sample(double value, const Labels& labels) { line("", labels, value); }

void Exposition::counter(std::string_view name, std::string_view help, uint64_t value) {
    family(name, "counter", help);
    sample(static_cast<double>(value));
}

void Exposition::gauge(std::string_view name, std::string_view help, double value) {
    family(name, "gauge", help);
    sample(value);
}

void Exposition::histogram(const DurationHistogram& histogram, const Labels& labels) {
    ENSURE(histogram.counts.empty() || histogram.counts.size() == histogram.bounds_seconds.size() + 1);
    const auto count_at = [&](size_t bucket) { return histogram.counts.empty() ? 0 : histogram.counts[bucket]; };
    Labels with_bound = labels;
    with_bound.emplace_back("le", "");
    uint64_t total = 0;
    for (size_t bucket = 0; bucket < histogram.bounds_seconds.size(); ++bucket) {
        total += count_at(bucket);
        with_bound.back().second = number_text(histogram.bounds_seconds[bucket]);
        line("_bucket", with_bound, static_cast<double>(total));
    }
    total += count_at(histogram.bounds_seconds.size());
    with_bound.back().second = "+Inf";
    line("_bucket", with_bound, static_cast<double>(total));
    line("_sum", labels, histogram.sum_seconds);
    line("_count", labels, static_cast<double>(total));
}

void Exposition::line(std::string_view suffix, const Labels& labels, double value) {
    text_.append(name_).append(suffix);
    char separator = '{';
    for (const auto& [name, label] : labels) {
        text_ += separator;
        text_.append(name).append("=\"").append(escaped_label(label)).append("\"");
        separator = ',';
    }
    if (!labels.empty()) text_ += '}';
    text_.append(" ").append(number_text(value)).append("\n");
}

}  // namespace polis::gateways
