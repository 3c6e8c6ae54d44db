// Plays every script of tests/scenarios/consensus against every protocol that it concerns.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "consensus/scenario/script.h"

namespace polis::consensus {
namespace {

namespace fs = std::filesystem;

std::string text_of(const fs::path& path) {
    std::ifstream in(path);
    return {std::istreambuf_iterator<char>(in), {}};
}

std::set<fs::path> scripts() {
    std::set<fs::path> found;
    for (const auto& file : fs::directory_iterator(fs::path(POLIS_SOURCE_DIR) / "tests/scenarios/consensus")) {
        if (file.path().extension() == ".txt") found.insert(file.path());
    }
    return found;
}

class Scenarios : public testing::TestWithParam<Protocol> {};

TEST_P(Scenarios, AllHold) {
    size_t played_count = 0;
    for (const fs::path& path : scripts()) {
        const std::string script = text_of(path);
        if (!concerns(script, GetParam())) continue;
        ++played_count;
        const Result<void> played = play(script, GetParam());
        if (!played) ADD_FAILURE() << path.string() << ":" << played.error().what;
    }
    EXPECT_GE(played_count, 40u);
}

INSTANTIATE_TEST_SUITE_P(All, Scenarios, testing::ValuesIn(protocols().begin(), protocols().end()),
                         [](const auto& protocol) { return std::string(protocol.param.name); });

// The language must notice what is wrong, or the stories prove nothing.
TEST(Scenario, ReportsAnExpectationThatDoesNotHold) {
    const Result<void> played = play("nodes 1 2 3\nelect 1\nexpect leader 2\n", protocols().front());
    ASSERT_FALSE(played.has_value());
    EXPECT_TRUE(played.error().what.starts_with("3: expect leader 2: found: 1"));
}

TEST(Scenario, RefusesAWordItDoesNotKnow) { EXPECT_FALSE(play("nodes 1\nelekt 1\n", protocols().front()).has_value()); }

TEST(Scenario, ConcernsTheProtocolsThatItNames) {
    const std::string one = "# A story.\nprotocols " + std::string(protocols().front().name) + " other\nnodes 1\n";
    EXPECT_TRUE(concerns(one, protocols().front()));
    EXPECT_FALSE(concerns("protocols other\nnodes 1\n", protocols().front()));
    EXPECT_TRUE(concerns("nodes 1\n", protocols().front()));
}

}  // namespace
}  // namespace polis::consensus
