// Reads bbolt files (the database format of etcd), whoever wrote them: nothing in the file is trusted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "codec/bbolt/format.h"

namespace polis::codec {

/// The file's octets, read anywhere.
class BboltSource {
public:
    virtual ~BboltSource() = default;
    virtual uint64_t bytes() const = 0;
    /// Exactly `count` octets from `offset` on. REQUIRES: offset + count <= bytes().
    virtual Result<std::string> read(uint64_t offset, size_t count) const = 0;
};

/// A file that is in memory already. REQUIRES: `octets` outlive it.
class BboltMemorySource final : public BboltSource {
public:
    explicit BboltMemorySource(std::string_view octets) : octets_(octets) {}
    uint64_t bytes() const override { return octets_.size(); }
    Result<std::string> read(uint64_t offset, size_t count) const override {
        return std::string(octets_.substr(offset, count));
    }

private:
    std::string_view octets_;
};

/// What a hostile file may cost.
struct BboltLimits {
    uint64_t page_bytes_max = 64u << 20;  // Of one page with its overflow: the memory for one value.
    uint32_t depth_max = 32;              // Of a tree. A real one of 2^48 pages is less than 32 deep.
    uint32_t nesting_max = 8;             // Of buckets in buckets, where a walk follows them. etcd nests none.
};

/// One element of a bucket.
struct BboltEntry {
    std::string_view key;
    std::string_view value;
    bool is_bucket = false;  // The value describes a bucket inside this one: see BboltCursor::bucket().
};

class BboltReader;
class BboltSumming;  // Of summarize().

/// Walks one bucket in key order. Follows what the file says only as far as it proves consistent: keys ascend, pages
/// are of a tree's kind and lie within the file, and no page is used twice by a walk, so a walk ends after at most
/// one visit a page.
class BboltCursor {
public:
    BboltCursor(BboltCursor&&) noexcept;
    BboltCursor& operator=(BboltCursor&&) noexcept;
    ~BboltCursor();

    /// The next entry, valid until the next call; nothing at the end. Errors: Corrupt, the source's; not to be called
    /// after one.
    Result<std::optional<BboltEntry>> next();

    /// The bucket that `entry`, given last by this cursor, describes. Once an entry: both belong to one walk.
    /// Errors: Corrupt; Invalid if nested more than nesting_max.
    Result<BboltCursor> bucket(const BboltEntry& entry) const;

private:
    friend class BboltReader;
    friend class BboltSumming;
    struct Page;
    struct Place;
    struct UsedPages;

    BboltCursor(const BboltReader& reader, std::shared_ptr<UsedPages> used, uint32_t nesting);
    Result<void> enter(BboltPageId id);
    Result<void> enter(Page page);
    Result<void> check_key(std::string_view key);

    const BboltReader* reader_;
    std::shared_ptr<UsedPages> used_;  // Shared by all cursors of one walk.
    uint32_t nesting_;
    std::vector<Place> path_;   // From the root down.
    std::string floor_;         // Every key to come is at or above it ...
    bool floor_taken_ = false;  // ... or above, if it was the last key given.
};

/// One consistent state of a bbolt file. Regular files may be longer than the state says. REQUIRES: the source
/// outlives it.
class BboltReader {
public:
    /// Takes the newer of the two metas, if both are valid. Errors: Corrupt (neither is, or the file is shorter than
    /// it says); the source's.
    static Result<BboltReader> open(const BboltSource& source, BboltLimits limits = {});

    const BboltMeta& meta() const { return meta_; }

    /// Begins a walk at the bucket that holds the buckets.
    Result<BboltCursor> root() const;

private:
    friend class BboltCursor;
    friend class BboltSumming;
    BboltReader(const BboltSource& source, const BboltMeta& meta, BboltLimits limits)
        : source_(&source), meta_(meta), limits_(limits) {}

    const BboltSource* source_;
    BboltMeta meta_;
    BboltLimits limits_;
};

/// What a whole file holds.
struct BboltSummary {
    uint64_t keys = 0;  // In all buckets of the root.
    uint32_t hash =
        0;  // CRC-32C over each bucket's name and its keys and values: what `etcdctl snapshot status` prints.
    uint64_t pages_used = 0;  // Metas and the freelist's page included.
    uint64_t pages_free = 0;  // Neither used nor lost: listed as free or, without a freelist, all others.
    uint64_t pages_lost = 0;  // Not used and not listed as free; a leak, no loss of pairs.
};

/// Walks everything. Errors: Corrupt, also for a page that is used and listed as free.
Result<BboltSummary> summarize(const BboltReader& reader);

}  // namespace polis::codec
