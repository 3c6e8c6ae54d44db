#include "cli/top_table.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

namespace polis::cli {
namespace {

const MemberLook* find(const std::vector<MemberLook>& looks, const std::string& endpoint) {
    const auto place = std::ranges::find(looks, endpoint, &MemberLook::endpoint);
    return place == looks.end() || !place->metrics ? nullptr : &*place;
}

// Seconds in metrics, milliseconds in the table.
std::optional<double> milliseconds_of(const std::optional<double>& seconds) {
    if (!seconds) return std::nullopt;
    return *seconds * 1e3;
}

void set_rates(TopRow& row, const MetricsPage& before, const MetricsPage& now, double seconds) {
    const double handled = now.sum("grpc_server_handled_total").value_or(0);
    const double handled_before = before.sum("grpc_server_handled_total").value_or(0);
    if (seconds > 0 && handled >= handled_before) row.requests_per_second = (handled - handled_before) / seconds;
    // Streams last as long as their clients want.
    const MetricsPage::Labels unary = {{"grpc_type", "unary"}};
    const std::string handling = "grpc_server_handling_seconds";
    row.p50_ms = milliseconds_of(now.quantile_since(before, handling, 0.5, unary));
    row.p99_ms = milliseconds_of(now.quantile_since(before, handling, 0.99, unary));
    row.log_sync_p99_ms = milliseconds_of(now.quantile_since(before, "etcd_disk_wal_fsync_duration_seconds", 0.99));
}

std::string cell(const std::optional<double>& value, const char* format) {
    if (!value) return "-";
    char text[32];
    std::snprintf(text, sizeof text, format, *value);
    return text;
}

nlohmann::json json_of(const std::optional<double>& value) {
    return value && std::isfinite(*value) ? nlohmann::json(*value) : nlohmann::json();
}

}  // namespace

std::vector<TopRow> top_rows(const std::vector<MemberLook>& before, const std::vector<MemberLook>& now,
                             std::chrono::duration<double> between) {
    uint64_t applied_most = 0;
    for (const MemberLook& look : now) applied_most = std::max(applied_most, look.applied);
    std::vector<TopRow> rows;
    for (const MemberLook& look : now) {
        TopRow row{.name = look.name, .endpoint = look.endpoint, .role = look.role, .error = look.error};
        if (look.metrics) {
            row.term = look.term;
            row.applied = look.applied;
            row.lag = applied_most - look.applied;
            row.watchers = look.metrics->sum("etcd_debugging_mvcc_watcher_total");
            row.leases = look.metrics->sum("polis_coord_leases");
            row.memory_bytes = look.metrics->sum("process_resident_memory_bytes");
            row.store_bytes = look.metrics->sum("etcd_mvcc_db_total_size_in_bytes");
            const MemberLook* earlier = find(before, look.endpoint);
            if (earlier) set_rates(row, *earlier->metrics, *look.metrics, between.count());
        }
        rows.push_back(std::move(row));
    }
    std::ranges::sort(rows, {}, &TopRow::name);  // The same place each time, which members' ids would not give.
    return rows;
}

std::string bytes_text(double bytes) {
    static constexpr const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    size_t unit = 0;
    while (bytes >= 999.5 && unit + 1 < std::size(units)) {
        bytes /= 1024;
        ++unit;
    }
    char text[32];
    std::snprintf(text, sizeof text, bytes < 9.95 && unit > 0 ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
    return text;
}

std::string top_text(const std::vector<TopRow>& rows) {
    std::string out;
    char line[512];
    const auto add = [&](const char* name, const char* role, const char* term, const char* applied, const char* lag,
                         const char* requests, const char* p50, const char* p99, const char* sync, const char* watchers,
                         const char* leases, const char* memory, const char* store) {
        std::snprintf(line, sizeof line, "%-16s %-9s %6s %12s %8s %10s %9s %9s %9s %9s %9s %10s %10s\n", name, role,
                      term, applied, lag, requests, p50, p99, sync, watchers, leases, memory, store);
        out += line;
    };
    add("NAME", "ROLE", "TERM", "APPLIED", "LAG", "REQUESTS/S", "P50 MS", "P99 MS", "SYNC MS", "WATCHERS", "LEASES",
        "MEMORY", "STORE");
    const auto size = [](const std::optional<double>& bytes) { return bytes ? bytes_text(*bytes) : "-"; };
    for (const TopRow& row : rows) {
        const bool known = row.error.empty();
        const auto count = [known](uint64_t number) { return known ? std::to_string(number) : "-"; };
        add(row.name.c_str(), row.role.c_str(), count(row.term).c_str(), count(row.applied).c_str(),
            count(row.lag).c_str(), cell(row.requests_per_second, "%.0f").c_str(), cell(row.p50_ms, "%.2f").c_str(),
            cell(row.p99_ms, "%.2f").c_str(), cell(row.log_sync_p99_ms, "%.2f").c_str(),
            cell(row.watchers, "%.0f").c_str(), cell(row.leases, "%.0f").c_str(), size(row.memory_bytes).c_str(),
            size(row.store_bytes).c_str());
        if (!known) out += "  " + row.error + "\n";
    }
    return out;
}

std::string top_json(const std::vector<TopRow>& rows) {
    nlohmann::json members = nlohmann::json::array();
    for (const TopRow& row : rows) {
        members.push_back({{"name", row.name},
                           {"endpoint", row.endpoint},
                           {"role", row.role},
                           {"error", row.error},
                           {"term", row.term},
                           {"applied", row.applied},
                           {"lag", row.lag},
                           {"requests_per_second", json_of(row.requests_per_second)},
                           {"p50_ms", json_of(row.p50_ms)},
                           {"p99_ms", json_of(row.p99_ms)},
                           {"log_sync_p99_ms", json_of(row.log_sync_p99_ms)},
                           {"watchers", json_of(row.watchers)},
                           {"leases", json_of(row.leases)},
                           {"memory_bytes", json_of(row.memory_bytes)},
                           {"store_bytes", json_of(row.store_bytes)}});
    }
    const nlohmann::json tree = {{"members", std::move(members)}};
    return tree.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace polis::cli
