// CurrentStore: the one store that readers of a replica know, whichever store lies behind it.
#pragma once

#include <memory>
#include <utility>

#include "storage/kv/store.h"
#include "storage/kv/store_pointer.h"

namespace polis::cluster {

/// A snapshot that is installed puts another store in the old one's place. Services keep a reference to this one for good and always read the
/// state in use; views and cursors keep the store that they were taken from open, however long they are held, and the last of them closes it.
/// What any thread may do with a Store, any may do with this; `replace` is the owner's.
class CurrentStore : public storage::Store {
public:
    explicit CurrentStore(std::shared_ptr<storage::Store> store) : store_(std::move(store)) {}

    std::shared_ptr<storage::Store> in_use() const { return store_.load(); }
    /// Returns the one that was in use.
    std::shared_ptr<storage::Store> replace(std::shared_ptr<storage::Store> next) {
        return store_.exchange(std::move(next));
    }

    Result<std::optional<std::string>> get(std::string_view key) const override { return in_use()->get(key); }
    std::unique_ptr<storage::Cursor> cursor(const storage::KeyRange& range) const override;
    std::shared_ptr<const storage::View> view() const override;
    Result<void> write(const storage::Batch& batch) override { return in_use()->write(batch); }
    Result<void> flush() override { return in_use()->flush(); }
    Result<void> export_range(const storage::KeyRange& range, size_t chunk_bytes,
                              const storage::ChunkSink& sink) const override {
        return in_use()->export_range(range, chunk_bytes, sink);
    }
    Result<void> import_range(const storage::KeyRange& range, const storage::ChunkSource& source) override {
        return in_use()->import_range(range, source);
    }
    std::vector<storage::KeyRange> interrupted_imports() const override { return in_use()->interrupted_imports(); }
    Result<uint64_t> hash(const storage::KeyRange& range) const override { return in_use()->hash(range); }
    Result<void> erase(const storage::KeyRange& range) override { return in_use()->erase(range); }
    Usage usage() const override { return in_use()->usage(); }

private:
    storage::StorePointer store_;  // Read on the pool's threads, too.
};

}  // namespace polis::cluster
