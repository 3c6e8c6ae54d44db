// What every Store must do, run over both kinds.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "storage/kv/store.h"
#include "storage/kv/store_fixture.h"

namespace polis::storage {
namespace {

using namespace std::string_literals;
using Pairs = std::vector<std::pair<std::string, std::string>>;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

const KeyRange all{};

Pairs forward(Cursor& cursor) {
    Pairs pairs;
    for (cursor.seek(""); cursor.valid(); cursor.next()) pairs.emplace_back(cursor.key(), cursor.value());
    EXPECT_TRUE(cursor.status());
    return pairs;
}

std::vector<std::string> keys_backward(Cursor& cursor) {
    std::vector<std::string> keys;
    for (cursor.seek_before(""); cursor.valid(); cursor.previous()) keys.emplace_back(cursor.key());
    EXPECT_TRUE(cursor.status());
    return keys;
}

Pairs content(const Store& store, const KeyRange& range = all) { return forward(*store.cursor(range)); }

std::vector<std::string> keys_of(const Store& store, const KeyRange& range = all) {
    std::vector<std::string> keys;
    for (auto& [key, value] : content(store, range)) keys.push_back(key);
    return keys;
}

Batch puts(const std::vector<std::string>& keys) {
    Batch batch;
    for (const std::string& key : keys) batch.put(key, "of " + key);
    return batch;
}

Batch removal(const KeyRange& range) {
    Batch batch;
    batch.remove_range(range);
    return batch;
}

std::vector<std::string> export_chunks(const Store& store, const KeyRange& range, size_t chunk_bytes) {
    std::vector<std::string> chunks;
    EXPECT_TRUE(store.export_range(range, chunk_bytes, [&](std::string_view chunk) -> Result<void> {
        chunks.emplace_back(chunk);
        return {};
    }));
    return chunks;
}

ChunkSource source_of(std::vector<std::string> chunks) {
    return [chunks = std::move(chunks), next = size_t{0}]() mutable -> Result<std::string> {
        return next < chunks.size() ? chunks[next++] : std::string();
    };
}

std::string numbered(int number) { return "key" + std::to_string(1'000'000 + number); }

void fill(Store& store, int count) {
    Batch batch;
    for (int i = 0; i < count; ++i) batch.put(numbered(i), std::string(100, static_cast<char>('a' + i % 26)));
    ASSERT_TRUE(store.write(batch));
}

template <class Fixture>
class StoreContract : public testing::Test {
protected:
    Store& store() { return fixture_.store(); }
    void write(const Batch& batch) { ASSERT_TRUE(store().write(batch)); }

