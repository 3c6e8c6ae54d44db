#include "storage/kv/memory_store.h"

#include <algorithm>
#include <utility>

#include "base/ensure.h"
#include "storage/kv/transfer.h"

namespace polis::storage {
namespace {

std::optional<std::string> copy_of(const Bytes* value) {
    if (!value) return std::nullopt;
    return value->str();
}

/// Walks its own copy of the map, so nothing that is written later is seen.
class MemoryCursor final : public Cursor {
public:
    MemoryCursor(PersistentMap map, KeyRange range) : map_(std::move(map)), range_(std::move(range)), at_(map_) {}
    MemoryCursor(const MemoryCursor&) = delete;
    MemoryCursor& operator=(const MemoryCursor&) = delete;

    void seek(std::string_view key) override { at_.seek(std::max<std::string_view>(key, range_.first)); }

    void seek_before(std::string_view key) override {
        const bool to_last = key.empty() || (!range_.last.empty() && key > range_.last);
        if (!to_last) {
            at_.seek_before(key);
        } else if (range_.last.empty()) {
            at_.seek_last();
        } else {
            at_.seek_before(range_.last);
        }
    }

    bool valid() const override { return at_.valid() && range_.contains(at_.key()); }

    void next() override {
        ENSURE(valid());
        at_.next();
    }

    void previous() override {
        ENSURE(valid());
        at_.previous();
    }

    std::string_view key() const override {
        ENSURE(valid());
        return at_.key();
    }

    std::string_view value() const override {
        ENSURE(valid());
        return at_.value();
    }

    Result<void> status() const override { return {}; }

private:
    const PersistentMap map_;
    const KeyRange range_;
    PersistentMap::Position at_;
};

class MemoryView final : public View {
public:
    explicit MemoryView(PersistentMap map) : map_(std::move(map)) {}

    Result<std::optional<std::string>> get(std::string_view key) const override { return copy_of(map_.find(key)); }

    std::unique_ptr<Cursor> cursor(const KeyRange& range) const override {
        return std::make_unique<MemoryCursor>(map_, range);
    }

private:
    const PersistentMap map_;
};

void replay(const Batch& batch, PersistentMap& map) {
    batch.for_each([&](Batch::Kind kind, std::string_view key, std::string_view value) {
        switch (kind) {
            case Batch::Kind::Put: return map.put(key, value);
            case Batch::Kind::Remove: return map.remove(key);
            case Batch::Kind::RemoveRange: return map.remove_range({std::string(key), std::string(value)});
        }
    });
}

}  // namespace

std::unique_ptr<MemoryStore> make_memory_store() { return std::make_unique<MemoryStore>(); }

Result<std::optional<std::string>> MemoryStore::get(std::string_view key) const {
    const std::lock_guard lock(mutex_);
    return copy_of(newest_.find(key));
}

std::unique_ptr<Cursor> MemoryStore::cursor(const KeyRange& range) const {
    const std::lock_guard lock(mutex_);
    return std::make_unique<MemoryCursor>(newest_, range);
}

std::shared_ptr<const View> MemoryStore::view() const {
    const std::lock_guard lock(mutex_);
    return std::make_shared<MemoryView>(newest_);
}

Result<void> MemoryStore::write(const Batch& batch) {
    const std::lock_guard lock(mutex_);
    if (refusal_ == Code::Overloaded || (stall_permille_ > 0 && stalls_.happens(stall_permille_))) {
        return fail(Code::Overloaded, "the store takes no writes right now (a stall was asked for)");
    }
    TRY(check_room());
    apply(batch);
    return {};
}

Result<void> MemoryStore::flush() {
    const std::lock_guard lock(mutex_);
    TRY(check_room());
    durable_ = newest_;
    unflushed_.clear();
    unflushed_bytes_ = 0;
    return {};
}

Result<void> MemoryStore::export_range(const KeyRange& range, size_t chunk_bytes, const ChunkSink& sink) const {
    const auto pairs = cursor(range);
    return export_pairs(*pairs, chunk_bytes, sink);
}

Result<void> MemoryStore::import_range(const KeyRange& range, const ChunkSource& source) {
    mark_interrupted(range);
    const auto append = [this](const Batch& batch) -> Result<void> {
        const std::lock_guard lock(mutex_);
        TRY(check_room());
        apply(batch);
        return {};
    };
    Batch removal;
    removal.remove_range(range);
    TRY(append(removal));
    TRY(import_pairs(range, source, append));
    TRY(flush());
    clear_interrupted(range);
    return {};
}

std::vector<KeyRange> MemoryStore::interrupted_imports() const {
    const std::lock_guard lock(mutex_);
    return interrupted_;
}

Result<uint64_t> MemoryStore::hash(const KeyRange& range) const {
    const auto pairs = cursor(range);
    return hash_pairs(*pairs);
}

Result<void> MemoryStore::erase(const KeyRange& range) {
    Batch removal;
    removal.remove_range(range);
    {
        const std::lock_guard lock(mutex_);
        TRY(check_room());
        apply(removal);
    }
    TRY(flush());
    clear_interrupted(range);
    return {};
}

Store::Usage MemoryStore::usage() const {
    const std::lock_guard lock(mutex_);
    return {.disk_bytes = durable_.bytes(),
            .live_bytes = newest_.bytes(),
            .memory_bytes = newest_.bytes() + unflushed_bytes_,
            .unflushed_bytes = unflushed_bytes_};
}

void MemoryStore::crash(uint64_t seed) {
    const std::lock_guard lock(mutex_);
    const size_t kept = Chance(seed).below(unflushed_.size() + 1);
    newest_ = durable_;
    for (size_t i = 0; i < kept; ++i) replay(unflushed_[i], newest_);
    durable_ = newest_;
    unflushed_.clear();
    unflushed_bytes_ = 0;
}

void MemoryStore::refuse_writes(std::optional<Code> code) {
    ENSURE(!code || *code == Code::Overloaded || *code == Code::NoSpace);
    const std::lock_guard lock(mutex_);
    refusal_ = code;
}

void MemoryStore::stall_at_random(uint64_t seed, uint32_t permille) {
    ENSURE(permille <= 1000);
    const std::lock_guard lock(mutex_);
    stalls_ = Chance(seed);
    stall_permille_ = permille;
}

Result<void> MemoryStore::check_room() const {
    if (refusal_ == Code::NoSpace) return fail(Code::NoSpace, "the store's disk is full (it was asked to be)");
    return {};
}

void MemoryStore::apply(const Batch& batch) {
    if (batch.empty()) return;
    replay(batch, newest_);
    unflushed_.push_back(batch);
    unflushed_bytes_ += batch.bytes();
    if (unflushed_bytes_ < options_.write_buffer_bytes) return;
    durable_ = newest_;
    unflushed_.clear();
    unflushed_bytes_ = 0;
}

void MemoryStore::mark_interrupted(const KeyRange& range) {
    const std::lock_guard lock(mutex_);
    std::erase_if(interrupted_, [&](const KeyRange& other) { return range.covers(other); });
    interrupted_.push_back(range);
}

void MemoryStore::clear_interrupted(const KeyRange& range) {
    const std::lock_guard lock(mutex_);
    std::erase_if(interrupted_, [&](const KeyRange& other) { return range.covers(other); });
}

}  // namespace polis::storage
