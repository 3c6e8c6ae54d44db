#include "cli/metrics_text.h"

#include <algorithm>
#include <cstdlib>
#include <limits>

namespace polis::cli {
namespace {

std::string_view without_spaces(std::string_view text) {
    while (text.starts_with(' ') || text.starts_with('\t')) text.remove_prefix(1);
    return text;
}

// One label, `name="value"`, taken off the front of `rest`; nothing if there is none.
std::optional<std::pair<std::string, std::string>> take_label(std::string_view& rest) {
    rest = without_spaces(rest);
    const size_t equals = rest.find("=\"");
    if (equals == std::string_view::npos) return std::nullopt;
    std::string name(rest.substr(0, equals));
    std::string value;
    size_t at = equals + 2;
    for (; at < rest.size() && rest[at] != '"'; ++at) {
        if (rest[at] == '\\' && at + 1 < rest.size()) {
            ++at;
            value += rest[at] == 'n' ? '\n' : rest[at];
        } else {
            value += rest[at];
        }
    }
    if (at == rest.size()) return std::nullopt;
    rest = without_spaces(rest.substr(at + 1));
    if (rest.starts_with(',')) rest.remove_prefix(1);
    return std::pair(std::move(name), std::move(value));
}

std::optional<double> number_of(std::string_view text) {
    const std::string copy(text);
    char* end = nullptr;
    const double number = std::strtod(copy.c_str(), &end);  // Reads +Inf and NaN, as the format writes them.
    if (end == copy.c_str()) return std::nullopt;
    return number;
}

}  // namespace

MetricsPage MetricsPage::parse(std::string_view text) {
    MetricsPage page;
    while (!text.empty()) {
        const std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(line.size() + 1, text.size()));
        const size_t end = line.find_first_of("{ \t");
        if (line.starts_with('#') || end == std::string_view::npos) continue;
        std::optional<Sample> sample = sample_of(line.substr(end));
        if (sample) page.samples_[std::string(line.substr(0, end))].push_back(*std::move(sample));
    }
    return page;
}

std::optional<MetricsPage::Sample> MetricsPage::sample_of(std::string_view rest) {
    Sample sample;
    rest = without_spaces(rest);
    if (rest.starts_with('{')) {
        rest.remove_prefix(1);
        while (!without_spaces(rest).starts_with('}')) {
            auto label = take_label(rest);
            if (!label) return std::nullopt;
            sample.labels.insert(*std::move(label));
        }
        rest = without_spaces(rest).substr(1);
    }
    const std::optional<double> value = number_of(without_spaces(rest));
    if (!value) return std::nullopt;
    sample.value = *value;
    return sample;
}

std::optional<double> MetricsPage::sum(std::string_view name) const {
    const auto place = samples_.find(name);
    if (place == samples_.end()) return std::nullopt;
    double total = 0;
    for (const Sample& sample : place->second) total += sample.value;
    return total;
}

// Cumulative counts by upper edge.
std::map<double, double> MetricsPage::buckets(const std::string& name, const Labels& labels) const {
    std::map<double, double> counts;
    const auto place = samples_.find(name + "_bucket");
    if (place == samples_.end()) return counts;
    for (const Sample& sample : place->second) {
        const auto edge = sample.labels.find("le");
        if (edge == sample.labels.end() || !std::ranges::all_of(labels, [&](const auto& label) {
                const auto found = sample.labels.find(label.first);
                return found != sample.labels.end() && found->second == label.second;
            })) {
            continue;
        }
        if (const std::optional<double> number = number_of(edge->second)) counts[*number] += sample.value;
    }
    return counts;
}

std::optional<double> MetricsPage::quantile_since(const MetricsPage& before, const std::string& name, double share,
                                                  const Labels& labels) const {
    std::map<double, double> counts = buckets(name, labels);
    for (const auto& [edge, count] : before.buckets(name, labels)) {
        if (const auto place = counts.find(edge); place != counts.end()) place->second -= count;
    }
    if (counts.empty()) return std::nullopt;
    const double total = counts.rbegin()->second;
    if (!(total > 0)) return std::nullopt;  // Nothing new, or the process was started anew in between.
    for (const auto& [edge, count] : counts) {
        if (count >= share * total) return edge;
    }
    return std::numeric_limits<double>::infinity();
}

}  // namespace polis::cli
