#include "storage/kv/gathered.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <utility>

#include "base/random.h"
#include "storage/kv/memory_store.h"

namespace polis::storage {
namespace {

using testing::ElementsAre;
using testing::Pair;
using Pairs = std::vector<std::pair<std::string, std::string>>;

Pairs content(Cursor& cursor) {
    Pairs pairs;
    for (cursor.seek(""); cursor.valid(); cursor.next()) pairs.emplace_back(cursor.key(), cursor.value());
    return pairs;
}

TEST(FinalChanges, GivesTheLastChangeOfEachKeyInKeyOrder) {
    Batch batch;
    batch.put("c", "1");
    batch.put("a", "1");
    batch.put("b", "1");
    batch.put("a", "2");
    batch.remove("c");
    const std::vector<KeyChange> changes = final_changes(batch);
    ASSERT_EQ(changes.size(), 3u);
    EXPECT_EQ(changes[0].key, "a");
    EXPECT_EQ(changes[0].value, "2");
    EXPECT_EQ(changes[1].key, "b");
    EXPECT_EQ(changes[2].key, "c");
    EXPECT_TRUE(changes[2].removed);
}

TEST(FinalChanges, OfAnEmptyBatchAreNone) { EXPECT_TRUE(final_changes(Batch()).empty()); }

TEST(FinalChanges, AgreeWithAMapThatTookTheChangesInOrder) {
    Chance chance(7);
    Batch batch;
    std::map<std::string, std::optional<std::string>> model;
    for (int i = 0; i < 5000; ++i) {
        const std::string key = "k" + std::to_string(chance.below(300));
        if (chance.happens(300)) {
            batch.remove(key);
            model[key] = std::nullopt;
        } else {
            batch.put(key, std::to_string(i));
            model[key] = std::to_string(i);
        }
    }
    auto expected = model.begin();
    for (const KeyChange& change : final_changes(batch)) {
        ASSERT_NE(expected, model.end());
        EXPECT_EQ(change.key, expected->first);
        EXPECT_EQ(change.removed, !expected->second);
        if (expected->second) {
            EXPECT_EQ(change.value, *expected->second);
        }
        ++expected;
    }
    EXPECT_EQ(expected, model.end());
}

TEST(PatchedView, ShowsTheChangesOnTopOfItsBaseForEver) {
    MemoryStore store;
    Batch before;
    before.put("a", "1");
    before.put("b", "1");
    before.put("c", "1");
    ASSERT_TRUE(store.write(before));
    Batch gathered;
    gathered.put("b", "2");
    gathered.remove("c");
    gathered.put("d", "2");
    const auto view = std::make_shared<PatchedView>(store.view(), gathered);
    gathered.clear();
    Batch later;
    later.put("a", "3");
    ASSERT_TRUE(store.write(later));

    EXPECT_EQ(view->get("a").value(), "1");
    EXPECT_EQ(view->get("b").value(), "2");
    EXPECT_EQ(view->get("c").value(), std::nullopt);
    EXPECT_THAT(content(*view->cursor({})), ElementsAre(Pair("a", "1"), Pair("b", "2"), Pair("d", "2")));
}

TEST(CursorKeeping, LivesLongerThanWhoeverElseHeldItsView) {
    MemoryStore store;
    Batch gathered;
    gathered.put("a", "1");
    gathered.put("b", "2");
    auto view = std::make_shared<PatchedView>(store.view(), gathered);
    const auto cursor = cursor_keeping(std::move(view), {"a", "b"});
    EXPECT_THAT(content(*cursor), ElementsAre(Pair("a", "1")));
    cursor->seek_before("");
    ASSERT_TRUE(cursor->valid());
    EXPECT_EQ(cursor->key(), "a");
    cursor->previous();
    EXPECT_FALSE(cursor->valid());
    EXPECT_TRUE(cursor->status());
}

}  // namespace
}  // namespace polis::storage
