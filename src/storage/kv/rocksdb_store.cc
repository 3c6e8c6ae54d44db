// The Store over RocksDB: without its write-ahead log, since the replicated log is ours, and with few of its features.
#include <rocksdb/convenience.h>
#include <rocksdb/experimental.h>
#include <rocksdb/snapshot.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <mutex>
#include <set>
#include <string>
#include <utility>

#include "base/ensure.h"
#include "storage/kv/gathered.h"
#include "storage/kv/import_marks.h"
#include "storage/kv/rocksdb_open.h"
#include "storage/kv/store.h"
#include "storage/kv/transfer.h"

namespace polis::storage {
namespace {

rocksdb::Slice slice_of(std::string_view octets) { return {octets.data(), octets.size()}; }
std::string_view view_of(const rocksdb::Slice& slice) { return {slice.data(), slice.size()}; }

Result<std::optional<std::string>> get_from(rocksdb::DB& db, const rocksdb::ReadOptions& options,
                                            std::string_view key) {
    std::string value;
    const rocksdb::Status status = db.Get(options, db.DefaultColumnFamily(), slice_of(key), &value);
    if (status.IsNotFound()) return std::optional<std::string>();
    TRY(result_of(status, "reading a key"));
    return std::optional<std::string>(std::move(value));
}

class RocksdbCursor final : public Cursor {
public:
    RocksdbCursor(rocksdb::DB& db, rocksdb::ReadOptions options, KeyRange range)
        : range_(std::move(range)), first_(slice_of(range_.first)), last_(slice_of(range_.last)) {
        if (!first_.empty()) options.iterate_lower_bound = &first_;
        if (!last_.empty()) options.iterate_upper_bound = &last_;
        if (!range_.empty()) at_.reset(db.NewIterator(options));
    }
    RocksdbCursor(const RocksdbCursor&) = delete;
    RocksdbCursor& operator=(const RocksdbCursor&) = delete;

    void seek(std::string_view key) override {
        if (!at_) return;
        if (key <= range_.first) return at_->SeekToFirst();
        at_->Seek(slice_of(key));
    }

    void seek_before(std::string_view key) override {
        if (!at_) return;
        if (key.empty() || (!last_.empty() && key >= range_.last)) return at_->SeekToLast();
        at_->SeekForPrev(slice_of(key));  // To the last key <= `key`.
        if (at_->Valid() && at_->key() == slice_of(key)) at_->Prev();
    }

    bool valid() const override { return at_ && at_->Valid(); }

    void next() override {
        ENSURE(valid());
        at_->Next();
    }

    void previous() override {
        ENSURE(valid());
        at_->Prev();
    }

    std::string_view key() const override {
        ENSURE(valid());
        return view_of(at_->key());
    }

    std::string_view value() const override {
        ENSURE(valid());
        return view_of(at_->value());
    }

    Result<void> status() const override { return at_ ? result_of(at_->status(), "scanning keys") : Result<void>(); }

private:
    const KeyRange range_;
    const rocksdb::Slice first_;  // Into range_; the iterator keeps pointers to both.
    const rocksdb::Slice last_;
    std::unique_ptr<rocksdb::Iterator> at_;  // Null for an empty range, which RocksDB's bounds cannot say.
};

class RocksdbView final : public View {
public:
    explicit RocksdbView(rocksdb::DB& db) : db_(db), snapshot_(&db) { options_.snapshot = snapshot_.snapshot(); }

    Result<std::optional<std::string>> get(std::string_view key) const override { return get_from(db_, options_, key); }

    std::unique_ptr<Cursor> cursor(const KeyRange& range) const override {
        return std::make_unique<RocksdbCursor>(db_, options_, range);
    }

private:
    rocksdb::DB& db_;
    rocksdb::ManagedSnapshot snapshot_;
    rocksdb::ReadOptions options_;
};

/// Turns a Batch into RocksDB's encoding.
///
/// A range removal costs every later read until compaction has met it, so a small one becomes removals of its keys.
/// That needs to know which keys there are: those in the database, and those put earlier in the same batch.
class BatchEncoder {
public:
    BatchEncoder(rocksdb::DB& db, const Batch& batch)
        : db_(db), encoded_(batch.bytes() + 16), remembers_puts_(batch.range_removals() > 0) {}

