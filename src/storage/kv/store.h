// Store: the one ordered key-value store under every model. RocksDB in production, memory in tests and the simulator.
#pragma once

#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace polis::storage {

/// Keys are octets, compared as unsigned bytes. [first, last): `last` empty means "to the end". A range whose `last`
/// is not above its `first` is empty.
struct KeyRange {
    std::string first;
    std::string last;

    bool empty() const { return !last.empty() && last <= first; }
    bool contains(std::string_view key) const { return key >= first && (last.empty() || key < last); }
    /// Whether every key of `other` is in this one.
    bool covers(const KeyRange& other) const;
    bool overlaps(const KeyRange& other) const;
    friend bool operator==(const KeyRange&, const KeyRange&) = default;
};

/// Changes that become visible together, in order: a later one of a key wins. A plain buffer in RocksDB's own
/// encoding would tie models to it; this one is a flat log that either store replays. Key and value: below 4 GiB each.
class Batch {
public:
    enum class Kind : uint8_t { Put, Remove, RemoveRange };

    void put(std::string_view key, std::string_view value) { append(Kind::Put, key, value, {}); }
    /// The value is `value_head` followed by `value_tail`.
    void put(std::string_view key, std::string_view value_head, std::string_view value_tail) {
        append(Kind::Put, key, value_head, value_tail);
    }
    void remove(std::string_view key) { append(Kind::Remove, key, {}, {}); }
    void remove_range(const KeyRange& range);
    /// Adds the changes of `later` behind these.
    void append(const Batch& later);
    /// Keeps at most kept_bytes_max of the buffer for what comes next.
    void clear();

    bool empty() const { return count_ == 0; }
    size_t count() const { return count_; }
    size_t bytes() const { return log_.size(); }
    size_t range_removals() const { return range_removals_; }

    /// Calls `visit(kind, key, value_or_range_end)` for each change, in order, or for those made since bytes() was `from`. The views last
    /// until the batch changes.
    template <class Visit>
    void for_each(Visit&& visit, size_t from = 0) const {
        for (size_t at = from; at < log_.size();) {
            Header header;
            std::memcpy(&header, log_.data() + at, sizeof header);
            const std::string_view octets = std::string_view(log_).substr(at + sizeof header);
            visit(header.kind, octets.substr(0, header.key_bytes), octets.substr(header.key_bytes, header.value_bytes));
            at += sizeof header + header.key_bytes + header.value_bytes;
        }
    }

private:
    static constexpr size_t kept_bytes_max = 1u << 20;

    struct Header {  // Before each change in log_; never leaves the process.
        uint32_t key_bytes;
        uint32_t value_bytes;
        Kind kind;
    };

    void append(Kind kind, std::string_view key, std::string_view value_head, std::string_view value_tail);

    std::string log_;
    size_t count_ = 0;
    size_t range_removals_ = 0;
};

/// A place in the sorted keys of one view. Valid until its view, or the store it came from, is gone.
///
///     for (cursor.seek(first); cursor.valid() && cursor.key() < last; cursor.next()) ...
class Cursor {
public:
    virtual ~Cursor() = default;
    virtual void seek(std::string_view key) = 0;         // To the first key >= `key`.
    virtual void seek_before(std::string_view key) = 0;  // To the last key < `key`; empty `key`: the last of all.
    virtual bool valid() const = 0;                      // False before the first seek.
    virtual void next() = 0;                             // REQUIRES: valid().
    virtual void previous() = 0;                         // REQUIRES: valid().
    virtual std::string_view key() const = 0;            // Until the cursor moves. REQUIRES: valid().
    virtual std::string_view value() const = 0;          // Likewise.
    /// Why valid() is false though more keys may exist: an I/O error or corruption. Check after a scan.
    virtual Result<void> status() const = 0;
};

