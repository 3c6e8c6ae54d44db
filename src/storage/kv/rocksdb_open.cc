#include "storage/kv/rocksdb_open.h"

#include <rocksdb/convenience.h>
#include <rocksdb/env.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/sst_file_manager.h>
#include <rocksdb/table.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

namespace polis::storage {
namespace {

bool is_built_in(rocksdb::CompressionType type) {
    const auto types = rocksdb::GetSupportedCompressions();
    return std::find(types.begin(), types.end(), type) != types.end();
}

std::shared_ptr<rocksdb::TableFactory> table_factory(std::shared_ptr<rocksdb::Cache> block_cache) {
    rocksdb::BlockBasedTableOptions table;
    table.block_cache = std::move(block_cache);
    // Indexes and filters live in the cache too, so that memory has one bound whatever the size of the data.
    table.cache_index_and_filter_blocks = true;
    table.cache_index_and_filter_blocks_with_high_priority = true;
    table.pin_l0_filter_and_index_blocks_in_cache = true;
    table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
    table.whole_key_filtering = true;
    table.block_size = 4096;
    table.format_version = 5;
    return std::shared_ptr<rocksdb::TableFactory>(rocksdb::NewBlockBasedTableFactory(table));
}

rocksdb::Options rocksdb_options(const StoreOptions& wanted, std::shared_ptr<rocksdb::Cache> block_cache,
                                 std::shared_ptr<InsertHints> hints) {
    rocksdb::Options options;
    options.create_if_missing = true;

    options.write_buffer_size = wanted.write_buffer_bytes;
    options.max_write_buffer_number =
        2;  // With more, 7.8 before .2 could reorder a retried flush; two bound the memory.
    // Small arena blocks: what a memtable touches beyond its content is at most one of them.
    options.arena_block_size = 64u << 10;
    // Most point reads of models are of keys that the memtable does not hold: the bloom filter spares the list search.
    options.memtable_prefix_bloom_size_ratio = 0.02;
    options.memtable_whole_key_filtering = true;

    // The store hands over sorted batches.
    options.memtable_insert_with_hint_prefix_extractor = std::move(hints);

    options.table_factory = table_factory(std::move(block_cache));
    options.compression = is_built_in(rocksdb::kLZ4Compression) ? rocksdb::kLZ4Compression : rocksdb::kNoCompression;
    // What a flush writes is read once, soon, by the compaction that takes it further down.
    options.compression_per_level = {rocksdb::kNoCompression, options.compression};
    options.level_compaction_dynamic_level_bytes = true;
    options.target_file_size_base = std::max<uint64_t>(wanted.write_buffer_bytes, 4u << 20);
    options.max_bytes_for_level_base = 4 * options.target_file_size_base;

    options.max_open_files = static_cast<int>(wanted.open_files_max);
    options.table_cache_numshardbits = 2;
    options.max_file_opening_threads = 1;
    options.skip_stats_update_on_db_open = true;
    options.max_background_jobs = static_cast<int>(std::max(1u, wanted.background_threads));
    options.max_subcompactions = 1;
    options.bytes_per_sync =
        1u << 20;  // Many small write-backs: one large one would stall the log's fdatasync beside it.
    options.stats_dump_period_sec = 0;
    options.stats_persist_period_sec = 0;

    options.info_log_level = rocksdb::WARN_LEVEL;
    options.max_log_file_size = 1u << 20;
    options.keep_log_file_num = 2;
    // Lets a database that met a full disk go on by itself once there is room again.
    options.sst_file_manager.reset(rocksdb::NewSstFileManager(rocksdb::Env::Default()));
    return options;
}

/// Makes `path` and its parents, each entry synced: RocksDB syncs only what is inside.
Result<void> make_directory(const std::filesystem::path& path) {
    std::error_code error;
    if (std::filesystem::is_directory(path, error)) return {};
    if (path.has_parent_path() && path.parent_path() != path) TRY(make_directory(path.parent_path()));
    rocksdb::Env* env = rocksdb::Env::Default();
    TRY(result_of(env->CreateDirIfMissing(path.string()), "making the store's directory"));
    std::unique_ptr<rocksdb::Directory> parent;
    const std::string parent_path = path.has_parent_path() ? path.parent_path().string() : ".";
    TRY(result_of(env->NewDirectory(parent_path, &parent), "opening the store's parent directory"));
    return result_of(parent->Fsync(), "syncing the store's parent directory");
}

}  // namespace

Result<OpenRocksdb> open_rocksdb(const std::string& path, const StoreOptions& options) {
    TRY(make_directory(path));
    OpenRocksdb open;
    rocksdb::LRUCacheOptions cache;
    cache.capacity = options.block_cache_bytes;
    cache.num_shard_bits = 2;
    open.block_cache = rocksdb::NewLRUCache(cache);
    open.hints = std::make_shared<InsertHints>();
    const rocksdb::Options tuned = rocksdb_options(options, open.block_cache, open.hints);
    rocksdb::DB* db = nullptr;
    TRY(result_of(rocksdb::DB::Open(tuned, path, &db), "opening the store"));
    open.db.reset(db);
    return open;
}

Result<void> result_of(const rocksdb::Status& status, const char* what) {
    if (status.ok()) [[likely]]
        return {};
    const std::string text = std::string(what) + ": " + status.ToString();
    if (status.IsCorruption()) return fail(Code::Corrupt, text);
    if (status.IsNoSpace() || (status.IsIOError() && status.subcode() == rocksdb::Status::kSpaceLimit))
        return fail(Code::NoSpace, text);
    if (status.IsIncomplete() || status.IsBusy() || status.IsTryAgain()) return fail(Code::Overloaded, text);
    return fail(Code::Io, text);
}

}  // namespace polis::storage
