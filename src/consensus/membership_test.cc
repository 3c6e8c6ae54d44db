#include "consensus/membership.h"

#include <gtest/gtest.h>

#include <map>

namespace polis::consensus {
namespace {

const NodeId a{1}, b{2}, c{3}, d{4}, e{5};

TEST(Membership, ReadsBackWhatItWrote) {
    const Membership joint{.voters = {a, b}, .outgoing = {b, c}, .learners = {d}, .next_learners = {c}};
    const Result<Membership> read = decode_membership(encode(joint).view());
    ASSERT_TRUE(read.has_value());
    EXPECT_EQ(*read, joint);
}

// Golden: what is on disks stays readable.
TEST(Membership, HasAStableEncoding) {
    const std::string octets = encode({.voters = {NodeId{0x0102}}}).str();
    EXPECT_EQ(octets, std::string("\1"
                                  "\1\0\0\0"
                                  "\2\1\0\0\0\0\0\0"
                                  "\0\0\0\0"
                                  "\0\0\0\0"
                                  "\0\0\0\0",
                                  25));
}

TEST(Membership, RefusesEveryShortenedEncoding) {
    const std::string whole = encode({.voters = {a, b}, .learners = {c}}).str();
    for (size_t size = 0; size < whole.size(); ++size) {
        EXPECT_FALSE(decode_membership(std::string_view(whole).substr(0, size)).has_value()) << size;
    }
    EXPECT_FALSE(decode_membership(whole + "x").has_value());
}

TEST(Membership, RefusesANodeInTwoRoles) {
    EXPECT_FALSE(check({.voters = {a, b}, .learners = {b}}).has_value());
    EXPECT_FALSE(check({.voters = {a, a}}).has_value());
    EXPECT_FALSE(check({.voters = {}}).has_value());
    EXPECT_TRUE(check({.voters = {a}, .outgoing = {a, b}, .next_learners = {b}}).has_value());
}

TEST(Majority, NeedsBothSetsWhileJoint) {
    const Membership joint{.voters = {a, b, c}, .outgoing = {c, d, e}};
    EXPECT_FALSE(majority(joint, [](NodeId node) { return node <= c; }));
    EXPECT_TRUE(majority(joint, [](NodeId node) { return node != a && node != e; }));
}

TEST(MajorityValue, IsTheLargestThatAMajorityHasReached) {
    std::map<NodeId, uint64_t> reached{{a, 9}, {b, 5}, {c, 7}, {d, 1}, {e, 2}};
    const auto value = [&](NodeId node) { return reached.at(node); };
    EXPECT_EQ(majority_value({.voters = {a, b, c}}, value), 7u);
    EXPECT_EQ(majority_value({.voters = {a, b}}, value), 5u);
    EXPECT_EQ(majority_value({.voters = {a, b, c}, .outgoing = {c, d, e}}, value), 2u);
}

TEST(MajorityValue, CountsMoreVotersThanFitTheStack) {
    Membership many;
    for (uint64_t id = 1; id <= 31; ++id) many.voters.push_back(NodeId{id});
    EXPECT_EQ(majority_value(many, [](NodeId node) { return number_of(node); }), 16u);
}

}  // namespace
}  // namespace polis::consensus
