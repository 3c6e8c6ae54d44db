// plan_move: leaderships spread evenly over able nodes of the highest priority, and then nothing moves any more.
#include "cluster/balance.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/random.h"

namespace polis::cluster {
namespace {

constexpr NodeId a{1};
constexpr NodeId b{2};
constexpr NodeId c{3};
constexpr GroupId g1{1};
constexpr GroupId g2{2};

std::vector<LedGroup> led(std::vector<GroupId> groups, const std::vector<LeaderCandidate>& able) {
    std::vector<LedGroup> all;
    for (const GroupId group : groups) all.push_back({group, able});
    return all;
}

TEST(LeaderBalance, TheNodeThatLeadsTwoMoreGivesOneAway) {
    const auto groups = led({g1, g2}, {{b, 100}, {c, 100}});
    EXPECT_EQ(plan_move({a, 100}, groups, {{a, 2}}), (LeaderMove{g1, b}));
    EXPECT_EQ(plan_move({a, 100}, groups, {{a, 3}, {b, 1}}), (LeaderMove{g1, c}));
}

TEST(LeaderBalance, ADifferenceOfOneMovesNothing) {
    EXPECT_FALSE(plan_move({a, 100}, led({g1}, {{b, 100}}), {{a, 1}}).has_value());
    EXPECT_FALSE(plan_move({a, 100}, led({g1, g2}, {{b, 100}}), {{a, 2}, {b, 1}}).has_value());
}

TEST(LeaderBalance, OnlyAnAbleNodeIsGivenAnything) {
    EXPECT_FALSE(plan_move({a, 100}, led({g1, g2}, {}), {{a, 2}}).has_value());
    EXPECT_EQ(plan_move({a, 100}, led({g1, g2}, {{c, 100}}), {{a, 5}, {c, 3}}), (LeaderMove{g1, c}));
}

TEST(LeaderBalance, PriorityComesBeforeEvenness) {
    EXPECT_EQ(plan_move({a, 50}, led({g1}, {{b, 100}}), {{a, 1}, {b, 7}}), (LeaderMove{g1, b}));
    EXPECT_FALSE(plan_move({a, 100}, led({g1, g2}, {{b, 50}}), {{a, 9}}).has_value());
    EXPECT_EQ(plan_move({a, 50}, led({g2}, {{b, 60}, {c, 70}}), {{a, 1}}), (LeaderMove{g2, c}));
}

// Every node follows its own plan, in any order, until nobody moves: then nobody leads more than one more than another, and it has
// taken no more moves than groups.
TEST(LeaderBalance, ConvergesFromAnywhereAndThenRests) {
    for (uint64_t seed = 1; seed <= 200; ++seed) {
        Chance chance(seed);
        const uint64_t nodes = chance.between(1, 7);
        const uint64_t groups = chance.between(1, 60);
        std::map<GroupId, NodeId> leaders;
        for (uint64_t group = 1; group <= groups; ++group) {
            leaders[GroupId{static_cast<uint32_t>(group)}] = NodeId{chance.between(1, nodes)};
        }
        uint64_t moves = 0;
        for (uint64_t rested = 0; rested < nodes * 20; ++rested) {
            const NodeId self{chance.between(1, nodes)};
            std::map<NodeId, uint64_t> counts;
            std::vector<LedGroup> mine;
            for (const auto& [group, leader] : leaders) {
                ++counts[leader];
                if (leader != self) continue;
                LedGroup one{.group = group, .able = {}};
                for (uint64_t other = 1; other <= nodes; ++other) {
                    if (NodeId{other} != self) one.able.push_back({NodeId{other}, 100});
                }
                mine.push_back(one);
            }
            const auto move = plan_move({self, 100}, mine, counts);
            if (!move) continue;
            leaders[move->group] = move->to;
            rested = 0;
            ASSERT_LE(++moves, groups) << "seed " << seed;
        }
        std::vector<uint64_t> counts(nodes + 1);
        for (const auto& [group, leader] : leaders) ++counts[number_of(leader)];
        const auto [least, most] = std::minmax_element(counts.begin() + 1, counts.end());
        EXPECT_LE(*most - *least, 1u) << "seed " << seed;
    }
}

}  // namespace
}  // namespace polis::cluster
