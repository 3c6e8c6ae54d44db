// MemoryStore: the store's twin in memory, for tests and the simulator. It can crash, stall and run full on demand.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "base/random.h"
#include "storage/kv/persistent_map.h"
#include "storage/kv/store.h"

namespace polis::storage {

/// Keeps the Store contract, deterministically: what it does depends on the calls it gets and on the seeds given, on
/// nothing else. Like RocksDB, it flushes by itself when unflushed writes fill a write buffer.
class MemoryStore final : public Store {
public:
    struct Options {
        uint64_t write_buffer_bytes = 16u << 20;  // Of unflushed batches, before they are flushed unasked.
    };

    MemoryStore() : MemoryStore(Options{}) {}
    explicit MemoryStore(Options options) : options_(options) {}

    Result<std::optional<std::string>> get(std::string_view key) const override;
    std::unique_ptr<Cursor> cursor(const KeyRange& range) const override;
    std::shared_ptr<const View> view() const override;
    Result<void> write(const Batch& batch) override;
    Result<void> flush() override;
    Result<void> export_range(const KeyRange& range, size_t chunk_bytes, const ChunkSink& sink) const override;
    Result<void> import_range(const KeyRange& range, const ChunkSource& source) override;
    std::vector<KeyRange> interrupted_imports() const override;
    Result<uint64_t> hash(const KeyRange& range) const override;
    Result<void> erase(const KeyRange& range) override;
    Usage usage() const override;

    /// As if the process had died and the store had been opened again: the last n of the writes since the last flush
    /// are forgotten, n drawn by `seed` from all of them to none. Views taken before go on showing what they did.
    void crash(uint64_t seed);

    /// From now on every write (flush, import and erase too, if NoSpace) fails with `code`, until nullopt is given.
    /// REQUIRES: Overloaded or NoSpace.
    void refuse_writes(std::optional<Code> code);

    /// From now on each write fails with Overloaded in `permille` of 1000 draws.
    void stall_at_random(uint64_t seed, uint32_t permille);

private:
    Result<void> check_room() const;
    void apply(const Batch& batch);
    void mark_interrupted(const KeyRange& range);
    void clear_interrupted(const KeyRange& range);

    const Options options_;
    mutable std::mutex mutex_;  // Guards all below; held for short, never while a sink or source runs.
    PersistentMap newest_;
    PersistentMap durable_;         // As of the last flush ...
    std::vector<Batch> unflushed_;  // ... and what was written since, in order: newest_ is the one plus the other.
    uint64_t unflushed_bytes_ = 0;
    std::vector<KeyRange> interrupted_;  // Durable at once.
    std::optional<Code> refusal_;
    Chance stalls_{0};
    uint32_t stall_permille_ = 0;
};

}  // namespace polis::storage
