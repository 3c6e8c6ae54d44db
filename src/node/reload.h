// What reading the configuration again changes: found out first, then done, then told.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "node/config.h"

namespace polis::node {

/// An option whose value in the sources is another than the node runs with. Values as in a file.
struct Change {
    std::string key;
    std::string before, after;

    friend bool operator==(const Change&, const Change&) = default;
};

/// What a reload is to do.
struct ReloadPlan {
    Config config;                   // To run with from now on: what can change has changed, the rest is as it was.
    std::vector<Change> applied;     // Take effect now.
    std::vector<Change> at_restart;  // Differ from what the node runs with, and need a restart.
};

/// Errors: Invalid if what can change now does not go together with what only a restart changes.
Result<ReloadPlan> plan_reload(const Config& running, const Config& fresh);

/// What the last reload came to, for `polis reload` and `polis doctor`: reload.json in the data directory.
struct ReloadReport {
    std::string refused = {};  // Why nothing was changed; empty: it was done.
    bool certificates_read = false;
    std::vector<Change> applied = {};
    std::vector<Change> at_restart = {};

    friend bool operator==(const ReloadReport&, const ReloadReport&) = default;
};

constexpr char reload_report_name[] = "reload.json";

std::string to_json(const ReloadReport& report);
/// Errors: Invalid.
Result<ReloadReport> parse_reload_report(const std::string& json);

}  // namespace polis::node
