#include "storage/kv/overlay.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "storage/kv/memory_store.h"

namespace polis::storage {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

const KeyRange all{};

std::vector<std::string> keys(const Overlay& overlay, const KeyRange& range = all) {
    std::vector<std::string> found;
    const auto cursor = overlay.cursor(range);
    for (cursor->seek(""); cursor->valid(); cursor->next()) found.emplace_back(cursor->key());
    return found;
}

std::vector<std::string> keys_backward(const Overlay& overlay, const KeyRange& range = all) {
    std::vector<std::string> found;
    const auto cursor = overlay.cursor(range);
    for (cursor->seek_before(""); cursor->valid(); cursor->previous()) found.emplace_back(cursor->key());
    return found;
}

class OverlayTest : public testing::Test {
protected:
    OverlayTest() {
        Batch batch;
        for (const char* key : {"b", "d", "f", "h"}) batch.put(key, "stored");
        EXPECT_TRUE(store_.write(batch));
    }

    MemoryStore store_;
    Overlay overlay_{store_};
};

using Overlays = OverlayTest;

TEST_F(Overlays, ShowTheStoreWhereNothingChanged) {
    EXPECT_EQ(overlay_.get("b").value(), "stored");
    EXPECT_EQ(overlay_.get("c").value(), std::nullopt);
    EXPECT_THAT(keys(overlay_), ElementsAre("b", "d", "f", "h"));
}

TEST_F(Overlays, ShowChangesBeforeTheyAreWritten) {
    overlay_.put("a", "new");
    overlay_.put("d", "changed");
    overlay_.remove("f");
    EXPECT_EQ(overlay_.get("a").value(), "new");
    EXPECT_EQ(overlay_.get("d").value(), "changed");
    EXPECT_EQ(overlay_.get("f").value(), std::nullopt);
    EXPECT_EQ(store_.get("d").value(), "stored");
    EXPECT_THAT(keys(overlay_), ElementsAre("a", "b", "d", "h"));
    EXPECT_THAT(keys_backward(overlay_), ElementsAre("h", "d", "b", "a"));
}

TEST_F(Overlays, HideRemovedRangesButNotWhatIsPutLater) {
    overlay_.put("c", "");
    overlay_.remove_range({"b", "h"});
    overlay_.put("e", "");
    EXPECT_EQ(overlay_.get("c").value(), std::nullopt);
    EXPECT_EQ(overlay_.get("d").value(), std::nullopt);
    EXPECT_THAT(keys(overlay_), ElementsAre("e", "h"));
    EXPECT_THAT(keys_backward(overlay_), ElementsAre("h", "e"));
}

TEST_F(Overlays, HideRangesWithoutEnds) {
    overlay_.remove_range({"f", ""});
    EXPECT_THAT(keys(overlay_), ElementsAre("b", "d"));
    EXPECT_THAT(keys_backward(overlay_), ElementsAre("d", "b"));
    overlay_.remove_range({"", "d"});
    EXPECT_THAT(keys(overlay_), ElementsAre("d"));
    EXPECT_THAT(keys_backward(overlay_), ElementsAre("d"));
    overlay_.remove_range({"", ""});
    EXPECT_THAT(keys(overlay_), IsEmpty());
    EXPECT_THAT(keys_backward(overlay_), IsEmpty());
}

TEST_F(Overlays, KeepACursorInItsRange) {
    overlay_.put("a", "");
    overlay_.put("c", "");
    overlay_.put("g", "");
    EXPECT_THAT(keys(overlay_, {"b", "g"}), ElementsAre("b", "c", "d", "f"));
    EXPECT_THAT(keys_backward(overlay_, {"b", "g"}), ElementsAre("f", "d", "c", "b"));
    EXPECT_THAT(keys(overlay_, {"g", "b"}), IsEmpty());
    EXPECT_THAT(keys_backward(overlay_, {"c", "c"}), IsEmpty());
}

TEST_F(Overlays, TurnACursorAround) {
    overlay_.put("c", "");
    overlay_.remove("f");
    const auto cursor = overlay_.cursor(all);
    cursor->seek("c");
    cursor->next();
    EXPECT_EQ(cursor->key(), "d");
    cursor->previous();
    EXPECT_EQ(cursor->key(), "c");
    cursor->previous();
    EXPECT_EQ(cursor->key(), "b");
    cursor->next();
    cursor->next();
    cursor->next();
    EXPECT_EQ(cursor->key(), "h");
}

TEST_F(Overlays, AreEmptyAgainOnceWrittenAndCleared) {
    overlay_.put("a", "new");
    overlay_.remove_range({"d", ""});
    ASSERT_TRUE(store_.write(overlay_.batch()));
    overlay_.clear();
    EXPECT_TRUE(overlay_.empty());
    EXPECT_THAT(keys(overlay_), ElementsAre("a", "b"));
    EXPECT_EQ(overlay_.get("a").value(), "new");
}

TEST_F(Overlays, LeaveTheStoreAsTheyShowedIt) {
    overlay_.put("a", "1");
    overlay_.remove_range({"a", "e"});
    overlay_.put("c", "2");
    overlay_.remove("h");
    const auto before = keys(overlay_);
    ASSERT_TRUE(store_.write(overlay_.batch()));
    overlay_.clear();
    EXPECT_EQ(keys(overlay_), before);
}

}  // namespace
}  // namespace polis::storage
