#include "runtime/system_random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <vector>

namespace polis::runtime {
namespace {

// More than the 256 octets that one call delivers without interruption. A run of 32 equal octets has a chance of 2^-248.
TEST(SystemRandom, FillsAllOfALargeTarget) {
    std::vector<std::byte> octets(100'000);
    SystemRandom().fill(octets);
    for (size_t at = 0; at < octets.size(); at += 32) {
        const auto piece = std::span(octets).subspan(at, 32);
        ASSERT_FALSE(std::ranges::all_of(piece, [](std::byte octet) { return octet == std::byte{0}; })) << at;
    }
}

TEST(SystemRandom, DoesNotRepeatItself) {
    SystemRandom random;
    std::set<uint64_t> drawn;
    for (int i = 0; i < 1000; ++i) drawn.insert(random.next());
    EXPECT_EQ(drawn.size(), 1000u);
}

}  // namespace
}  // namespace polis::runtime
