// Overlay: a store as it will be once the changes gathered so far are written. What models read and write.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <memory_resource>
#include <optional>
#include <string>
#include <string_view>

#include "storage/kv/store.h"

namespace polis::storage {

/// Reads see the store with all gathered changes on top; writes only gather. One thread. A model applies a run of
/// commands to one Overlay, then the replica writes `batch()` to the store and calls `clear()`.
class Overlay {
public:
    /// REQUIRES: `base` outlives it and changes, where this is read, only by `batch()` being written, followed by
    /// clear().
    explicit Overlay(const Readable& base);
    Overlay(const Overlay&) = delete;
    Overlay& operator=(const Overlay&) = delete;
    ~Overlay();

    Result<std::optional<std::string>> get(std::string_view key) const;
    /// Sees the changes gathered before its creation. REQUIRES: no change and no clear() while it is used.
    std::unique_ptr<Cursor> cursor(const KeyRange& range) const;

    void put(std::string_view key, std::string_view value);
    void remove(std::string_view key);
    void remove_range(const KeyRange& range);

    /// What has been gathered, each key once and in order.
    const Batch& batch() const;
    bool empty() const { return changes_->empty() && removed_ranges_->empty(); }
    void clear();

private:
    class MergedCursor;

    /// Keys and values are views into arena_. Absent value: removed.
    using Changes = std::pmr::map<std::string_view, std::optional<std::string_view>>;
    /// first -> last (empty: to the end). Disjoint, and older than the changes inside.
    using RemovedRanges = std::pmr::map<std::string_view, std::string_view>;

    void changed() {
        ++version_;
        if (!batch_.empty()) batch_.clear();
    }
    std::string_view keep(std::string_view octets);
    void change(std::string_view key, std::optional<std::string_view> value);
    /// The removed range that `key` lies in, or the end.
    RemovedRanges::const_iterator removed_range_of(std::string_view key) const;

    const Readable& base_;
    mutable Batch batch_;  // Empty, or made of the changes below.
    // Everything gathered dies together at clear(), so nodes and octets come from an arena: a change costs no malloc
    // as long as they fit first_block_, which is used again after each clear().
    std::array<std::byte, 32u << 10> first_block_;
    std::pmr::monotonic_buffer_resource arena_;
    std::optional<Changes> changes_;  // Always set; optional only so that clear() can drop it before the arena.
    std::optional<RemovedRanges> removed_ranges_;
    uint64_t version_ = 0;  // Counts changes: a cursor that outlived one is a bug.
};

}  // namespace polis::storage
