// Plays every script of tests/scenarios/consensus against Raft.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "consensus/raft/raft.h"
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

TEST(RaftScenarios, AllHold) {
    const std::set<fs::path> all = scripts();
    ASSERT_GE(all.size(), 40u);
    for (const fs::path& path : all) {
        const Result<void> played = play(text_of(path), make_raft);
        if (!played) ADD_FAILURE() << path.string() << ":" << played.error().what;
    }
}

// The language must notice what is wrong, or the stories prove nothing.
TEST(Scenario, ReportsAnExpectationThatDoesNotHold) {
    const Result<void> played = play("nodes 1 2 3\nelect 1\nexpect leader 2\n", make_raft);
    ASSERT_FALSE(played.has_value());
    EXPECT_TRUE(played.error().what.starts_with("3: expect leader 2: found: 1"));
}

TEST(Scenario, RefusesAWordItDoesNotKnow) { EXPECT_FALSE(play("nodes 1\nelekt 1\n", make_raft).has_value()); }

}  // namespace
}  // namespace polis::consensus
