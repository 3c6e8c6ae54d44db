#include "cluster/store_shelf.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/ensure.h"
#include "base/log.h"
#include "runtime/durable_directories.h"
#include "runtime/wait.h"
#include "storage/kv/memory_store.h"

namespace polis::cluster {
namespace {

class DiskShelf : public StoreShelf {
public:
    DiskShelf(runtime::World world, std::string directory, storage::StoreOptions options)
        : world_(world), directory_(std::move(directory)), options_(options) {}

    runtime::Task<std::unique_ptr<storage::Store>> open_current() override {
        CO_TRY(co_await runtime::make_directories_durably(world_.disk, directory_));
        Result<std::string> current = co_await runtime::read_file(world_.disk, directory_ + "/CURRENT", 64);
        if (current) {
            if (current->ends_with('\n')) current->pop_back();
            const char* const end = current->data() + current->size();
            const auto parsed = std::from_chars(current->data(), end, number_);
            if (parsed.ec != std::errc() || parsed.ptr != end) {
                co_return fail(Code::Corrupt, directory_ + "/CURRENT names no store");
            }
        } else if (current.error().code == Code::NotFound) {
            CO_TRY(co_await expect_no_store());
            CO_TRY(co_await point_to(number_));
        } else {
            co_return std::unexpected(current.error());
        }
        co_return co_await open_store(number_);
    }

    runtime::Task<std::unique_ptr<storage::Store>> reopen_next() override {
        CO_LET(const std::vector<std::string> names, co_await world_.disk.list(directory_));
        if (std::ranges::find(names, std::to_string(number_ + 1)) == names.end()) {
            co_return std::unique_ptr<storage::Store>();
        }
        co_return co_await open_store(number_ + 1);
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
        co_return co_await open_store(number_ + 1);
    }

    runtime::Task<void> switch_to_next() override {
        const Result<void> pointed = co_await point_to(number_ + 1);
        // Refused for want of room, the name is as it was. Otherwise nobody knows which store a restart would open: it must be now,
        // before the one that is not named goes on or the one that is named is removed.
        const bool unchanged =
            !pointed && (pointed.error().code == Code::NoSpace || pointed.error().code == Code::Canceled);
        if (unchanged) co_return pointed;
        if (!pointed) log::error("store_switch_failed", {"path", path_of(number_ + 1)}, {"why", pointed.error().what});
        ENSURE(pointed.has_value());
        ++number_;
        co_return runtime::done();
    }

private:
    std::string path_of(uint64_t number) const {
        return world_.disk.root() + "/" + directory_ + "/" + std::to_string(number);
    }
    // Opening one reads its log and may take its time: not the reactor's.
    runtime::Task<std::unique_ptr<storage::Store>> open_store(uint64_t number) {
        const auto opened = std::make_shared<Result<std::unique_ptr<storage::Store>>>();
        runtime::Scope unbroken;  // The pool writes there, whoever is in a hurry.
        runtime::Task<void> open = world_.pool.run([opened, path = path_of(number), options = options_] {
            *opened = storage::open_rocksdb_store(path, options);
        });
        CO_TRY(co_await runtime::in_scope(unbroken, std::move(open)));
        co_return std::move(*opened);
    }
    // CURRENT is written before the first store: one without it was in use, and nobody knows which.
    runtime::Task<void> expect_no_store() {
        CO_LET(const std::vector<std::string> names, co_await world_.disk.list(directory_));
        for (const std::string& name : names) {
            if (name.find_first_not_of("0123456789") != std::string::npos) continue;
            co_return fail(Code::Corrupt, directory_ + " holds store " + name +
                                              " but no file CURRENT; remove this member from the cluster, wipe its "
                                              "directory and add it again");
        }
        co_return runtime::done();
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
