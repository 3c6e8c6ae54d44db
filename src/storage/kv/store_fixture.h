// Makes either kind of store for tests: a directory that goes away, and the stores that live in it.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <memory>
#include <string>

#include "base/ensure.h"
#include "storage/kv/memory_store.h"
#include "storage/kv/store.h"

namespace polis::storage {

/// An empty directory of its own, removed with all that is in it.
class ScratchDirectory {
public:
    ScratchDirectory() {
        std::string name = (std::filesystem::temp_directory_path() / "polis-kv-XXXXXX").string();
        ENSURE(mkdtemp(name.data()) != nullptr);
        path_ = name;
    }
    ScratchDirectory(const ScratchDirectory&) = delete;
    ScratchDirectory& operator=(const ScratchDirectory&) = delete;
    ~ScratchDirectory() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }

    std::string path() const { return path_.string(); }

private:
    std::filesystem::path path_;
};

/// A RocksDB store in a scratch directory. `reopen` closes and opens it.
class RocksdbFixture {
public:
    RocksdbFixture() { open(); }

    Store& store() { return *store_; }
    std::string path() const { return directory_.path() + "/kv"; }

    void reopen() {
        store_.reset();
        open();
    }

private:
    void open() {
        auto opened = open_rocksdb_store(path(), {.write_buffer_bytes = 1u << 20, .block_cache_bytes = 1u << 20});
        if (!opened) ADD_FAILURE() << opened.error().what;
        store_ = std::move(opened).value();
    }

    ScratchDirectory directory_;
    std::unique_ptr<Store> store_;
};

/// A MemoryStore. What is in memory cannot be closed, so `reopen` is a clean stop: all is flushed.
class MemoryFixture {
public:
    MemoryStore& store() { return *store_; }

    void reopen() {
        EXPECT_TRUE(store_->flush());
        store_->crash(0);
    }

private:
    std::unique_ptr<MemoryStore> store_ = make_memory_store();
};

}  // namespace polis::storage
