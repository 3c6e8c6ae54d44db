// Writes bbolt files (the database format of etcd) front to back, in memory that does not grow with the file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "codec/bbolt/format.h"

namespace polis::codec {

struct BboltPair {
    std::string_view key;    // 1 to bbolt_key_bytes_max octets.
    std::string_view value;  // At most bbolt_value_bytes_max.
};

/// Gives a bucket's pairs one by one, keys strictly ascending.
class BboltPairSource {
public:
    virtual ~BboltPairSource() = default;
    /// The next pair, valid until the next call; nothing at the end.
    virtual Result<std::optional<BboltPair>> next() = 0;
};

/// A bucket to be written. `open` starts from its first pair; it is called twice and must give the same pairs both
/// times.
struct BboltBucket {
    std::string name;
    std::function<Result<std::unique_ptr<BboltPairSource>>()> open;
};

/// What must be known of a file before its first octet can be written: the meta pages come first and name the root.
struct BboltPlan {
    BboltPageId root = 0;
    BboltPageId pages = 0;

    uint64_t file_bytes() const;
    friend bool operator==(const BboltPlan&, const BboltPlan&) = default;
};

/// Reads all pairs once and finds out how large the file will be. REQUIRES: bucket names ascend strictly and are not
/// empty.
/// Errors: Invalid (a key or value that the format cannot hold, keys that do not ascend); those of the sources.
Result<BboltPlan> plan_bbolt(const std::vector<BboltBucket>& buckets);

/// The file's octets in order, after plan_bbolt(): pages of 4 KiB, two metas, no freelist.
///
///     LET(const BboltPlan size, plan_bbolt(buckets));
///     BboltWriter file(buckets, size);
///     for (;;) {
///         LET(const std::string piece, file.next(32768));
///         if (piece.empty()) break;
///         ...
///     }
class BboltWriter {
public:
    BboltWriter(std::vector<BboltBucket> buckets, const BboltPlan& plan);
    BboltWriter(const BboltWriter&) = delete;
    BboltWriter& operator=(const BboltWriter&) = delete;
    ~BboltWriter();

    /// The next octets, whole pages: at least `bytes_min` unless the file ends before; empty at the end. Reads only
    /// as many pairs as that takes. Memory: `bytes_min`, a page a level of the tree, and the largest value.
    /// Errors: as plan_bbolt(), and Stale if the sources give other pairs than they did then: the file is then
    /// worthless.
    Result<std::string> next(size_t bytes_min);

private:
    class Pages;
    class TreeWriter;
    class Walk;
    friend Result<BboltPlan> plan_bbolt(const std::vector<BboltBucket>& buckets);

    BboltPlan plan_;
    std::vector<BboltBucket> buckets_;
    std::unique_ptr<Pages> pages_;
    std::unique_ptr<Walk> walk_;
    bool ended_ = false;
};

}  // namespace polis::codec