    Result<void> encode(const Batch& batch) {
        Result<void> result;
        batch.for_each([&](Batch::Kind kind, std::string_view key, std::string_view value) {
            if (result) result = encode(kind, key, value);
        });
        return result;
    }

    rocksdb::WriteBatch& encoded() { return encoded_; }

private:
    static constexpr size_t single_removals_max = 64;

    Result<void> encode(Batch::Kind kind, std::string_view key, std::string_view value) {
        switch (kind) {
            case Batch::Kind::Put:
                if (remembers_puts_) puts_.insert(key);
                return result_of(encoded_.Put(slice_of(key), slice_of(value)), "gathering a put");
            case Batch::Kind::Remove: return result_of(encoded_.Delete(slice_of(key)), "gathering a removal");
            case Batch::Kind::RemoveRange: return remove_range({std::string(key), std::string(value)});
        }
        return {};
    }

    Result<void> remove_range(const KeyRange& range) {
        const auto put = puts_.lower_bound(range.first);
        for (auto at = put; at != puts_.end() && range.contains(*at); ++at) {
            TRY(result_of(encoded_.Delete(slice_of(*at)), "gathering a removal"));
        }
        std::vector<std::string> keys;
        RocksdbCursor cursor(db_, rocksdb::ReadOptions(), range);
        for (cursor.seek(""); cursor.valid() && keys.size() < single_removals_max; cursor.next()) {
            keys.emplace_back(cursor.key());
        }
        if (cursor.valid()) {
            LET(const std::string last, end_of(range, cursor));
            return result_of(encoded_.DeleteRange(slice_of(range.first), slice_of(last)), "gathering a range removal");
        }
        TRY(cursor.status());
        for (const std::string& key : keys) {
            TRY(result_of(encoded_.Delete(slice_of(key)), "gathering a removal"));
        }
        return {};
    }

    /// The range's end, made up if it has none: RocksDB knows no "to the end".
    static Result<std::string> end_of(const KeyRange& range, Cursor& cursor) {
        if (!range.last.empty()) return range.last;
        cursor.seek_before("");
        TRY(cursor.status());
        ENSURE(cursor.valid());
        std::string last(cursor.key());
        last.push_back('\0');
        return last;
    }

    rocksdb::DB& db_;
    rocksdb::WriteBatch encoded_;
    const bool remembers_puts_;
    std::set<std::string_view> puts_;  // Keys put so far; views into the batch.
};

/// Small batches are gathered and handed to RocksDB together, sorted: an insertion beside the last one costs a fraction of one
/// anywhere, and rows that every batch writes anew (a position, a total) are inserted once. A read of any kind hands over first.
class RocksdbStore final : public Store {
public:
    RocksdbStore(OpenRocksdb open, ImportMarks marks)
        : open_(std::move(open)), db_(*open_.db), marks_(std::move(marks)) {}
    ~RocksdbStore() override { (void)hand_over_patiently(); }  // What stays behind is a lost suffix, as after a crash.

    Result<std::optional<std::string>> get(std::string_view key) const override {
        const std::shared_ptr<const View> patched = patched_unless_handed_over();
        return patched ? patched->get(key) : get_from(db_, rocksdb::ReadOptions(), key);
    }

    std::unique_ptr<Cursor> cursor(const KeyRange& range) const override {
        std::shared_ptr<const View> patched = patched_unless_handed_over();
        if (patched) return cursor_keeping(std::move(patched), range);
        return std::make_unique<RocksdbCursor>(db_, rocksdb::ReadOptions(), range);
    }

    std::shared_ptr<const View> view() const override {
        std::shared_ptr<const View> patched = patched_unless_handed_over();
        return patched ? patched : std::make_shared<RocksdbView>(db_);
    }

