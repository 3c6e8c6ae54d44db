// Overlay: a store as it will be once the changes gathered so far are written. What models read and write.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "storage/kv/store.h"

namespace polis::storage {

/// Reads see the store with all gathered changes on top; writes only gather. One thread. A model applies a run of
/// commands to one Overlay, then the replica writes `batch()` to the store and calls `clear()`.
class Overlay {
public:
    /// REQUIRES: `store` outlives it and changes only by `batch()` being written, followed by clear().
    explicit Overlay(const Store& store);
    ~Overlay();

    Result<std::optional<std::string>> get(std::string_view key) const;
    /// Sees the changes gathered before its creation; later ones make it invalid. REQUIRES: no change while it is used.
    std::unique_ptr<Cursor> cursor(const KeyRange& range) const;

    void put(std::string_view key, std::string_view value);
    void remove(std::string_view key);
    void remove_range(const KeyRange& range);

    const Batch& batch() const { return batch_; }
    bool empty() const { return batch_.empty(); }
    void clear();

private:
    class MergedCursor;
    const Store& store_;
    Batch batch_;
    std::map<std::string, std::optional<std::string>, std::less<>> changes_;  // Absent value: removed.
    std::map<std::string, std::string, std::less<>>
        removed_ranges_;  // first -> last; disjoint; older than changes_ inside.
};

}  // namespace polis::storage
