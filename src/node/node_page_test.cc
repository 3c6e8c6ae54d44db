// Tests of the node's own page.
#include "node/node_page.h"

#include <gtest/gtest.h>

namespace polis::node {
namespace {

TEST(NodePage, SurvivesJson) {
    NodePage page{.id = NodeId{0xfedcba9876543210}, .name = "node \"1\""};
    page.now = {std::chrono::microseconds(1'700'000'000'123'456)};
    page.disk_free_bytes = 3;
    page.disk_bytes = 1ull << 60;
    page.descriptors_open = 5;
    page.descriptors_max = UINT64_MAX;
    page.log_syncs = 6;
    page.log_sync_mean = std::chrono::microseconds(7);
    page.waiting_for_restart = {"node.name"};
    page.peers = {{.id = NodeId{7},
                   .name = "b",
                   .connected = true,
                   .alive = true,
                   .phi = 0.25,
                   .suspected = false,
                   .silent_for = std::chrono::milliseconds(12)},
                  {.id = NodeId{8}, .name = "", .connected = false, .suspected = true, .silent_for = {}}};
    const auto again = parse_node_page(to_json(page));
    ASSERT_TRUE(again) << again.error().what;
    EXPECT_EQ(to_json(*again), to_json(page));
    EXPECT_EQ(again->id, page.id);
    EXPECT_EQ(again->now, page.now);
    EXPECT_EQ(again->descriptors_max, UINT64_MAX);
    EXPECT_EQ(again->peers[0].silent_for, std::chrono::milliseconds(12));
    EXPECT_EQ(again->peers[0].phi, 0.25);
    EXPECT_FALSE(again->peers[0].suspected);
    EXPECT_EQ(again->peers[1].silent_for, std::nullopt);
    EXPECT_TRUE(again->peers[1].suspected);
}

TEST(NodePage, RefusesOtherPages) {
    for (const char* text : {"", "404 page not found\n", "{}", "[1]", R"({"id":7})"}) {
        const auto page = parse_node_page(text);
        ASSERT_FALSE(page) << text;
        EXPECT_EQ(page.error().code, Code::Invalid);
    }
}

}  // namespace
}  // namespace polis::node
