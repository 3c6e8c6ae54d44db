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
/// commands to one Overlay, then the replica writes `batch()` to the store and calls `clear()`. Most runs only write: the changes are put in
/// order when they are first read.
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

    void put(std::string_view key, std::string_view value) { put(key, value, {}); }
    /// The value is `value_head` followed by `value_tail`.
    void put(std::string_view key, std::string_view value_head, std::string_view value_tail);
    void remove(std::string_view key);
    void remove_range(const KeyRange& range);

    /// What has been gathered, in the order in which it was.
    const Batch& batch() const { return batch_; }
    bool empty() const { return batch_.empty(); }
    void clear();

private:
    class MergedCursor;

    /// Keys and values are views into arena_. Absent value: removed.
    using Changes = std::pmr::map<std::string_view, std::optional<std::string_view>>;
    /// first -> last (empty: to the end). Disjoint, and older than the changes inside.
    using RemovedRanges = std::pmr::map<std::string_view, std::string_view>;

    /// Brings the index up to date with the batch.
    void index() const;
    void index_change(std::string_view key, std::optional<std::string_view> value) const;
    void index_removed_range(std::string_view first, std::string_view last) const;
    void drop_index();
    std::string_view keep(std::string_view octets) const;
    /// The removed range that `key` lies in, or the end.
    RemovedRanges::const_iterator removed_range_of(std::string_view key) const;

    const Readable& base_;
    Batch batch_;
    // The index of the batch's first indexed_bytes_. All of it dies together at clear(), so nodes and octets come from an arena: a change
    // costs no malloc as long as they fit first_block_, which is used again after each clear().
    mutable size_t indexed_bytes_ = 0;
    mutable std::array<std::byte, 32u << 10> first_block_;
    mutable std::pmr::monotonic_buffer_resource arena_;
    mutable std::optional<Changes> changes_;  // Always set; optional only so that it can be dropped before the arena.
    mutable std::optional<RemovedRanges> removed_ranges_;
    uint64_t version_ = 0;  // Counts changes: a cursor that outlived one is a bug.
};

}  // namespace polis::storage
