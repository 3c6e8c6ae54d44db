// The shelf on a real disk: which store is in use survives, and nothing is taken for an empty state that is not.
#include "cluster/store_shelf.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include "runtime/epoll_reactor.h"
#include "runtime/posix_disk.h"
#include "runtime/system_random.h"
#include "runtime/tcp_network.h"
#include "runtime/thread_pool.h"

namespace polis::cluster {
namespace {

// Notes which directories were synced.
class NotingDisk final : public runtime::Disk {
public:
    explicit NotingDisk(Disk& disk) : disk_(disk) {}
    std::set<std::string> synced;

    runtime::Task<std::unique_ptr<runtime::File>> open(std::string path, runtime::OpenMode mode) override {
        return disk_.open(std::move(path), mode);
    }
    runtime::Task<void> make_directories(std::string path) override { return disk_.make_directories(std::move(path)); }
    runtime::Task<std::vector<std::string>> list(std::string path) override { return disk_.list(std::move(path)); }
    runtime::Task<void> rename(std::string from, std::string to) override {
        return disk_.rename(std::move(from), std::move(to));
    }
    runtime::Task<void> remove(std::string path) override { return disk_.remove(std::move(path)); }
    runtime::Task<void> sync_directory(std::string path) override {
        synced.insert(path);
        return disk_.sync_directory(std::move(path));
    }
    runtime::Task<uint64_t> free_bytes() override { return disk_.free_bytes(); }
    std::string root() const override { return disk_.root(); }

private:
    Disk& disk_;
};

class DiskShelfStory : public testing::Test {
protected:
    DiskShelfStory() {
        char path[] = "/tmp/polis-shelf-XXXXXX";
        root = ::mkdtemp(path);
        posix = runtime::PosixDisk::open_root(root, {.threads = 1, .spin_max = Duration(0)}).value();
        disk = std::make_unique<NotingDisk>(*posix);
    }
    ~DiskShelfStory() override {
        disk.reset();
        posix.reset();
        std::filesystem::remove_all(root);
    }

    std::unique_ptr<StoreShelf> shelf() {
        const runtime::World world{reactor, network, *disk, random, pool};
        return make_disk_shelf(world, "shard-0/kv/2", {.write_buffer_bytes = 1u << 20, .block_cache_bytes = 1u << 20});
    }
    template <class T>
    Result<T> run(runtime::Task<T> task) {
        return runtime::run(reactor, std::move(task));
    }
    static void put(storage::Store& store, const std::string& key) {
        storage::Batch batch;
        batch.put(key, "v");
        ASSERT_TRUE(store.write(batch));
        ASSERT_TRUE(store.flush());
    }

    std::string root;
    runtime::EpollReactor reactor;
    runtime::TcpNetwork network{reactor};
    runtime::SystemRandom random;
    runtime::ThreadPool pool;
    std::unique_ptr<runtime::PosixDisk> posix;
    std::unique_ptr<NotingDisk> disk;
};

TEST_F(DiskShelfStory, TheStoreInUseIsTheOneSwitchedTo) {
    {
        const auto first = shelf();
        const auto old = run(first->open_current()).value();
        put(*old, "old");
        const auto next = run(first->open_next()).value();
        put(*next, "new");
        ASSERT_TRUE(run(first->switch_to_next()));
    }
    const auto again = shelf();
    const auto store = run(again->open_current()).value();
    EXPECT_EQ(store->get("new").value(), "v");
    EXPECT_EQ(store->get("old").value(), std::nullopt);
}

TEST_F(DiskShelfStory, ANextStoreBeginsEmpty) {
    const auto shelves = shelf();
    const auto current = run(shelves->open_current()).value();
    put(*run(shelves->open_next()).value(), "left over");
    EXPECT_EQ(run(shelves->open_next()).value()->get("left over").value(), std::nullopt);
}

TEST_F(DiskShelfStory, TheWayToTheStoresIsDurable) {
    const auto store = run(shelf()->open_current()).value();
    for (const char* const directory : {"", "shard-0", "shard-0/kv", "shard-0/kv/2"}) {
        EXPECT_TRUE(disk->synced.contains(directory)) << directory;
    }
}

// An empty store in the place of one that was lost would vote as if it knew everything.
TEST_F(DiskShelfStory, StoresWithoutANameOfTheOneInUseAreCorrupt) {
    put(*run(shelf()->open_current()).value(), "k");
    std::filesystem::remove(root + "/shard-0/kv/2/CURRENT");
    const auto opened = run(shelf()->open_current());
    ASSERT_FALSE(opened.has_value());
    EXPECT_EQ(opened.error().code, Code::Corrupt);
}

TEST_F(DiskShelfStory, ANameThatIsNoNumberIsCorrupt) {
    put(*run(shelf()->open_current()).value(), "k");
    for (const char* const name : {"", "x", "1x", "-1", "99999999999999999999"}) {
        std::ofstream(root + "/shard-0/kv/2/CURRENT") << name;
        const auto opened = run(shelf()->open_current());
        ASSERT_FALSE(opened.has_value()) << name;
        EXPECT_EQ(opened.error().code, Code::Corrupt) << name;
    }
}

}  // namespace
}  // namespace polis::cluster
