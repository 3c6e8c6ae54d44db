#include "storage/kv/memory_store.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace polis::storage {
namespace {

Batch put(const std::string& key) {
    Batch batch;
    batch.put(key, "value");
    return batch;
}

/// How many of the keys "0", "1", ... the store holds; -1 if one is missing before another that is there.
int prefix_length(const Store& store) {
    int length = 0;
    const auto cursor = store.cursor({});
    for (cursor->seek(""); cursor->valid(); cursor->next()) {
        if (cursor->key() != std::to_string(length++)) return -1;
    }
    return length;
}

TEST(MemoryStore, ForgetsAnySuffixOfTheUnflushedWritesAtACrash) {
    std::set<int> lengths;
    for (uint64_t seed = 0; seed < 200; ++seed) {
        MemoryStore store;
        for (int i = 0; i < 3; ++i) ASSERT_TRUE(store.write(put(std::to_string(i))));
        ASSERT_TRUE(store.flush());
        for (int i = 3; i < 7; ++i) ASSERT_TRUE(store.write(put(std::to_string(i))));
        store.crash(seed);
        lengths.insert(prefix_length(store));
    }
    EXPECT_EQ(lengths, (std::set<int>{3, 4, 5, 6, 7}));
}

TEST(MemoryStore, CrashesTheSameWayForTheSameSeed) {
    MemoryStore a;
    MemoryStore b;
    for (int i = 0; i < 9; ++i) {
        ASSERT_TRUE(a.write(put(std::to_string(i))));
        ASSERT_TRUE(b.write(put(std::to_string(i))));
    }
    a.crash(7);
    b.crash(7);
    EXPECT_EQ(prefix_length(a), prefix_length(b));
}

TEST(MemoryStore, KeepsViewsThroughACrash) {
    int losses = 0;
    for (uint64_t seed = 0; seed < 20; ++seed) {
        MemoryStore store;
        ASSERT_TRUE(store.write(put("0")));
        const auto view = store.view();
        store.crash(seed);
        losses += !store.get("0").value().has_value();
        EXPECT_EQ(view->get("0").value(), "value");
    }
    EXPECT_GT(losses, 0);
}

TEST(MemoryStore, FlushesByItselfWhenItsBufferIsFull) {
    MemoryStore store({.write_buffer_bytes = 1000});
    for (int i = 0; i < 1000; ++i) ASSERT_TRUE(store.write(put(std::to_string(i))));
    EXPECT_LT(store.usage().unflushed_bytes, 1000u);
    for (uint64_t seed = 0; seed < 50; ++seed) store.crash(seed);
    EXPECT_TRUE(store.get("900").value().has_value());
}

TEST(MemoryStore, RefusesWritesWhenStalledAndLeavesNothingBehind) {
    MemoryStore store;
    store.refuse_writes(Code::Overloaded);
    EXPECT_EQ(store.write(put("0")).error().code, Code::Overloaded);
    EXPECT_EQ(prefix_length(store), 0);
    store.refuse_writes(std::nullopt);
    EXPECT_TRUE(store.write(put("0")));
}

TEST(MemoryStore, GoesOnReadingWhenItsDiskIsFull) {
    MemoryStore store;
    ASSERT_TRUE(store.write(put("0")));
    store.refuse_writes(Code::NoSpace);
    EXPECT_EQ(store.write(put("1")).error().code, Code::NoSpace);
    EXPECT_EQ(store.flush().error().code, Code::NoSpace);
    EXPECT_EQ(store.erase({}).error().code, Code::NoSpace);
    EXPECT_EQ(prefix_length(store), 1);
}

// A disk that fills up while a snapshot comes in must not leave half of it unnoticed.
TEST(MemoryStore, RemembersAnImportThatRanOutOfSpace) {
    MemoryStore store;
    store.refuse_writes(Code::NoSpace);
    const auto nothing = []() -> Result<std::string> { return std::string(); };
    EXPECT_EQ(store.import_range({"a", "b"}, nothing).error().code, Code::NoSpace);
    store.refuse_writes(std::nullopt);
    store.crash(1);
    EXPECT_TRUE(store.import_interrupted());
}

TEST(MemoryStore, StallsInTheShareAskedFor) {
    MemoryStore store;
    store.stall_at_random(1, 300);
    int stalls = 0;
    for (int i = 0; i < 1000; ++i) stalls += !store.write(put("0")).has_value();
    EXPECT_GT(stalls, 200);
    EXPECT_LT(stalls, 400);
}

}  // namespace
}  // namespace polis::storage
