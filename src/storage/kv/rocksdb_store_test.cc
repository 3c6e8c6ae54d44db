// What only a store on disk can show: killed processes, damaged files, two openings, stalls, concurrent use.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "base/random.h"
#include "storage/kv/store.h"
#include "storage/kv/store_fixture.h"

namespace polis::storage {
namespace {

const StoreOptions small{.write_buffer_bytes = 64u << 10, .block_cache_bytes = 1u << 20};

std::string numbered(int number) { return "key" + std::to_string(1'000'000 + number); }

Batch put(const std::string& key, size_t value_bytes = 100) {
    Batch batch;
    batch.put(key, std::string(value_bytes, 'v'));
    return batch;
}

/// Writes for as long as the store is behind. Other errors end the test.
void write_patiently(Store& store, const Batch& batch) {
    for (;;) {
        const auto written = store.write(batch);
        if (written) return;
        ASSERT_EQ(written.error().code, Code::Overloaded) << written.error().what;
        std::this_thread::yield();
    }
}

std::unique_ptr<Store> open_at(const std::string& path, const StoreOptions& options = small) {
    auto store = open_rocksdb_store(path, options);
    if (!store) ADD_FAILURE() << store.error().what;
    return std::move(store).value();
}

/// How many of the keys there are; -1 if one is missing before another.
int prefix_length(const Store& store) {
    int length = 0;
    const auto cursor = store.cursor({});
    for (cursor->seek(""); cursor->valid(); cursor->next()) {
        if (cursor->key() != numbered(length++)) return -1;
    }
    EXPECT_TRUE(cursor->status());
    return length;
}

/// A child process that the test starts anew from its own program, so that it has no threads of ours, and that kills
/// itself.
class KilledStore : public testing::Test {
protected:
    KilledStore() {
        GTEST_FLAG_SET(death_test_style, "threadsafe");
        // The child runs the test from its beginning: it must find the parent's directory, not make its own.
        if (const char* inherited = getenv("POLIS_TEST_DIRECTORY")) {
            path_ = inherited;
            return;
        }
        owned_ = std::make_unique<ScratchDirectory>();
        path_ = owned_->path() + "/kv";
        setenv("POLIS_TEST_DIRECTORY", path_.c_str(), 1);
    }
    ~KilledStore() override {
        if (owned_) unsetenv("POLIS_TEST_DIRECTORY");
    }

