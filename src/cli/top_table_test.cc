// Tests of the metrics reader and of the table of `polis top`.
#include "cli/top_table.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

namespace polis::cli {
namespace {

constexpr char page_before[] = R"(# HELP x y
# TYPE grpc_server_handled_total counter
grpc_server_handled_total{grpc_code="OK",grpc_method="Put"} 10
grpc_server_handled_total{grpc_code="OK",grpc_method="Range"} 5
grpc_server_handling_seconds_bucket{grpc_type="unary",le="0.001"} 10
grpc_server_handling_seconds_bucket{grpc_type="unary",le="0.01"} 10
grpc_server_handling_seconds_bucket{grpc_type="unary",le="+Inf"} 10
)";
constexpr char page_now[] = R"(grpc_server_handled_total{grpc_code="OK",grpc_method="Put"} 110
grpc_server_handled_total{grpc_code="OK",grpc_method="Range"} 105
grpc_server_handling_seconds_bucket{grpc_type="unary",le="0.001"} 60
grpc_server_handling_seconds_bucket{grpc_type="unary",le="0.01"} 109
grpc_server_handling_seconds_bucket{grpc_type="unary",le="+Inf"} 110
grpc_server_handling_seconds_bucket{grpc_type="bidi_stream",le="+Inf"} 1000
polis_coord_leases 7
process_resident_memory_bytes 1.048576e+06
broken{le="0.1
broken{le=0.1} x
noname
)";

TEST(MetricsPage, SumsSamplesOverLabels) {
    const MetricsPage page = MetricsPage::parse(page_now);
    EXPECT_EQ(page.sum("grpc_server_handled_total"), 215);
    EXPECT_EQ(page.sum("process_resident_memory_bytes"), 1048576);
    EXPECT_EQ(page.sum("absent"), std::nullopt);
    EXPECT_EQ(page.sum("broken"), std::nullopt);
}

TEST(MetricsPage, ReadsEscapedLabels) {
    const MetricsPage page = MetricsPage::parse("a{b=\"x\\\"}\\n\\\\\",c=\"d\"} 3 1700000000\na 4\n");
    EXPECT_EQ(page.sum("a"), 7);
}

TEST(MetricsPage, FindsTheBucketOfAShareSinceAnotherPage) {
    const MetricsPage before = MetricsPage::parse(page_before);
    const MetricsPage now = MetricsPage::parse(page_now);
    const std::string name = "grpc_server_handling_seconds";
    const MetricsPage::Labels unary = {{"grpc_type", "unary"}};
    EXPECT_EQ(now.quantile_since(before, name, 0.5, unary), 0.001);
    EXPECT_EQ(now.quantile_since(before, name, 0.99, unary), 0.01);
    EXPECT_TRUE(std::isinf(*now.quantile_since(before, name, 1, unary)));
    EXPECT_TRUE(std::isinf(*now.quantile_since(before, name, 0.5)));  // The streams too.
    EXPECT_EQ(now.quantile_since(before, name, 0.5, {{"grpc_type", "server_stream"}}), std::nullopt);
    EXPECT_EQ(now.quantile_since(now, name, 0.5), std::nullopt);
    EXPECT_EQ(before.quantile_since(now, name, 0.5), std::nullopt);  // Started anew in between.
    EXPECT_EQ(now.quantile_since(before, "absent", 0.5), std::nullopt);
}

MemberLook look(const std::string& name, uint64_t applied, const char* page) {
    return {.name = name,
            .endpoint = name + ":1",
            .role = "follower",
            .term = 3,
            .applied = applied,
            .metrics = MetricsPage::parse(page)};
}

TEST(TopRows, MeasureLagAgainstTheFurthestAndRatesOverTheInterval) {
    const auto rows = top_rows({look("a", 90, page_before), look("b", 80, page_before)},
                               {look("a", 100, page_now), look("b", 88, page_now)}, std::chrono::seconds(2));
    ASSERT_EQ(rows.size(), 2u);
    EXPECT_EQ(rows[0].lag, 0u);
    EXPECT_EQ(rows[1].lag, 12u);
    EXPECT_EQ(rows[0].requests_per_second, 100);
    EXPECT_EQ(rows[0].p50_ms, 1);
    EXPECT_EQ(rows[0].p99_ms, 10);
    EXPECT_EQ(rows[0].leases, 7);
    EXPECT_EQ(rows[0].watchers, std::nullopt);
}

TEST(TopRows, HaveNoRatesForWhoWasNotThereOrStartedAnew) {
    const auto rows = top_rows({look("b", 1, page_now)}, {look("a", 1, page_now), look("b", 1, page_before)},
                               std::chrono::seconds(1));
    EXPECT_EQ(rows[0].requests_per_second, std::nullopt);
    EXPECT_EQ(rows[1].requests_per_second, std::nullopt);
}

TEST(TopText, ShowsWhoIsDownAndWhy) {
    const MemberLook down{.name = "c", .endpoint = "c:1", .role = "down", .metrics = {}, .error = "connection refused"};
    const auto rows = top_rows({}, {look("a", 5, page_now), down}, std::chrono::seconds(1));
    const std::string text = top_text(rows);
    EXPECT_NE(text.find("\nc                down           -"), std::string::npos) << text;
    EXPECT_NE(text.find("\n  connection refused\n"), std::string::npos) << text;
    const auto tree = nlohmann::json::parse(top_json(rows));
    EXPECT_EQ(tree["members"][1]["error"], "connection refused");
    EXPECT_TRUE(tree["members"][0]["p99_ms"].is_null());
    EXPECT_EQ(tree["members"][0]["memory_bytes"], 1048576);
}

TEST(BytesText, HasThreeDigitsAtMost) {
    EXPECT_EQ(bytes_text(0), "0 B");
    EXPECT_EQ(bytes_text(999), "999 B");
    EXPECT_EQ(bytes_text(1000), "1.0 KiB");
    EXPECT_EQ(bytes_text(1536), "1.5 KiB");
    EXPECT_EQ(bytes_text(10 * 1024.0 * 1024 * 1024), "10 GiB");
}

}  // namespace
}  // namespace polis::cli
