#include "node/reload.h"

#include <nlohmann/json.hpp>

#include "node/option_text.h"

namespace polis::node {
namespace {

using nlohmann::json;

json json_of(const std::vector<Change>& changes) {
    json list = json::array();
    for (const Change& change : changes) {
        list.push_back({{"option", change.key}, {"before", change.before}, {"after", change.after}});
    }
    return list;
}

std::vector<Change> changes_of(const json& list) {
    std::vector<Change> changes;
    for (const json& item : list) changes.push_back({item.at("option"), item.at("before"), item.at("after")});
    return changes;
}

}  // namespace

Result<ReloadPlan> plan_reload(const Config& running, const Config& fresh) {
    ReloadPlan plan{.config = running, .applied = {}, .at_restart = {}};
    for (const Option& option : options()) {
        const Value before = option.get(running);
        const Value after = option.get(fresh);
        if (before == after) continue;
        const bool now = option.reload == Reload::OnReload;
        (now ? plan.applied : plan.at_restart).push_back({std::string(option.key), toml_of(before), toml_of(after)});
        if (now) option.set(plan.config, after);
    }
    if (const Result<void> fits = check_config(plan.config); !fits) {
        return fail(Code::Invalid, "what can change now does not go together with what needs a restart: " +
                                       fits.error().what + "; restart the node instead");
    }
    return plan;
}

std::string to_json(const ReloadReport& report) {
    const json tree = {{"refused", report.refused},
                       {"certificates_read", report.certificates_read},
                       {"applied", json_of(report.applied)},
                       {"at_restart", json_of(report.at_restart)}};
    // Text out of a file that was not UTF-8 must not end the node.
    return tree.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

Result<ReloadReport> parse_reload_report(const std::string& text) {
    try {
        const json tree = json::parse(text);
        return ReloadReport{.refused = tree.at("refused"),
                            .certificates_read = tree.at("certificates_read"),
                            .applied = changes_of(tree.at("applied")),
                            .at_restart = changes_of(tree.at("at_restart"))};
    } catch (const json::exception& error) {
        return fail(Code::Invalid, std::string("the report of the reload cannot be read: ") + error.what());
    }
}

}  // namespace polis::node
