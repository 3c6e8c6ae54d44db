// How RocksDB is set up and how its answers are told: options and status codes. Included by rocksdb_store.cc only.
#pragma once

#include <rocksdb/cache.h>
#include <rocksdb/db.h>

#include <memory>
#include <string>

#include "base/result.h"
#include "storage/kv/store.h"

namespace polis::storage {

/// A database that is open, and its block cache (RocksDB tells the cache's use only through the cache itself).
struct OpenRocksdb {
    std::unique_ptr<rocksdb::DB> db;
    std::shared_ptr<rocksdb::Cache> block_cache;
};

/// Opens or makes the database in the directory `path`. Errors: Corrupt, NoSpace, Io.
Result<OpenRocksdb> open_rocksdb(const std::string& path, const StoreOptions& options);

/// Nothing if `status` is good, else the error that a caller can act on. `what` was being done.
Result<void> result_of(const rocksdb::Status& status, const char* what);

}  // namespace polis::storage
