// Finds the flushes in a segment's bytes and takes their records apart, around sectors that are damaged or missing. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "storage/wal/format.h"
#include "storage/wal/group_index.h"

namespace polis::storage {

/// A record that was found; `payload_whole` is false if only its header can be trusted.
struct FoundRecord {
    RecordHeader header;
    Place place;
    bool payload_whole = true;
    std::optional<HardState> hard_state;  // Of kind HardState.
};

/// One flush as it lies on disk.
struct FoundFlush {
    FlushNumber number = 0;
    SegmentNumber segment = 0;
    uint32_t sector = 0;
    uint32_t sectors = 0;
    bool whole = true;  // Every record is there. (Padding and directory may be damaged.)
    bool partial =
        false;  // Some sectors still hold what was there before: it was never, or not yet, written to its end.
    std::vector<FoundRecord> records;    // Those that can be read, in order, without Directory and Echo.
    std::optional<Directory> directory;  // Its own.
    std::optional<Directory> echo;       // Of the flush before.
};

/// What one segment holds.
struct FoundSegment {
    std::vector<FoundFlush> flushes;  // In the order in which they lie, which is that of their numbers.
    uint32_t end_sector = 0;          // Behind the last flush.
    /// The block behind the last flush is neither what was there before nor a flush: nothing in it can be read.
    bool end_unreadable = false;
};

/// Takes `octets`, a whole segment with its header, apart.
FoundSegment read_flushes(std::string_view octets, uint64_t identity, SegmentNumber segment);

/// An entry's record, read back through the place that the index keeps. `octets` begin at the sector of `place` and hold
/// all of the record. Errors: Corrupt.
struct ReadRecord {
    RecordHeader header;
    std::string payload;
};
Result<ReadRecord> read_record(std::string_view octets, uint64_t identity, const Place& place);

/// The octets of a segment that read_record needs.
struct OctetRange {
    uint64_t begin = 0;
    uint64_t end = 0;
};
OctetRange octets_of(const Place& place);

}  // namespace polis::storage
