#include "cluster/store_shelf.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "storage/kv/memory_store.h"

namespace polis::cluster {
namespace {

class DiskShelf : public StoreShelf {
public:
    DiskShelf(runtime::World world, std::string directory, storage::StoreOptions options)
        : world_(world), directory_(std::move(directory)), options_(options) {}

    runtime::Task<std::unique_ptr<storage::Store>> open_current() override {
        CO_TRY(co_await world_.disk.make_directories(directory_));
        Result<std::string> current = co_await runtime::read_file(world_.disk, directory_ + "/CURRENT", 64);
        if (current) {
            const auto parsed = std::from_chars(current->data(), current->data() + current->size(), number_);
            if (parsed.ec != std::errc() || parsed.ptr == current->data()) {
                co_return fail(Code::Corrupt, directory_ + "/CURRENT names no store");
            }
        } else if (current.error().code == Code::NotFound) {
            CO_TRY(co_await point_to(number_));
        } else {
            co_return std::unexpected(current.error());
        }
        co_return storage::open_rocksdb_store(path_of(number_), options_);
    }

    runtime::Task<std::unique_ptr<storage::Store>> reopen_next() override {
        CO_LET(const std::vector<std::string> names, co_await world_.disk.list(directory_));
        if (std::ranges::find(names, std::to_string(number_ + 1)) == names.end()) {
            co_return std::unique_ptr<storage::Store>();
        }
        co_return storage::open_rocksdb_store(path_of(number_ + 1), options_);
    }

    runtime::Task<void> remove_unused() override {
        CO_LET(const std::vector<std::string> names, co_await world_.disk.list(directory_));
        for (const std::string& name : names) {
            if (name == "CURRENT" || name == std::to_string(number_)) continue;
            CO_TRY(co_await remove_tree(directory_ + "/" + name));
        }
        co_return runtime::done();
    }

    runtime::Task<std::unique_ptr<storage::Store>> open_next() override {
        CO_TRY(co_await remove_tree(directory_ + "/" + std::to_string(number_ + 1)));
        co_return storage::open_rocksdb_store(path_of(number_ + 1), options_);
    }

    runtime::Task<void> switch_to_next() override {
        CO_TRY(co_await point_to(number_ + 1));
        ++number_;
        co_return runtime::done();
    }

private:
    std::string path_of(uint64_t number) const {
        return world_.disk.root() + "/" + directory_ + "/" + std::to_string(number);
    }
    runtime::Task<void> point_to(uint64_t number) {
        return runtime::write_file_atomically(world_.disk, directory_ + "/CURRENT", std::to_string(number) + "\n");
    }
    // A file, a directory of files, or nothing.
    runtime::Task<void> remove_tree(std::string path) {
        const Result<std::vector<std::string>> names = co_await world_.disk.list(path);
        if (names) {
            for (const std::string& name : *names) CO_TRY(co_await remove_tree(path + "/" + name));
        }
        const Result<void> removed = co_await world_.disk.remove(path);
        if (!removed && removed.error().code != Code::NotFound) co_return removed;
        co_return runtime::done();
    }

    runtime::World world_;
    std::string directory_;
    storage::StoreOptions options_;
    uint64_t number_ = 1;
};

class MemoryShelf : public StoreShelf {
public:
    runtime::Task<std::unique_ptr<storage::Store>> open_current() override {
        co_return std::unique_ptr<storage::Store>(std::make_unique<storage::MemoryStore>());
    }
    runtime::Task<std::unique_ptr<storage::Store>> open_next() override { return open_current(); }
    runtime::Task<std::unique_ptr<storage::Store>> reopen_next() override {
        co_return std::unique_ptr<storage::Store>();
    }
    runtime::Task<void> remove_unused() override { co_return runtime::done(); }
    runtime::Task<void> switch_to_next() override { co_return runtime::done(); }
};

}  // namespace

std::unique_ptr<StoreShelf> make_disk_shelf(runtime::World world, std::string directory,
                                            storage::StoreOptions options) {
    return std::make_unique<DiskShelf>(world, std::move(directory), options);
}

std::unique_ptr<StoreShelf> make_memory_shelf() { return std::make_unique<MemoryShelf>(); }

}  // namespace polis::cluster
