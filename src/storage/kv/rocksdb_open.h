// How RocksDB is set up and how its answers are told: options and status codes. Included by rocksdb_store.cc only.
#pragma once

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/slice_transform.h>

#include <atomic>
#include <memory>
#include <string>

#include "base/result.h"
#include "storage/kv/store.h"

namespace polis::storage {

/// Where RocksDB begins the search for the place of a new key in a memtable: beside the last one with the same first octet (a model's
/// table), which makes insertions in key order cheap.
///
/// Release 7.8.3 keeps one hint for keys and for range removals alike, though these lie in a list of their own: while a batch with a
/// range removal is written, hints must be suspended.
class InsertHints final : public rocksdb::SliceTransform {
public:
    const char* Name() const override { return "polis.InsertHints"; }
    rocksdb::Slice Transform(const rocksdb::Slice& key) const override { return {key.data(), 1}; }
    bool InDomain(const rocksdb::Slice& key) const override {
        return !key.empty() && !suspended_.load(std::memory_order_relaxed);
    }

    /// REQUIRES: no write is under way.
    void suspend(bool suspended) { suspended_.store(suspended, std::memory_order_relaxed); }

private:
    std::atomic<bool> suspended_ = false;
};

/// A database that is open, and its block cache (RocksDB tells the cache's use only through the cache itself).
struct OpenRocksdb {
    std::unique_ptr<rocksdb::DB> db;
    std::shared_ptr<rocksdb::Cache> block_cache;
    std::shared_ptr<InsertHints> hints;
};

/// Opens or makes the database in the directory `path`. Errors: Corrupt, NoSpace, Io.
Result<OpenRocksdb> open_rocksdb(const std::string& path, const StoreOptions& options);

/// Nothing if `status` is good, else the error that a caller can act on. `what` was being done.
Result<void> result_of(const rocksdb::Status& status, const char* what);

}  // namespace polis::storage
