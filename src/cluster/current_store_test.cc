// CurrentStore: readers see the state in use, and a replaced store stays open exactly as long as somebody reads it.
#include "cluster/current_store.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "storage/kv/memory_store.h"

namespace polis::cluster {
namespace {

std::shared_ptr<storage::Store> store_with(std::string_view value) {
    auto store = std::make_shared<storage::MemoryStore>();
    storage::Batch batch;
    batch.put("k", value);
    EXPECT_TRUE(store->write(batch).has_value());
    return store;
}

TEST(CurrentStore, ReadsTheStoreInUse) {
    CurrentStore current(store_with("old"));
    const storage::Store& reader = current;
    EXPECT_EQ(reader.get("k").value(), "old");
    current.replace(store_with("new"));
    EXPECT_EQ(reader.get("k").value(), "new");
    const auto cursor = reader.cursor({});
    cursor->seek("");
    EXPECT_EQ(cursor->value(), "new");
    EXPECT_EQ(reader.view()->get("k").value(), "new");
}

TEST(CurrentStore, AViewKeepsItsStoreOpenAndTheLastOneClosesIt) {
    CurrentStore current(store_with("old"));
    std::weak_ptr<storage::Store> old = current.in_use();
    auto view = current.view();
    auto second = view;
    auto cursor = view->cursor({});
    current.replace(store_with("new"));
    EXPECT_EQ(view->get("k").value(), "old");
    cursor->seek("");
    EXPECT_EQ(cursor->value(), "old");
    cursor.reset();
    view.reset();
    EXPECT_FALSE(old.expired());
    second.reset();
    EXPECT_TRUE(old.expired());
}

TEST(CurrentStore, ACursorKeepsItsStoreOpen) {
    CurrentStore current(store_with("old"));
    std::weak_ptr<storage::Store> old = current.in_use();
    auto cursor = current.cursor({});
    current.replace(store_with("new"));
    cursor->seek("");
    EXPECT_EQ(cursor->value(), "old");
    cursor.reset();
    EXPECT_TRUE(old.expired());
}

TEST(CurrentStore, WithoutReadersAReplacedStoreClosesAtOnce) {
    CurrentStore current(store_with("old"));
    std::weak_ptr<storage::Store> old = current.in_use();
    current.replace(store_with("new"));
    EXPECT_TRUE(old.expired());
}

// ThreadSanitizer watches this one: nothing but the store itself brings the threads in step.
TEST(CurrentStore, IsReadByOtherThreadsWhileItIsReplaced) {
    const auto current = std::make_unique<CurrentStore>(store_with("old"));
    std::atomic<int> reads{0};
    std::atomic<bool> stopping{false};
    std::vector<std::jthread> readers;
    for (int i = 0; i < 2; ++i) {
        readers.emplace_back([&current, &reads, &stopping] {
            while (!stopping.load(std::memory_order_relaxed)) {
                EXPECT_TRUE(current->get("k").value().has_value());
                reads.fetch_add(1, std::memory_order_relaxed);
            }
        });
    }
    for (int enough = 10; enough <= 2000; enough += 10) {
        while (reads.load(std::memory_order_relaxed) < enough) std::this_thread::yield();
        current->replace(store_with("new"));
    }
    stopping.store(true, std::memory_order_relaxed);
    readers.clear();
    EXPECT_EQ(current->get("k").value(), "new");
}

}  // namespace
}  // namespace polis::cluster
