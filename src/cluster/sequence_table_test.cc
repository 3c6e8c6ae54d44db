#include "cluster/sequence_table.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "base/random.h"

namespace polis::cluster {
namespace {

TEST(SequenceTable, FindsWhatWasAddedUntilItIsTaken) {
    SequenceTable<std::string> table;
    table.add(7, "seven");
    table.add(8, "eight");
    ASSERT_NE(table.find(7), nullptr);
    EXPECT_EQ(*table.find(8), "eight");
    EXPECT_EQ(table.take(7), "seven");
    EXPECT_EQ(table.find(7), nullptr);
    EXPECT_EQ(table.take(7), std::nullopt);
    EXPECT_EQ(table.lowest(), 8u);
    EXPECT_EQ(table.size(), 1u);
}

TEST(SequenceTable, KnowsNothingOfNumbersNeverAdded) {
    SequenceTable<int> table;
    EXPECT_EQ(table.find(0), nullptr);
    table.add(5, 1);
    table.add(9, 2);
    EXPECT_EQ(table.find(4), nullptr);
    EXPECT_EQ(table.find(7), nullptr);
    EXPECT_EQ(table.find(10), nullptr);
    EXPECT_EQ(table.find(UINT64_MAX), nullptr);
}

TEST(SequenceTable, BeginsAnewAfterItWasEmpty) {
    SequenceTable<int> table;
    table.add(1, 1);
    table.take(1);
    EXPECT_TRUE(table.empty());
    table.add(1'000'000'000'000, 2);  // A gap that a window would not survive.
    EXPECT_EQ(table.lowest(), 1'000'000'000'000u);
}

TEST(SequenceTable, AgreesWithAMap) {
    for (uint64_t seed = 1; seed <= 20; ++seed) {
        Chance chance(seed);
        SequenceTable<uint64_t> table;
        std::map<uint64_t, uint64_t> model;
        uint64_t next = 1;
        for (int step = 0; step < 2000; ++step) {
            if (chance.happens(500)) {
                next += chance.below(3);
                table.add(next, step);
                model.emplace(next++, step);
            } else {
                const uint64_t number =
                    model.empty() ? 0 : model.begin()->first + chance.below(next - model.begin()->first + 2);
                const auto found = model.find(number);
                const std::optional<uint64_t> expected =
                    found == model.end() ? std::nullopt : std::optional(found->second);
                EXPECT_EQ(table.take(number), expected) << "seed " << seed;
                model.erase(number);
            }
            ASSERT_EQ(table.size(), model.size()) << "seed " << seed;
            if (!model.empty()) {
                EXPECT_EQ(table.lowest(), model.begin()->first) << "seed " << seed;
            }
        }
        std::vector<std::pair<uint64_t, uint64_t>> seen;
        table.for_each([&](uint64_t number, uint64_t value) { seen.emplace_back(number, value); });
        EXPECT_EQ(seen, (std::vector<std::pair<uint64_t, uint64_t>>(model.begin(), model.end()))) << "seed " << seed;
    }
}

}  // namespace
}  // namespace polis::cluster
