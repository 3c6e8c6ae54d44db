// Plays every script of tests/scenarios/coord.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include "services/coord/coord_script.h"

namespace polis::services {
namespace {

namespace fs = std::filesystem;

std::string text_of(const fs::path& path) {
    std::ifstream in(path);
    return {std::istreambuf_iterator<char>(in), {}};
}

TEST(CoordScenarios, AllHold) {
    std::set<fs::path> scripts;
    for (const auto& file : fs::directory_iterator(fs::path(POLIS_SOURCE_DIR) / "tests/scenarios/coord")) {
        if (file.path().extension() == ".txt") scripts.insert(file.path());
    }
    ASSERT_GE(scripts.size(), 25u);
    for (const fs::path& path : scripts) {
        const Result<void> played = play(text_of(path));
        if (!played) ADD_FAILURE() << path.string() << ":" << played.error().what;
    }
}

}  // namespace
}  // namespace polis::services
