// AppliedOnce: a numbered command is new exactly once, in memory and across what is stored; and the table stays small.
#include "cluster/applied_once.h"

#include <gtest/gtest.h>

#include "base/octets.h"
#include "base/random.h"
#include "cluster/replica_keys.h"
#include "storage/kv/memory_store.h"

namespace polis::cluster {
namespace {

constexpr NodeId a{1};
constexpr NodeId b{2};

void save(AppliedOnce& table, storage::Store& store) {
    storage::Overlay overlay(store);
    table.save(overlay);
    ASSERT_TRUE(store.write(overlay.batch()).has_value());
}

AppliedOnce loaded(const storage::Store& store) {
    Result<AppliedOnce> table = AppliedOnce::load(store);
    EXPECT_TRUE(table.has_value());
    return table ? *std::move(table) : AppliedOnce();
}

TEST(AppliedOnce, AdmitsEachSequenceOfEachOriginOnce) {
    AppliedOnce table;
    EXPECT_TRUE(table.admit(a, 5, 5));
    EXPECT_FALSE(table.admit(a, 5, 5));
    EXPECT_TRUE(table.admit(b, 5, 5));
    EXPECT_TRUE(table.admit(a, 7, 5));
    EXPECT_TRUE(table.admit(a, 6, 5));
    EXPECT_FALSE(table.admit(a, 7, 5));
}

TEST(AppliedOnce, WhatItsOriginHasGivenUpIsNeverAdmitted) {
    AppliedOnce table;
    EXPECT_TRUE(table.admit(a, 10, 8));
    EXPECT_FALSE(table.admit(a, 7, 1));
    EXPECT_TRUE(table.admit(a, 9, 1));  // An old message says an old bound: bounds only rise.
    EXPECT_FALSE(table.admit(a, 7, 1));
}

TEST(AppliedOnce, CommandsOfNobodyAreAlwaysNew) {
    AppliedOnce table;
    EXPECT_TRUE(table.admit(NodeId::Nobody, 1, 1));
    EXPECT_TRUE(table.admit(NodeId::Nobody, 1, 1));
}

TEST(AppliedOnce, RemembersAcrossWhatIsStored) {
    storage::MemoryStore store;
    AppliedOnce table;
    for (const uint64_t sequence : {3u, 9u, 300u, 70'000u}) EXPECT_TRUE(table.admit(a, sequence, 3));
    EXPECT_TRUE(table.admit(b, UINT64_MAX, UINT64_MAX - 1));
    save(table, store);
    AppliedOnce again = loaded(store);
    for (const uint64_t sequence : {3u, 9u, 300u, 70'000u}) EXPECT_FALSE(again.admit(a, sequence, 3));
    EXPECT_FALSE(again.admit(a, 2, 3));
    EXPECT_TRUE(again.admit(a, 4, 3));
    EXPECT_FALSE(again.admit(b, UINT64_MAX, UINT64_MAX - 1));
    EXPECT_TRUE(again.admit(b, UINT64_MAX - 1, UINT64_MAX - 1));
}

TEST(AppliedOnce, SavesOnlyWhatChanged) {
    storage::MemoryStore store;
    AppliedOnce table;
    EXPECT_TRUE(table.admit(a, 1, 1));
    save(table, store);
    storage::Overlay overlay(store);
    table.save(overlay);
    EXPECT_TRUE(overlay.empty());
    EXPECT_FALSE(table.admit(a, 1, 1));  // Changed nothing.
    EXPECT_TRUE(table.admit(b, 1, 1));
    table.save(overlay);
    EXPECT_EQ(overlay.batch().count(), 1u);
}

// An origin that answers its clients as it goes costs a row of a few octets, however many commands it has sent.
TEST(AppliedOnce, WhatIsSettledTakesNoRoom) {
    storage::MemoryStore store;
    AppliedOnce table;
    for (uint64_t sequence = 1; sequence <= 100'000; ++sequence) {
        ASSERT_TRUE(table.admit(a, sequence, sequence < 10 ? 1 : sequence - 9));
    }
    save(table, store);
    const Result<std::optional<std::string>> row = store.get(origin_row(a));
    ASSERT_TRUE(row.has_value() && row->has_value());
    EXPECT_LT((*row)->size(), 32u);
}

TEST(AppliedOnce, ADamagedRowIsCorrupt) {
    for (const std::string& value : {std::string(), std::string("\x80", 1), std::string("\x05\xff", 2)}) {
        storage::MemoryStore store;
        storage::Batch batch;
        batch.put(origin_row(a), value);
        ASSERT_TRUE(store.write(batch).has_value());
        const Result<AppliedOnce> table = AppliedOnce::load(store);
        ASSERT_FALSE(table.has_value()) << value.size();
        EXPECT_EQ(table.error().code, Code::Corrupt);
    }
    storage::MemoryStore store;
    storage::Batch batch;
    batch.put(std::string("\0origin", 7) + "abc", "\x01");
    ASSERT_TRUE(store.write(batch).has_value());
    EXPECT_EQ(AppliedOnce::load(store).error().code, Code::Corrupt);
}

// Against a plain set that forgets nothing: sent again and again in any order, cut by saves and loads.
TEST(AppliedOnce, AgreesWithASetThatForgetsNothing) {
    for (uint64_t seed = 1; seed <= 50; ++seed) {
        Chance chance(seed);
        storage::MemoryStore store;
        AppliedOnce table;
        std::set<std::pair<NodeId, uint64_t>> seen;
        std::map<NodeId, uint64_t> bound;
        uint64_t newest = 1;
        for (int step = 0; step < 400; ++step) {
            const NodeId origin = chance.happens(500) ? a : b;
            const uint64_t sequence = newest - std::min(newest, chance.below(30)) + 1;
            newest = std::max(newest, sequence);
            const uint64_t outstanding = sequence - std::min(sequence, chance.below(20));
            const bool expected = sequence >= bound[origin] && seen.insert({origin, sequence}).second;
            ASSERT_EQ(table.admit(origin, sequence, outstanding), expected) << "seed " << seed << " step " << step;
            if (expected) bound[origin] = std::max(bound[origin], outstanding);
            newest += chance.below(3);
            if (chance.happens(100)) {
                save(table, store);
                table = loaded(store);
            }
        }
    }
}

}  // namespace
}  // namespace polis::cluster
