// Tests of the configuration: every option through every source, and what files get wrong.
#include "node/config.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <set>

#include "node/duration.h"
#include "node/option_text.h"

namespace polis::node {
namespace {

// The least that any configuration needs.
constexpr char least[] = "[node]\ndata_dir = \"/data\"\n";

struct Texts {
    std::string in_toml, in_text;
};

// A value that is not the option's default and that the checks of the whole let through.
Texts other_value_of(const Option& option) {
    static const std::map<std::string_view, Texts> special = {
        {"cluster.state", {"\"existing\"", "existing"}},
        {"cluster.consensus", {"\"raft\"", "raft"}},
        {"cluster.initial",
         {"{ a = \"http://127.0.0.9:1\", b = \"http://127.0.0.8:1\" }", "a=http://127.0.0.9:1,b=http://127.0.0.8:1"}},
        {"cluster.heartbeat_ms", {"51", "51"}},
        {"cluster.election_timeout_ms", {"700", "700"}},
        {"etcd.auto_compaction_mode", {"\"periodic\"", "periodic"}},
        {"etcd.auto_compaction_retention", {"\"7\"", "7"}},
        {"log.level", {"\"debug\"", "debug"}},
    };
    if (const auto place = special.find(option.key); place != special.end()) return place->second;
    const Value value = option.get(Config());
    if (const auto* number = std::get_if<int64_t>(&value)) {
        const int64_t other = *number < option.maximum ? *number + 1 : *number - 1;
        return {std::to_string(other), std::to_string(other)};
    }
    if (const auto* yes = std::get_if<bool>(&value)) return *yes ? Texts{"false", "false"} : Texts{"true", "true"};
    if (std::holds_alternative<std::string>(value)) return {"\"/some/text\"", "/some/text"};
    if (std::holds_alternative<std::vector<std::string>>(value)) {
        return {R"(["http://127.0.0.7:11", "http://127.0.0.7:12"])", "http://127.0.0.7:11,http://127.0.0.7:12"};
    }
    return {R"({ zone = "a", rack = "7" })", "zone=a,rack=7"};
}

// What must be there besides for an option's value to make sense.
std::string companions_of(std::string_view key) {
    std::string text = key == "node.data_dir" ? "" : "node.data_dir = \"/data\"\n";
    for (const std::string side : {"tls.client", "tls.peer"}) {
        if (!key.starts_with(side)) continue;
        for (const std::string name : {".cert_file", ".key_file", ".trusted_ca_file"}) {
            if (key != side + name) text += side + name + " = \"/file\"\n";
        }
    }
    return text;
}

Result<Config> parse(const std::string& text, ConfigSource source = {}) {
    source.path = "node.toml";
    return parse_config(text, source);
}

std::string error_of(const Result<Config>& config) { return config ? "no error" : config.error().what; }

class EveryOption : public testing::TestWithParam<size_t> {
protected:
    const Option& option() const { return options()[GetParam()]; }
    std::string key() const { return std::string(option().key); }
    std::string base() const { return companions_of(option().key); }
    std::string in_file() const { return base() + key() + " = " + other_value_of(option()).in_toml + "\n"; }
};

TEST_P(EveryOption, IsReadFromFile) {
    const Result<Config> config = parse(in_file());
    ASSERT_TRUE(config) << config.error().what;
    const Value expected = *value_of_text(option(), other_value_of(option()).in_text, "test");
    EXPECT_TRUE(option().get(*config) == expected) << toml_of(option().get(*config));
}

TEST_P(EveryOption, IsReadFromEnvironment) {
    const Result<Config> config =
        parse(base(), {.environment = {{environment_name(key()), other_value_of(option()).in_text}}});
    ASSERT_TRUE(config) << config.error().what;
    EXPECT_TRUE(option().get(*config) == option().get(*parse(in_file())));
}

TEST_P(EveryOption, IsReadFromFlag) {
    const Result<Config> config = parse(base(), {.flags = {{key(), other_value_of(option()).in_text}}});
    ASSERT_TRUE(config) << config.error().what;
    EXPECT_TRUE(option().get(*config) == option().get(*parse(in_file())));
}

TEST_P(EveryOption, SurvivesDumpAndChangedDump) {
    const Result<Config> config = parse(in_file());
    ASSERT_TRUE(config);
    for (const std::string& dumped : {dump_config(*config), dump_changed(*config)}) {
        const Result<Config> again = parse(dumped);
        ASSERT_TRUE(again) << again.error().what << "\n" << dumped;
        for (const Option& other : options()) {
            EXPECT_TRUE(other.get(*again) == other.get(*config)) << other.key << "\n" << dumped;
        }
    }
}

// A number where a text belongs, a text where anything else belongs.
TEST_P(EveryOption, RefusesWrongTypeWithLineAndKey) {
    const bool is_text = std::holds_alternative<std::string>(option().get(Config()));
    const bool is_list = std::holds_alternative<std::vector<std::string>>(option().get(Config()));
    const std::string text = base() + key() + " = " + (is_text || is_list ? "7" : "\"seven\"") + "\n";
    const Result<Config> config = parse(text);
    ASSERT_FALSE(config);
    EXPECT_EQ(config.error().code, Code::Invalid);
    const auto line = std::to_string(std::ranges::count(text, '\n'));
    EXPECT_TRUE(config.error().what.starts_with("node.toml:" + line + ": " + key() + " must be ")) << error_of(config);
}

TEST_P(EveryOption, RefusesNumbersOutOfBoundsFromEverySource) {
    if (!std::holds_alternative<int64_t>(option().get(Config()))) return;
    std::vector<std::string> outside = {std::to_string(option().minimum - 1)};
    if (option().maximum != INT64_MAX) outside.push_back(std::to_string(option().maximum + 1));
    for (const std::string& number : outside) {
        const Result<Config> from_file = parse(base() + key() + " = " + number + "\n");
        const Result<Config> from_environment = parse(base(), {.environment = {{environment_name(key()), number}}});
        const Result<Config> from_flag = parse(base(), {.flags = {{key(), number}}});
        for (const auto* config : {&from_file, &from_environment, &from_flag}) {
            ASSERT_FALSE(*config) << number;
            EXPECT_NE(error_of(*config).find(key()) == std::string::npos
                          ? error_of(*config).find(environment_name(key()))
                          : 0,
                      std::string::npos)
                << error_of(*config);
        }
    }
}

TEST_P(EveryOption, HasSentenceThatEndsAndBoundsThatHoldItsDefault) {
    EXPECT_TRUE(option().sentence.ends_with('.')) << key();
    if (const Value value = option().get(Config()); std::holds_alternative<int64_t>(value)) {
        EXPECT_GE(std::get<int64_t>(value), option().minimum);
        EXPECT_LE(std::get<int64_t>(value), option().maximum);
    }
}

std::string test_name(const testing::TestParamInfo<size_t>& info) {
    std::string name(options()[info.param].key);
    std::ranges::replace(name, '.', '_');
    return name;
}

INSTANTIATE_TEST_SUITE_P(Table, EveryOption, testing::Range<size_t>(0, options().size()), test_name);

TEST(Config, HasDefaultForAllButTheDataDirectory) {
    const Result<Config> config = parse(least);
    ASSERT_TRUE(config) << config.error().what;
    Config expected;
    expected.data_dir = "/data";
    expected.advertise_client = expected.listen_client;
    expected.advertise_peer = expected.listen_peer;
    for (const Option& option : options()) EXPECT_TRUE(option.get(*config) == option.get(expected)) << option.key;
    EXPECT_EQ(error_of(parse("")), "node.data_dir is missing: where should everything be kept?");
}

TEST(Config, TakesFlagBeforeEnvironmentBeforeFileBeforeDefault) {
    const std::string file = std::string(least) + "name = \"file\"\n";
    const std::map<std::string, std::string> environment = {{"POLIS_NODE_NAME", "environment"}};
    EXPECT_EQ(parse(least)->name, "default");
    EXPECT_EQ(parse(file)->name, "file");
    EXPECT_EQ(parse(file, {.environment = environment})->name, "environment");
    EXPECT_EQ(parse(file, {.environment = environment, .flags = {{"node.name", "flag"}}})->name, "flag");
    EXPECT_EQ(parse(file, {.flags = {{"node.name", "flag"}, {"node.name", "last"}}})->name, "last");
}

TEST(Config, GivesEveryOptionAnEnvironmentVariableOfItsOwn) {
    std::set<std::string> names;
    for (const Option& option : options()) EXPECT_TRUE(names.insert(environment_name(option.key)).second) << option.key;
    EXPECT_EQ(environment_name("tls.client.cert_file"), "POLIS_TLS_CLIENT_CERT_FILE");
}

TEST(Config, RefusesVariableThatLooksLikeAnOptionAndLeavesOthersAlone) {
    EXPECT_EQ(error_of(parse(least, {.environment = {{"POLIS_NODE_NAEM", "a"}}})),
              "environment variable POLIS_NODE_NAEM is no option: `polis config dump` lists all");
    EXPECT_TRUE(parse(least, {.environment = {{"POLIS_BINARY", "a"}, {"POLIS_SERVICE_HOST", "b"}, {"HOME", "/"}}}));
}

TEST(Config, SaysWhichOptionAMisspeltOneMayMean) {
    EXPECT_EQ(error_of(parse("[node]\ndata_dir = \"/d\"\nnaem = \"a\"\n")),
              "node.toml:3: node.naem is no option: did you mean node.name?");
    EXPECT_EQ(error_of(parse("[cluster]\nquota_bytes = 7\n")),
              "node.toml:2: cluster.quota_bytes is no option: did you mean etcd.quota_bytes?");
    EXPECT_EQ(error_of(parse("zebra = 1\n")), "node.toml:1: zebra is no option: `polis config dump` lists all");
    EXPECT_EQ(error_of(parse(least, {.flags = {{"log.levle", "warn"}}})),
              "flag --log.levle is no option: did you mean log.level?");
    EXPECT_FALSE(parse("[node]\n" + std::string(5000, 'k') + " = 1\n"));
}

TEST(Config, NamesTheLineOfASyntaxError) {
    EXPECT_TRUE(error_of(parse("[node]\nname = \n")).starts_with("node.toml:2: "))
        << error_of(parse("[node]\nname = \n"));
}

// toml++ 3.3 ends the process over this one where its assertions are on.
TEST(Config, RefusesHeaderThatBeginsNoKey) {
    EXPECT_TRUE(error_of(parse("[?node]\n")).starts_with("node.toml:1: ")) << error_of(parse("[?node]\n"));
}

// toml++ 3.3 has undefined behaviour there.
TEST(Config, RefusesLettersBeyondAsciiOutsideOfTexts) {
    for (const char* letter : {"\xd2\x92", "\xc3\xa9", "\xc2\xa1", "\xe2\x80\xaa", "\xea\x80\x80"}) {
        EXPECT_FALSE(parse("node.data_dir = \"/d\"\nnode" + std::string(letter) + "x = 1\n"));
    }
}

TEST(Config, JoinsUrlsOfAMemberWithSeveral) {
    const auto config = parse(least, {.flags = {{"cluster.initial", "a=http://h:1,b=http://h:2,a=http://h:3"}}});
    ASSERT_TRUE(config) << config.error().what;
    EXPECT_EQ(config->initial.at("a"), "http://h:1,http://h:3");
    const auto from_file =
        parse(std::string(least) + "[cluster]\ninitial = { a = [\"http://h:1\", \"http://h:3\"] }\n");
    ASSERT_TRUE(from_file);
    EXPECT_EQ(from_file->initial.at("a"), "http://h:1,http://h:3");
}

TEST(Config, KeepsAnyTextThroughADump) {
    Config config = *parse(least);
    config.labels = {{"a \"quoted\" name", "line\nbreak\t\\ and \x7f and \x01"}, {"caf\xc3\xa9", "\xe2\x82\xac"}};
    const auto again = parse(dump_config(config));
    ASSERT_TRUE(again) << again.error().what << dump_config(config);
    EXPECT_EQ(again->labels, config.labels);
}

TEST(Config, RefusesTextThatIsNotUtf8) {
    for (const char* text :
         {"\xff", "a\x80", "\xc0\xaf", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "\xc3"}) {
        EXPECT_EQ(error_of(parse(least, {.flags = {{"node.name", text}}})), "flag --node.name must be UTF-8");
        EXPECT_FALSE(parse("node.data_dir = \"" + std::string(text) + "\"\n"));
    }
    for (const char* text : {"caf\xc3\xa9", "\xe2\x82\xac", "\xed\x9f\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"}) {
        EXPECT_EQ(parse(least, {.flags = {{"node.name", text}}})->name, text);
    }
}

struct Refused {
    const char* text;
    const char* message;
};

class Together : public testing::TestWithParam<Refused> {};

TEST_P(Together, IsRefusedWithItsReason) {
    EXPECT_EQ(error_of(parse(std::string("node.data_dir = \"/d\"\n") + GetParam().text)), GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(
    Config, Together,
    testing::Values(
        Refused{"node.name = \"\"", "node.name must not be empty"},
        Refused{"cluster.state = \"old\"", "cluster.state must be \"new\" or \"existing\""},
        Refused{"cluster.consensus = \"dice\"", "cluster.consensus must be \"raft\""},
        Refused{"cluster.heartbeat_ms = 84",
                "cluster.election_timeout_ms must be at least three times cluster.heartbeat_ms"},
        Refused{"listen.client = []", "listen.client and listen.peer need an address each"},
        Refused{"log.level = \"loud\"", "log.level must be debug, info, warn or error"},
        Refused{"listen.client = [\"https://127.0.0.1:1\"]",
                "listen.client has https://127.0.0.1:1 but no certificate is configured for it"},
        Refused{"listen.peer = [\"http://10.0.0.1:1\"]",
                "listen.peer has http://10.0.0.1:1: beyond loopback only https is served; configure TLS, or set "
                "listen.insecure"},
        Refused{"listen.metrics = [\"http://127.example.org:1\"]",
                "listen.metrics has http://127.example.org:1: beyond loopback only https is served; configure TLS, or "
                "set listen.insecure"},
        Refused{"listen.client = [\"http://[::]:1\"]",
                "listen.client has http://[::]:1: beyond loopback only https is served; configure TLS, or set "
                "listen.insecure"},
        Refused{"tls.client.cert_file = \"a\"", "tls.client has a cert_file or a key_file, but not both"},
        Refused{"tls.peer.client_cert_auth = true", "tls.peer has client_cert_auth, but no certificate"},
        Refused{"tls.peer.auto = true\ntls.peer.client_cert_auth = true",
                "tls.peer has client_cert_auth, but no trusted_ca_file to check certificates with"},
        Refused{"etcd.auto_compaction_mode = \"often\"",
                "etcd.auto_compaction_mode must be \"off\", \"periodic\" or \"revision\""},
        Refused{"etcd.auto_compaction_mode = \"periodic\"\netcd.auto_compaction_retention = \"soon\"",
                "etcd.auto_compaction_retention must be a duration such as \"1h\", or hours as a number"},
        Refused{"etcd.auto_compaction_mode = \"revision\"\netcd.auto_compaction_retention = \"1h\"",
                "etcd.auto_compaction_retention must be a number of revisions"},
        Refused{"cluster.initial = { a = \"\" }", "cluster.initial has no URL for a"}));

TEST(Config, ServesPlainlyOnLoopbackByNumberAndName) {
    EXPECT_TRUE(parse(std::string(least) +
                      "[listen]\nclient = [\"http://127.9.9.9:1\", \"http://[::1]:1\", \"http://localhost:1\"]\n"));
    EXPECT_TRUE(parse(std::string(least) + "[listen]\ninsecure = true\nclient = [\"http://10.0.0.1:1\"]\n"));
}

TEST(Documentation, SaysOfEachOptionWhetherItReloads) {
    std::ifstream in(std::string(POLIS_SOURCE_DIR) + "/docs/configuration.md");
    const std::string page((std::istreambuf_iterator<char>(in)), {});
    for (const Option& option : options()) {
        const size_t row = page.find("\n| `" + std::string(option.key) + "` |");
        ASSERT_NE(row, std::string::npos) << option.key;
        const std::string line = page.substr(row + 1, page.find('\n', row + 1) - row - 1);
        EXPECT_TRUE(line.ends_with(option.reload == Reload::OnReload ? "| yes |" : "| no |")) << line;
    }
}

TEST(ParseDuration, ReadsSumsOfNumbersWithUnits) {
    using namespace std::chrono_literals;
    EXPECT_EQ(*parse_duration("1h30m"), 90min);
    EXPECT_EQ(*parse_duration("500ms"), 500ms);
    EXPECT_EQ(*parse_duration("1.5s250us3ns"), 1500ms + 250us + 3ns);
    EXPECT_EQ(*parse_duration("0s"), 0s);
}

TEST(ParseDuration, RefusesWhatIsNone) {
    for (const char* text :
         {"", "1", "h", "-1h", "1x", "1h 30m", "infh", "nanh", "1e3h", "0x1h", "99999999999h", "1..2s", "+1s"}) {
        EXPECT_FALSE(parse_duration(text)) << text;
    }
}

}  // namespace
}  // namespace polis::node
