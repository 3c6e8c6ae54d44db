// Tests of reloads: what changes now, what waits for a restart, what is refused; and the report of it.
#include "node/reload.h"

#include <gtest/gtest.h>

#include "node/config.h"

namespace polis::node {
namespace {

Config running() {
    Config config = *parse_config("[node]\ndata_dir = \"/data\"\n", "node.toml");
    return config;
}

TEST(PlanReload, FindsNothingInTheSameConfiguration) {
    const auto plan = plan_reload(running(), running());
    ASSERT_TRUE(plan);
    EXPECT_TRUE(plan->applied.empty());
    EXPECT_TRUE(plan->at_restart.empty());
}

// The table alone decides; each option goes to its side.
TEST(PlanReload, SortsEveryOptionByItsRowInTheTable) {
    for (const Option& option : options()) {
        Config before = running();
        Config after = before;
        const Value value = option.get(before);
        if (const auto* number = std::get_if<int64_t>(&value)) option.set(after, *number + 1);
        if (const auto* yes = std::get_if<bool>(&value)) option.set(after, !*yes);
        if (std::holds_alternative<std::string>(value)) option.set(after, std::string("warn"));
        if (std::holds_alternative<std::vector<std::string>>(value)) {
            option.set(after, std::vector<std::string>{"http://127.0.0.9:9"});
        }
        if (std::holds_alternative<std::map<std::string, std::string>>(value)) {
            option.set(after, std::map<std::string, std::string>{{"a", "http://127.0.0.9:9"}});
        }
        // What stays alone (a certificate without its key) is refused; the check of that is another test's.
        if (option.key.starts_with("tls.") && option.reload == Reload::OnReload) continue;
        const auto plan = plan_reload(before, after);
        ASSERT_TRUE(plan) << option.key << plan.error().what;
        const bool now = option.reload == Reload::OnReload;
        EXPECT_EQ(plan->applied.size(), now ? 1u : 0u) << option.key;
        EXPECT_EQ(plan->at_restart.size(), now ? 0u : 1u) << option.key;
        EXPECT_TRUE(option.get(plan->config) == option.get(now ? after : before)) << option.key;
    }
}

TEST(PlanReload, TellsValuesAsAFileHasThem) {
    Config fresh = running();
    fresh.log_level = "debug";
    fresh.spin_us = 20;
    const auto plan = plan_reload(running(), fresh);
    ASSERT_TRUE(plan);
    EXPECT_EQ(plan->applied, (std::vector<Change>{{"log.level", "\"info\"", "\"debug\""}}));
    EXPECT_EQ(plan->at_restart, (std::vector<Change>{{"runtime.spin_us", "0", "20"}}));
}

// What waits for a restart is told at each reload until it is done or taken back.
TEST(PlanReload, TellsWhatWaitsAgainNextTime) {
    Config fresh = running();
    fresh.spin_us = 20;
    const auto first = plan_reload(running(), fresh);
    ASSERT_TRUE(first);
    const auto second = plan_reload(first->config, fresh);
    ASSERT_TRUE(second);
    EXPECT_EQ(second->at_restart, first->at_restart);
    EXPECT_TRUE(plan_reload(second->config, running())->at_restart.empty());
}

// The listener that has https now would lose its certificate: the new file is good, but only after a restart.
TEST(PlanReload, RefusesWhatDoesNotGoWithWhatStays) {
    Config before = running();
    before.listen_client = {"https://10.0.0.1:2379"};
    before.tls_client.cert_file = "a.crt";
    before.tls_client.key_file = "a.key";
    ASSERT_TRUE(check_config(before));
    const auto plan = plan_reload(before, running());
    ASSERT_FALSE(plan);
    EXPECT_EQ(plan.error().code, Code::Invalid);
    EXPECT_NE(plan.error().what.find("listen.client has https://10.0.0.1:2379"), std::string::npos)
        << plan.error().what;
}

TEST(ReloadReport, SurvivesJson) {
    const ReloadReport report{.refused = "not \"quite\"\n",
                              .certificates_read = true,
                              .applied = {{"log.level", "\"info\"", "\"debug\""}},
                              .at_restart = {{"node.name", "\"a\"", "\"b\""}, {"runtime.spin_us", "0", "20"}}};
    const auto again = parse_reload_report(to_json(report));
    ASSERT_TRUE(again) << again.error().what;
    EXPECT_EQ(*again, report);
}

TEST(ReloadReport, RefusesWhatIsNone) {
    for (const char* text :
         {"", "{", "[]", "{}", R"({"refused":1,"certificates_read":true,"applied":[],"at_restart":[]})"}) {
        const auto report = parse_reload_report(text);
        ASSERT_FALSE(report) << text;
        EXPECT_EQ(report.error().code, Code::Invalid);
    }
}

TEST(ReloadReport, WritesTextThatIsNotUtf8) {
    EXPECT_TRUE(parse_reload_report(to_json({.refused = "bad \xff octet"})));
}

}  // namespace
}  // namespace polis::node