    std::unique_ptr<ScratchDirectory> owned_;
    std::string path_;
};

void write_flush_write_and_die(const std::string& path, int flushed, int unflushed) {
    const auto store = open_at(path);
    for (int i = 0; i < flushed; ++i) write_patiently(*store, put(numbered(i)));
    if (!store->flush()) _exit(1);
    for (int i = flushed; i < flushed + unflushed; ++i) write_patiently(*store, put(numbered(i)));
    raise(SIGKILL);
}

TEST_F(KilledStore, HasEverythingThatWasFlushedAndAPrefixOfTheRest) {
    EXPECT_EXIT(write_flush_write_and_die(path_, 500, 10), testing::KilledBySignal(SIGKILL), "");
    const int length = prefix_length(*open_at(path_));
    EXPECT_GE(length, 500);
    EXPECT_LE(length, 510);
}

// Memtables of 64 KiB are flushed many times meanwhile, in the background.
TEST_F(KilledStore, LosesNothingFromTheMiddle) {
    EXPECT_EXIT(write_flush_write_and_die(path_, 1, 5000), testing::KilledBySignal(SIGKILL), "");
    EXPECT_GE(prefix_length(*open_at(path_)), 1);
}

void die_in_import(const std::string& path) {
    const auto store = open_at(path);
    write_patiently(*store, put("stale"));
    if (!store->flush()) _exit(1);
    (void)store->import_range({}, []() -> Result<std::string> {
        raise(SIGKILL);
        return std::string();
    });
}

TEST_F(KilledStore, SaysThatItWasKilledDuringAnImport) {
    EXPECT_EXIT(die_in_import(path_), testing::KilledBySignal(SIGKILL), "");
    const auto store = open_at(path_);
    EXPECT_TRUE(store->import_interrupted());
    ASSERT_TRUE(store->erase({}));
    EXPECT_FALSE(store->import_interrupted());
}

void erase_and_die(const std::string& path) {
    const auto store = open_at(path);
    for (int i = 0; i < 3000; ++i) write_patiently(*store, put(numbered(i)));
    if (!store->flush()) _exit(1);
    for (int i = 0; i < 3000; ++i) write_patiently(*store, put(numbered(i), 50));
    if (!store->erase({numbered(100), ""})) _exit(1);
    raise(SIGKILL);
}

TEST_F(KilledStore, KeepsARangeErased) {
    EXPECT_EXIT(erase_and_die(path_), testing::KilledBySignal(SIGKILL), "");
    EXPECT_EQ(prefix_length(*open_at(path_)), 100);
}

TEST(RocksdbStore, RefusesToBeOpenedTwice) {
    ScratchDirectory directory;
    const auto store = open_at(directory.path());
    EXPECT_EQ(open_rocksdb_store(directory.path(), small).error().code, Code::Io);
}

TEST(RocksdbStore, MakesParentDirectories) {
    ScratchDirectory directory;
    const auto store = open_at(directory.path() + "/shard-0/group/kv");
    EXPECT_TRUE(store->write(put("a")));
}

TEST(RocksdbStore, ReportsADamagedFile) {
    ScratchDirectory directory;
    {
        const auto store = open_at(directory.path());
        for (int i = 0; i < 1000; ++i) write_patiently(*store, put(numbered(i)));
    }
    for (const auto& file : std::filesystem::directory_iterator(directory.path())) {
        if (file.path().extension() != ".sst") continue;
        std::fstream(file.path(), std::ios::in | std::ios::out | std::ios::binary).seekp(100) << "damage";
    }
    const auto store = open_at(directory.path());
    EXPECT_EQ(store->get(numbered(0)).error().code, Code::Corrupt);
    EXPECT_EQ(store->hash({}).error().code, Code::Corrupt);
    const auto cursor = store->cursor({});
    cursor->seek("");
    EXPECT_FALSE(cursor->valid());
    EXPECT_EQ(cursor->status().error().code, Code::Corrupt);
    const auto refuse_nothing = [](std::string_view) -> Result<void> { return {}; };
    EXPECT_EQ(store->export_range({}, 1000, refuse_nothing).error().code, Code::Corrupt);
}

TEST(RocksdbStore, ReportsADamagedListOfInterruptedImports) {
    ScratchDirectory directory;
    {
        const auto store = open_at(directory.path());
        EXPECT_FALSE(store->import_range({"a", "b"}, []() -> Result<std::string> { return fail(Code::Io, "gone"); }));
    }
    std::fstream(directory.path() + "/IMPORTING", std::ios::in | std::ios::out | std::ios::binary).seekp(9) << "?";
    EXPECT_EQ(open_rocksdb_store(directory.path(), small).error().code, Code::Corrupt);
}

TEST(RocksdbStore, RemembersSeveralInterruptedImports) {
    ScratchDirectory directory;
    const auto break_off = []() -> Result<std::string> { return fail(Code::Io, "gone"); };
    const std::vector<KeyRange> ranges = {{"a", "b"}, {std::string("\0x", 2), std::string("\0y", 2)}, {"c", ""}};
    {
        const auto store = open_at(directory.path());
        for (const KeyRange& range : ranges) EXPECT_FALSE(store->import_range(range, break_off));
    }
    EXPECT_EQ(open_at(directory.path())->interrupted_imports(), ranges);
}

// With tiny memtables and one background thread, a steady writer is faster than the disk: it must be told, not made
// to wait.
TEST(RocksdbStore, RefusesWritesInsteadOfStallingAndTakesThemLater) {
    ScratchDirectory directory;
    const auto store = open_at(directory.path());
    int refusals = 0;
    int written = 0;
    while (refusals < 10 && written < 200'000) {
        const auto result = store->write(put(numbered(written), 2000));
        if (result) {
            ++written;
        } else {
            ASSERT_EQ(result.error().code, Code::Overloaded);
            ++refusals;
        }
    }
    EXPECT_EQ(refusals, 10);
    write_patiently(*store, put(numbered(written++), 2000));
    EXPECT_EQ(prefix_length(*store), written);
}

TEST(RocksdbStore, ShowsAllThatWasWrittenWhileItRefusesMore) {
    ScratchDirectory directory;
    const auto store = open_at(directory.path());
    int refusals = 0;
    int written = 0;
    while (refusals < 3 && written < 200'000) {
        if (store->write(put(numbered(written), 2000))) {
            ++written;
            continue;
        }
        ++refusals;
        const auto view = store->view();
        ASSERT_EQ(prefix_length(*store), written);
        EXPECT_TRUE(store->get(numbered(written - 1)).value().has_value());
        EXPECT_TRUE(view->get(numbered(written - 1)).value().has_value());
        EXPECT_FALSE(view->get(numbered(written)).value().has_value());
        EXPECT_GT(store->usage().unflushed_bytes, 0u);
    }
    EXPECT_EQ(refusals, 3);
}

// RocksDB 7.8.3 gives range removals the insertion hint of keys, which lie in another list.
TEST(RocksdbStore, TakesRangeRemovalsBetweenInsertionsBesideEachOther) {
    ScratchDirectory directory;
    const auto store = open_at(directory.path(), {});
    for (int round = 0; round < 20; ++round) {
        Batch batch;
        for (int i = 0; i < 200; ++i) batch.put(numbered(i), "v");
        write_patiently(*store, batch);
        Batch removal;
        removal.remove_range({numbered(100), numbered(200)});
        write_patiently(*store, removal);
        ASSERT_EQ(prefix_length(*store), 100);
    }
}

TEST(RocksdbStore, KeepsWhatWasGatheredWhenItIsClosed) {
    ScratchDirectory directory;
    write_patiently(*open_at(directory.path()), put(numbered(0)));
    EXPECT_EQ(prefix_length(*open_at(directory.path())), 1);
}

TEST(RocksdbStore, IsReadByOthersWhileItIsWrittenAndFlushed) {
    ScratchDirectory directory;
    const auto store = open_at(directory.path());
    std::atomic<bool> ended = false;
    std::thread reader([&] {
        while (!ended) EXPECT_GE(prefix_length(*store), 0);
    });
    std::thread flusher([&] {
        while (!ended) EXPECT_TRUE(store->flush());
    });
    for (int i = 0; i < 2000; ++i) write_patiently(*store, put(numbered(i)));
    ended = true;
    reader.join();
    flusher.join();
    EXPECT_EQ(prefix_length(*store), 2000);
}

}  // namespace
}  // namespace polis::storage
