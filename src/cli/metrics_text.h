// A page of Prometheus metrics, read: sums of counters and quantiles of histograms, and the change between two pages.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace polis::cli {

/// The samples of one page. What cannot be read is left out: a page of a newer release has more than we know.
/// Format: prometheus.io/docs/instrumenting/exposition_formats, version 0.0.4.
class MetricsPage {
public:
    static MetricsPage parse(std::string_view text);

    /// The sum of all samples of that name, whatever their labels; nothing if there is none.
    std::optional<double> sum(std::string_view name) const;

    /// Labels that a sample must have, among others.
    using Labels = std::map<std::string, std::string, std::less<>>;

    /// Upper edge of the bucket that holds the share (0..1) of what the histogram `name` counted since `before`, over all samples with
    /// `labels`. Nothing if it counted nothing, or there is none. Infinity if it lies above the last edge.
    std::optional<double> quantile_since(const MetricsPage& before, const std::string& name, double share,
                                         const Labels& labels = {}) const;

private:
    struct Sample {
        Labels labels;
        double value = 0;
    };

    static std::optional<Sample> sample_of(std::string_view rest);
    std::map<double, double> buckets(const std::string& name, const Labels& labels) const;

    std::map<std::string, std::vector<Sample>, std::less<>> samples_;  // By name.
};

}  // namespace polis::cli
