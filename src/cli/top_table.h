// The table of `polis top`: one row a member, out of two looks at it. Pure.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "cli/metrics_text.h"

namespace polis::cli {

/// One look at one member. Without metrics nothing could be learnt.
struct MemberLook {
    std::string name;
    std::string endpoint;
    std::string role;  // "leader", "follower", "learner"; "down" if it does not answer.
    uint64_t term = 0, applied = 0;
    std::optional<MetricsPage> metrics = {};
    std::string error = {};  // Why not.
};

struct TopRow {
    std::string name, endpoint, role, error;
    uint64_t term = 0, applied = 0;
    uint64_t lag = 0;  // Entries behind the member that has applied most.
    std::optional<double> requests_per_second = {};
    std::optional<double> p50_ms = {}, p99_ms = {};  // Of unary requests answered between the looks.
    std::optional<double> watchers = {}, leases = {}, memory_bytes = {}, store_bytes = {}, log_sync_p99_ms = {};
};

/// Rows in the order of `now`. Members that were not there before have no rates.
std::vector<TopRow> top_rows(const std::vector<MemberLook>& before, const std::vector<MemberLook>& now,
                             std::chrono::duration<double> between);

std::string top_text(const std::vector<TopRow>& rows);
/// {"members":[...]}; what is not known is null.
std::string top_json(const std::vector<TopRow>& rows);

/// "1.5 GiB"; three digits at most.
std::string bytes_text(double bytes);

}  // namespace polis::cli
