// Segments: the log's files: found at open, prepared ahead of need, recycled, deleted.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "runtime/disk.h"
#include "storage/wal/format.h"
#include "storage/wal/wal.h"

namespace polis::storage {

/// One segment file. Readers share the file, so that recycling does not close it under them.
struct Segment {
    SegmentNumber number = 0;
    uint64_t bytes = 0;
    std::shared_ptr<runtime::File> file;

    uint32_t sectors() const { return static_cast<uint32_t>(bytes / sector_bytes); }
};

/// The segments of one log, oldest first. The last of `chain` is written to; `next`, if there, is ready
/// to follow it. What precedes the chain is `free`: needed by nobody, to be recycled oldest first, so that the files
/// on disk stay a run without a gap.
///
/// A segment is made under a temporary name, every block of it written once, and gets its name when it is whole: the blocks of
/// the file are then allocated for good, and a flush into it is a plain overwrite (twice as fast as an append).
class Segments {
public:
    Segments(runtime::Disk& disk, std::string directory, uint64_t identity, const Wal::Options& options);

    /// Finds and opens the files. All go to `chain`. Errors: Corrupt, Io, NoSpace.
    runtime::Task<void> open();
    /// A whole segment; what cannot be read or is cut off is filled with octets that are no valid sector.
    runtime::Task<std::string> content(Segment segment);

    /// Makes `next`, out of the oldest free segment if there is one. Errors: NoSpace if the reserve would be touched, Io.
    /// REQUIRES: !next().
    runtime::Task<void> prepare();
    /// Deletes free segments beyond those kept for recycling.
    runtime::Task<void> trim();

    /// `next` becomes the last of the chain. REQUIRES: next().
    void advance();
    /// The oldest of the chain becomes free. REQUIRES: it is not the last.
    void release_oldest();
    /// Everything behind `number` leaves the chain: the first becomes `next`. REQUIRES: right after open.
    void cut_after(SegmentNumber number);

    const std::deque<Segment>& chain() const { return chain_; }
    const Segment& current() const { return chain_.back(); }
    bool next() const { return next_.has_value(); }
    /// Null if it is not in the chain.
    const Segment* find(SegmentNumber number) const;
    uint64_t count() const { return chain_.size() + free_.size() + (next_ ? 1 : 0); }
    uint64_t bytes_on_disk() const;

private:
    runtime::Task<std::optional<Segment>> adopt(std::string name);
    runtime::Task<Segment> recycle(SegmentNumber number);
    runtime::Task<Segment> make(SegmentNumber number);
    runtime::Task<void> fill(runtime::File& file, SegmentNumber number);
    std::string path(SegmentNumber number) const;

    runtime::Disk& disk_;
    const std::string directory_;
    const uint64_t identity_;
    const uint64_t segment_bytes_;
    const uint32_t recycled_segments_max_;
    const uint64_t reserve_bytes_;
    std::deque<Segment> free_;
    std::deque<Segment> chain_;
    std::optional<Segment> next_;
};

}  // namespace polis::storage