    Fixture fixture_;
};

using Fixtures = testing::Types<MemoryFixture, RocksdbFixture>;
TYPED_TEST_SUITE(StoreContract, Fixtures);

TYPED_TEST(StoreContract, FindsNothingInANewStore) {
    EXPECT_EQ(this->store().get("a").value(), std::nullopt);
    EXPECT_THAT(content(this->store()), IsEmpty());
    EXPECT_FALSE(this->store().import_interrupted());
}

TYPED_TEST(StoreContract, ReadsBackWhatWasWritten) {
    Batch batch;
    batch.put("a", "1");
    batch.put("b", "head-", "tail");
    this->write(batch);
    EXPECT_EQ(this->store().get("a").value(), "1");
    EXPECT_EQ(this->store().get("b").value(), "head-tail");
}

TYPED_TEST(StoreContract, TellsAnEmptyValueFromNone) {
    Batch batch;
    batch.put("a", "");
    this->write(batch);
    EXPECT_EQ(this->store().get("a").value(), "");
    EXPECT_EQ(this->store().get("b").value(), std::nullopt);
}

TYPED_TEST(StoreContract, LetsTheLaterChangeOfAKeyWin) {
    Batch batch;
    batch.put("a", "1");
    batch.remove("a");
    batch.put("b", "1");
    batch.put("b", "2");
    batch.remove("c");
    batch.put("c", "3");
    this->write(batch);
    EXPECT_THAT(content(this->store()), ElementsAre(Pair("b", "2"), Pair("c", "3")));
}

TYPED_TEST(StoreContract, OrdersKeysAsUnsignedOctets) {
    this->write(puts({"\xff\xff"s, "a\0b"s, "\xff"s, "a"s, "\0"s, "\x7f"s, "\x80"s, "a\0"s, ""s}));
    const std::vector<std::string> ascending = {""s,     "\0"s,   "a"s,    "a\0"s,     "a\0b"s,
                                                "\x7f"s, "\x80"s, "\xff"s, "\xff\xff"s};
    EXPECT_EQ(keys_of(this->store()), ascending);
    const auto cursor = this->store().cursor(all);
    EXPECT_EQ(keys_backward(*cursor), std::vector<std::string>(ascending.rbegin(), ascending.rend()));
}

TYPED_TEST(StoreContract, RemovesExactlyTheRange) {
    this->write(puts({"a", "b", "b\0"s, "c", "d"}));
    this->write(removal({"b", "c"}));
    EXPECT_THAT(keys_of(this->store()), ElementsAre("a", "c", "d"));
}

TYPED_TEST(StoreContract, RemovesToTheEndIfARangeHasNoLast) {
    this->write(puts({"a", "b", "\xff\xff\xff"}));
    this->write(removal({"b", ""}));
    EXPECT_THAT(keys_of(this->store()), ElementsAre("a"));
}

TYPED_TEST(StoreContract, RemovesNothingByAnEmptyRange) {
    this->write(puts({"a", "b"}));
    this->write(removal({"b", "a"}));
    this->write(removal({"a", "a"}));
    EXPECT_THAT(keys_of(this->store()), ElementsAre("a", "b"));
}

// A range removal in the middle of a batch reaches what was put before it in the batch, not what comes after.
TYPED_TEST(StoreContract, AppliesRangeRemovalsInBatchOrder) {
    this->write(puts({"a1", "z"}));
    Batch batch;
    batch.put("a2", "");
    batch.put("b", "");
    batch.remove_range({"a", "b"});
    batch.put("a3", "");
    batch.remove_range({"y", ""});
    batch.put("zz", "");
    this->write(batch);
    EXPECT_THAT(keys_of(this->store()), ElementsAre("a3", "b", "zz"));
}

TYPED_TEST(StoreContract, RemovesLargeRanges) {
    fill(this->store(), 1000);
    Batch batch;
    batch.put(numbered(500) + "x", "");
    batch.remove_range({numbered(10), numbered(990)});
    batch.put(numbered(501), "again");
    this->write(batch);
    EXPECT_EQ(content(this->store()).size(), 21u);
    EXPECT_EQ(this->store().get(numbered(501)).value(), "again");
    this->write(removal({numbered(5), ""}));
    EXPECT_EQ(content(this->store()).size(), 5u);
}

TYPED_TEST(StoreContract, MovesACursorBothWays) {
    this->write(puts({"b", "d", "f"}));
    const auto cursor = this->store().cursor(all);
    EXPECT_FALSE(cursor->valid());
    cursor->seek("c");
    EXPECT_EQ(cursor->key(), "d");
    EXPECT_EQ(cursor->value(), "of d");
    cursor->previous();
    EXPECT_EQ(cursor->key(), "b");
    cursor->next();
    cursor->next();
    EXPECT_EQ(cursor->key(), "f");
    cursor->next();
    EXPECT_FALSE(cursor->valid());
}

TYPED_TEST(StoreContract, SeeksBeforeAKey) {
    this->write(puts({"b", "d", "f"}));
    const auto cursor = this->store().cursor(all);
    cursor->seek_before("d");
    EXPECT_EQ(cursor->key(), "b");
    cursor->seek_before("e");
    EXPECT_EQ(cursor->key(), "d");
    cursor->seek_before("b");
    EXPECT_FALSE(cursor->valid());
    cursor->seek_before("");
    EXPECT_EQ(cursor->key(), "f");
    cursor->previous();
    cursor->previous();
    EXPECT_EQ(cursor->key(), "b");
    cursor->previous();
    EXPECT_FALSE(cursor->valid());
}

TYPED_TEST(StoreContract, KeepsACursorInItsRange) {
    this->write(puts({"a", "b", "c", "d", "e"}));
    const auto cursor = this->store().cursor({"b", "d"});
    EXPECT_THAT(forward(*cursor), ElementsAre(Pair("b", "of b"), Pair("c", "of c")));
    EXPECT_THAT(keys_backward(*cursor), ElementsAre("c", "b"));
    cursor->seek("a");
    EXPECT_EQ(cursor->key(), "b");
    cursor->seek("d");
    EXPECT_FALSE(cursor->valid());
    cursor->seek_before("z");
    EXPECT_EQ(cursor->key(), "c");
    cursor->seek_before("b");
    EXPECT_FALSE(cursor->valid());
    cursor->seek_before("a");
    EXPECT_FALSE(cursor->valid());
}

TYPED_TEST(StoreContract, ShowsNothingInAnEmptyRange) {
    this->write(puts({"a", "b", "c"}));
    for (const KeyRange& range : {KeyRange{"b", "b"}, KeyRange{"c", "a"}}) {
        const auto cursor = this->store().cursor(range);
        EXPECT_THAT(forward(*cursor), IsEmpty());
        EXPECT_THAT(keys_backward(*cursor), IsEmpty());
    }
}

TYPED_TEST(StoreContract, KeepsViewsAndCursorsAsTheyWere) {
    this->write(puts({"a", "b", "c"}));
    const auto view = this->store().view();
    const auto cursor = this->store().cursor(all);
    Batch batch;
    batch.put("a", "changed");
    batch.remove("b");
    batch.put("d", "");
    this->write(batch);
    EXPECT_TRUE(this->store().flush());
    EXPECT_TRUE(this->store().erase({"c", ""}));

    const auto as_it_was = ElementsAre(Pair("a", "of a"), Pair("b", "of b"), Pair("c", "of c"));
    EXPECT_THAT(forward(*view->cursor(all)), as_it_was);
    EXPECT_THAT(forward(*cursor), as_it_was);
    EXPECT_EQ(view->get("b").value(), "of b");
    EXPECT_EQ(view->get("d").value(), std::nullopt);
    EXPECT_THAT(content(this->store()), ElementsAre(Pair("a", "changed")));
}

// Whole files can be dropped at an erase; not while a view may still need them.
TYPED_TEST(StoreContract, KeepsAViewThroughAnEraseOfFlushedData) {
    fill(this->store(), 5000);
    ASSERT_TRUE(this->store().flush());
    const auto view = this->store().view();
    ASSERT_TRUE(this->store().erase(all));
    EXPECT_THAT(content(this->store()), IsEmpty());
    EXPECT_EQ(forward(*view->cursor(all)).size(), 5000u);
    EXPECT_TRUE(view->get(numbered(7)).value().has_value());
}

TYPED_TEST(StoreContract, KeepsEverythingAcrossACleanStop) {
    fill(this->store(), 100);
    this->fixture_.reopen();
    EXPECT_EQ(content(this->store()).size(), 100u);
}

TYPED_TEST(StoreContract, ErasesForGood) {
    fill(this->store(), 5000);
    ASSERT_TRUE(this->store().flush());
    this->write(puts({"other"}));
    ASSERT_TRUE(this->store().erase({"key", "kez"}));
    EXPECT_THAT(keys_of(this->store()), ElementsAre("other"));
    this->fixture_.reopen();
    EXPECT_THAT(keys_of(this->store()), ElementsAre("other"));
}

TYPED_TEST(StoreContract, CountsUnflushedBytes) {
    EXPECT_EQ(this->store().usage().unflushed_bytes, 0u);
    fill(this->store(), 1000);
    EXPECT_GT(this->store().usage().unflushed_bytes, 100'000u);
    ASSERT_TRUE(this->store().flush());
    EXPECT_EQ(this->store().usage().unflushed_bytes, 0u);
    EXPECT_GT(this->store().usage().disk_bytes, 0u);
}

TYPED_TEST(StoreContract, ImportsWhatWasExported) {
    fill(this->store(), 1000);
    const auto chunks = export_chunks(this->store(), {numbered(100), numbered(900)}, 4096);
    EXPECT_GT(chunks.size(), 20u);
    const Pairs exported = content(this->store(), {numbered(100), numbered(900)});

    TypeParam other;
    ASSERT_TRUE(other.store().write(puts({"before", numbered(100) + "stale", "later"})));
    ASSERT_TRUE(other.store().import_range({numbered(100), numbered(900)}, source_of(chunks)));
    EXPECT_EQ(content(other.store(), {numbered(100), numbered(900)}), exported);
    EXPECT_EQ(content(other.store()).size(), exported.size() + 2);
    EXPECT_FALSE(other.store().import_interrupted());
    other.reopen();
    EXPECT_EQ(content(other.store(), {"key", "kez"}), exported);
}

TYPED_TEST(StoreContract, ImportsAStreamHoweverCut) {
    fill(this->store(), 50);
    std::string stream;
    for (const std::string& chunk : export_chunks(this->store(), all, 1000)) stream += chunk;
    std::vector<std::string> pieces;
    for (size_t at = 0; at < stream.size(); at += 7) pieces.push_back(stream.substr(at, 7));

    TypeParam other;
    ASSERT_TRUE(other.store().import_range(all, source_of(pieces)));
    EXPECT_EQ(content(other.store()), content(this->store()));
}

TYPED_TEST(StoreContract, ImportsAnEmptyRange) {
    TypeParam other;
    ASSERT_TRUE(other.store().write(puts({"old"})));
    ASSERT_TRUE(other.store().import_range(all, source_of(export_chunks(this->store(), all, 1000))));
    EXPECT_THAT(content(other.store()), IsEmpty());
}

TYPED_TEST(StoreContract, SaysThatAnImportWasInterrupted) {
    fill(this->store(), 100);
    auto chunks = export_chunks(this->store(), all, 1000);
    const auto whole = chunks;
    chunks.resize(chunks.size() / 2);

    TypeParam other;
    EXPECT_EQ(other.store().import_range(all, source_of(chunks)).error().code, Code::Corrupt);
    EXPECT_THAT(other.store().interrupted_imports(), ElementsAre(all));
    other.reopen();
    EXPECT_TRUE(other.store().import_interrupted());
    ASSERT_TRUE(other.store().import_range(all, source_of(whole)));
    EXPECT_FALSE(other.store().import_interrupted());
    EXPECT_EQ(content(other.store()), content(this->store()));
    other.reopen();
    EXPECT_FALSE(other.store().import_interrupted());
}

// Two groups share a store: that one's import ended says nothing about the other's.
TYPED_TEST(StoreContract, ForgetsAnInterruptedImportOnlyOnceItsRangeIsReplaced) {
    const KeyRange a{"a", "b"};
    const KeyRange b{"b", "c"};
    const auto none = export_chunks(this->store(), all, 1000);
    EXPECT_FALSE(this->store().import_range(a, source_of({})));
    ASSERT_TRUE(this->store().import_range(b, source_of(none)));
    EXPECT_THAT(this->store().interrupted_imports(), ElementsAre(a));
    ASSERT_TRUE(this->store().erase({"a", "aa"}));
    EXPECT_THAT(this->store().interrupted_imports(), ElementsAre(a));
    ASSERT_TRUE(this->store().erase({"", "b"}));
    EXPECT_FALSE(this->store().import_interrupted());
}

TYPED_TEST(StoreContract, PassesOnTheErrorsOfSinkAndSource) {
    fill(this->store(), 100);
    const auto refuse = [](std::string_view) -> Result<void> { return fail(Code::Canceled, "enough"); };
    EXPECT_EQ(this->store().export_range(all, 100, refuse).error().code, Code::Canceled);
    const auto break_off = []() -> Result<std::string> { return fail(Code::Io, "gone"); };
    EXPECT_EQ(this->store().import_range(all, break_off).error().code, Code::Io);
    EXPECT_TRUE(this->store().import_interrupted());
}

TYPED_TEST(StoreContract, RefusesToImportAKeyOutsideTheRange) {
    this->write(puts({"a", "m"}));
    const auto chunks = export_chunks(this->store(), all, 1000);
    TypeParam other;
    EXPECT_EQ(other.store().import_range({"a", "b"}, source_of(chunks)).error().code, Code::Invalid);
    EXPECT_EQ(other.store().get("m").value(), std::nullopt);
}

TYPED_TEST(StoreContract, HashesPairsAndTheirOrderOnly) {
    this->write(puts({"a", "b", "c"}));
    const uint64_t hash = this->store().hash(all).value();
    TypeParam other;
    ASSERT_TRUE(other.store().write(puts({"c", "a"})));
    EXPECT_NE(other.store().hash(all).value(), hash);
    ASSERT_TRUE(other.store().flush());
    ASSERT_TRUE(other.store().write(puts({"x", "b"})));
    EXPECT_EQ(other.store().hash({"", "x"}).value(), hash);
    Batch batch;
    batch.put("b", "different");
    ASSERT_TRUE(other.store().write(batch));
    EXPECT_NE(other.store().hash({"", "x"}).value(), hash);
}

TEST(Twins, HashAndExportAlike) {
    MemoryFixture memory;
    RocksdbFixture rocksdb;
    for (Store* store : {static_cast<Store*>(&memory.store()), &rocksdb.store()}) {
        fill(*store, 1000);
        ASSERT_TRUE(store->write(removal({numbered(200), numbered(700)})));
    }
    EXPECT_EQ(memory.store().hash(all).value(), rocksdb.store().hash(all).value());
    EXPECT_EQ(export_chunks(memory.store(), all, 5000), export_chunks(rocksdb.store(), all, 5000));
}

}  // namespace
}  // namespace polis::storage