    Result<void> write(const Batch& batch) override {
        const std::lock_guard lock(gathered_mutex_);
        const bool is_large = batch.bytes() > gathered_bytes_max / 2;
        if (is_large || batch.range_removals() > 0) {
            TRY(hand_over());
            return write_through(batch);
        }
        if (gathered_.bytes() + batch.bytes() > gathered_bytes_max) TRY(hand_over());
        gathered_.append(batch);
        patched_.reset();
        return {};
    }

    Result<void> flush() override {
        TRY(hand_over_patiently());
        rocksdb::FlushOptions options;
        options.wait = true;
        options.allow_write_stall =
            true;  // Else a flush would wait for ever behind steady writes; those see Overloaded.
        return result_of(db_.Flush(options), "flushing the store");
    }

    Result<void> export_range(const KeyRange& range, size_t chunk_bytes, const ChunkSink& sink) const override {
        TRY(hand_over_patiently());
        RocksdbCursor pairs(db_, bulk_read_options(), range);
        return export_pairs(pairs, chunk_bytes, sink);
    }

    Result<void> import_range(const KeyRange& range, const ChunkSource& source) override {
        {
            const std::lock_guard lock(marks_mutex_);
            TRY(marks_.add(range));
        }
        TRY(remove_durably(range));
        TRY(import_pairs(range, source, [this](const Batch& batch) { return write_waiting(batch); }));
        TRY(flush());
        const std::lock_guard lock(marks_mutex_);
        return marks_.remove_covered_by(range);
    }

    std::vector<KeyRange> interrupted_imports() const override {
        const std::lock_guard lock(marks_mutex_);
        return marks_.ranges();
    }

    Result<uint64_t> hash(const KeyRange& range) const override {
        TRY(hand_over_patiently());
        RocksdbCursor pairs(db_, bulk_read_options(), range);
        return hash_pairs(pairs);
    }

    Result<void> erase(const KeyRange& range) override {
        TRY(remove_durably(range));
        const std::lock_guard lock(marks_mutex_);
        return marks_.remove_covered_by(range);
    }

    Usage usage() const override {
        return {.disk_bytes = property(rocksdb::DB::Properties::kTotalSstFilesSize),
                .live_bytes = property(rocksdb::DB::Properties::kEstimateLiveDataSize),
                .memory_bytes = property(rocksdb::DB::Properties::kSizeAllMemTables) + open_.block_cache->GetUsage() +
                                property(rocksdb::DB::Properties::kEstimateTableReadersMem),
                .unflushed_bytes = unflushed_bytes()};
    }

private:
    static constexpr size_t gathered_bytes_max = 256u << 10;  // Handing over so much takes well below a millisecond.

    /// For reads of everything: they neither push hot blocks out of the cache nor wait for each block of the disk.
    static rocksdb::ReadOptions bulk_read_options() {
        rocksdb::ReadOptions options;
        options.fill_cache = false;
        options.readahead_size = 256u << 10;
        return options;
    }

    Result<void> write_through(const Batch& batch) const {
        if (batch.empty()) return {};
        BatchEncoder encoder(db_, batch);
        TRY(encoder.encode(batch));
        open_.hints->suspend(encoder.encoded().HasDeleteRange());
        Result<void> written = write_encoded(encoder.encoded());
        open_.hints->suspend(false);
        return written;
    }

    Result<void> write_encoded(rocksdb::WriteBatch& encoded) const {
        rocksdb::WriteOptions options;
        options.disableWAL = true;
        options.no_slowdown = true;
        return result_of(db_.Write(options, &encoded), "writing to the store");
    }

    /// REQUIRES: gathered_mutex_ is held.
    Result<void> hand_over() const {
        if (gathered_.empty()) return {};
        rocksdb::WriteBatch encoded(gathered_.bytes() + 16);
        for (const KeyChange& change : final_changes(gathered_)) {
            const rocksdb::Slice key = slice_of(change.key);
            TRY(result_of(change.removed ? encoded.Delete(key) : encoded.Put(key, slice_of(change.value)),
                          "gathering changes"));
        }
        TRY(write_encoded(encoded));
        gathered_.clear();
        patched_.reset();
        return {};
    }