/// What can be read by key and in order: a store as it is now, or a view of it.
class Readable {
public:
    virtual ~Readable() = default;
    virtual Result<std::optional<std::string>> get(std::string_view key) const = 0;
    /// A cursor over the state as of now; only keys of `range` are seen.
    virtual std::unique_ptr<Cursor> cursor(const KeyRange& range) const = 0;
};

/// A consistent view of one moment. Thread-safe to read from several threads through cursors of their own. Holding one
/// keeps old versions alive: seconds, not hours. REQUIRES: it is gone before its store is.
class View : public Readable {};

/// Takes the next piece of an export; an error stops it.
using ChunkSink = std::function<Result<void>(std::string_view)>;
/// Gives the next piece of an export, however cut; empty at the end.
using ChunkSource = std::function<Result<std::string>()>;

/// One ordered store. `write`, `import_range` and `erase` of overlapping ranges are called by one thread at a time;
/// `flush` and all that is const by any.
///
/// Durability: what is written is visible at once and durable after a flush that began later ends; a crash forgets a
/// suffix of the unflushed writes, never one in the middle (the replica's log brings them back).
/// Errors everywhere: Corrupt, Io.
class Store : public Readable {
public:
    virtual std::shared_ptr<const View> view() const = 0;

    /// Applies the batch atomically. Errors: Overloaded: the store cannot take writes right now (compaction is
    /// behind) and nothing was done: wait and give it again; never blocks for long. NoSpace: likewise, until there is
    /// room.
    virtual Result<void> write(const Batch& batch) = 0;

    /// Makes everything written before durable. Blocking; run it on a pool.
    virtual Result<void> flush() = 0;

    /// Streams all pairs of `range` in key order, as one view, to `sink` in chunks of about `chunk_bytes`, in a
    /// format that `import_range` takes (transfer.h). Blocking. Stops with the sink's error.
    virtual Result<void> export_range(const KeyRange& range, size_t chunk_bytes, const ChunkSink& sink) const = 0;

    /// Replaces the content of `range` by what export_range wrote. Blocking; durable at return. Waits where write()
    /// would say Overloaded. Interrupted (by a crash or an error) it leaves `range` unusable and says so: the range
    /// is in interrupted_imports() until an import or erase that covers it ends. Errors: Corrupt (a damaged or
    /// truncated stream), Invalid (a key outside `range`), NoSpace, the source's.
    virtual Result<void> import_range(const KeyRange& range, const ChunkSource& source) = 0;

    /// The ranges that hold part of an import only: nothing may be read there.
    virtual std::vector<KeyRange> interrupted_imports() const = 0;
    bool import_interrupted() const { return !interrupted_imports().empty(); }

    /// A hash over the pairs of `range`, independent of the store's kind and layout. Blocking.
    virtual Result<uint64_t> hash(const KeyRange& range) const = 0;

    /// Removes `range`, durably at return, and gives its disk space back in the background. Blocking.
    virtual Result<void> erase(const KeyRange& range) = 0;

    struct Usage {
        uint64_t disk_bytes = 0;    // Files, with what compaction has not removed yet.
        uint64_t live_bytes = 0;    // Estimate of what the newest state needs.
        uint64_t memory_bytes = 0;  // Memtables and caches.
        uint64_t unflushed_bytes = 0;
    };
    virtual Usage usage() const = 0;
};

struct StoreOptions {
    uint64_t write_buffer_bytes = 4u << 20;  // Of one memtable; two at most.
    uint64_t block_cache_bytes = 8u << 20;
    uint32_t background_threads = 1;
    uint32_t open_files_max = 256;
};

/// Opens (or makes) the RocksDB store in the directory `path` of the real file system. Closing it flushes.
Result<std::unique_ptr<Store>> open_rocksdb_store(const std::string& path, const StoreOptions& options);

/// The twin in memory (memory_store.h). Besides the contract it can crash: `crash()` forgets what was not flushed.
class MemoryStore;
std::unique_ptr<MemoryStore> make_memory_store();

}  // namespace polis::storage