    /// Null if RocksDB has everything; else, because it takes no writes right now, what it would show if it had.
    std::shared_ptr<const View> patched_unless_handed_over() const {
        const std::lock_guard lock(gathered_mutex_);
        if (hand_over()) return nullptr;
        if (!patched_) patched_ = std::make_shared<PatchedView>(std::make_shared<RocksdbView>(db_), gathered_);
        return patched_;
    }

    /// For calls that may block: waits for as long as RocksDB is behind, without keeping others from writing.
    Result<void> hand_over_patiently() const {
        return patiently([this] {
            const std::lock_guard lock(gathered_mutex_);
            return hand_over();
        });
    }
    Result<void> write_waiting(const Batch& batch) {
        return patiently([this, &batch] { return write(batch); });
    }
    template <class Attempt>
    Result<void> patiently(const Attempt& attempt) const {
        for (;;) {
            Result<void> done = attempt();
            if (done || done.error().code != Code::Overloaded) return done;
            TRY(wait_until_writable());
        }
    }
    /// An empty write that may wait does so for as long as RocksDB is behind.
    Result<void> wait_until_writable() const {
        rocksdb::WriteBatch nothing;
        rocksdb::WriteOptions options;
        options.disableWAL = true;
        return result_of(db_.Write(options, &nothing), "waiting for the store");
    }

    /// Removes `range` and drops what files it can.
    ///
    /// The removal is flushed before any file goes: a file that is dropped alone, with the removal lost in a crash,
    /// would bring back older versions from other files. Dropping files ignores snapshots, so it is left to
    /// compaction while a view is open; a view that is opened later shows none of it anyway.
    Result<void> remove_durably(const KeyRange& range) {
        if (range.empty()) return {};
        Batch removal;
        removal.remove_range(range);
        TRY(write_waiting(removal));
        TRY(flush());
        const rocksdb::Slice first = slice_of(range.first);
        const rocksdb::Slice last = slice_of(range.last);
        const rocksdb::Slice* end = range.last.empty() ? nullptr : &last;
        if (property(rocksdb::DB::Properties::kNumSnapshots) == 0) {
            TRY(result_of(rocksdb::DeleteFilesInRange(&db_, db_.DefaultColumnFamily(), &first, end, false),
                          "dropping files"));
        }
        // Only a hint: if it is refused, space comes back later, when compaction gets there by itself.
        rocksdb::experimental::SuggestCompactRange(&db_, &first, end).PermitUncheckedError();
        return {};
    }

    uint64_t property(const std::string& name) const {
        uint64_t value = 0;
        return db_.GetIntProperty(name, &value) ? value : 0;
    }

    uint64_t unflushed_bytes() const {
        if (const std::lock_guard lock(gathered_mutex_); !gathered_.empty()) {
            return gathered_.bytes() + property(rocksdb::DB::Properties::kCurSizeAllMemTables);
        }
        const bool nothing = property(rocksdb::DB::Properties::kNumEntriesActiveMemTable) == 0 &&
                             property(rocksdb::DB::Properties::kNumImmutableMemTable) == 0;
        return nothing ? 0 : property(rocksdb::DB::Properties::kCurSizeAllMemTables);
    }

    const OpenRocksdb open_;
    rocksdb::DB& db_;
    mutable std::mutex gathered_mutex_;
    mutable Batch gathered_;  // Written, and not in RocksDB yet. Under gathered_mutex_, as is ...
    mutable std::shared_ptr<const PatchedView> patched_;  // ... its view, made while RocksDB takes no writes.
    mutable std::mutex marks_mutex_;
    ImportMarks marks_;
};

}  // namespace

Result<std::unique_ptr<Store>> open_rocksdb_store(const std::string& path, const StoreOptions& options) {
    LET(OpenRocksdb open, open_rocksdb(path, options));
    LET(ImportMarks marks, ImportMarks::load(path));
    return std::make_unique<RocksdbStore>(std::move(open), std::move(marks));
}

}  // namespace polis::storage
