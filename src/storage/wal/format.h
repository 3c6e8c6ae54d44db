// The bytes of the log: sectors, segment headers, records and directories. Pure. Described in docs/internals/formats/wal.md.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/entry.h"
#include "base/id.h"
#include "base/result.h"

namespace polis::storage {

/// Segments of one log are numbered 1, 2, 3 ...; a recycled file gets a new number. Zero is none.
using SegmentNumber = uint32_t;
/// Flushes of one log are numbered 1, 2, 3 ... without a gap. Zero is none.
using FlushNumber = uint64_t;

constexpr uint32_t sector_bytes = 512;        // What a disk writes whole or not at all.
constexpr uint32_t sector_header_bytes = 28;  // Before its part of the flush's stream.
constexpr uint32_t sector_stream_bytes = sector_bytes - sector_header_bytes;
constexpr uint32_t block_sectors = 8;  // A flush is whole blocks, so that no page is ever written by two flushes.
constexpr uint32_t block_bytes = block_sectors * sector_bytes;
constexpr uint32_t flush_sectors_max = 65528;  // Counted in 16 bits, whole blocks.

/// The first block of a segment; written twice in it, so that one bad sector does not lose it.
struct SegmentHeader {
    uint64_t identity = 0;  // Of the node and shard.
    SegmentNumber segment = 0;
    uint64_t segment_bytes = 0;

    friend bool operator==(const SegmentHeader&, const SegmentHeader&) = default;
};

/// One block.
std::string encode(const SegmentHeader& header);
/// From a segment's first block. Errors: Corrupt if neither copy is whole.
Result<SegmentHeader> decode_segment_header(std::string_view block);

/// What a sector says of itself and of its flush, so that any one of them tells the flush's whole layout.
struct SectorStamp {
    SegmentNumber segment = 0;
    FlushNumber flush = 0;
    uint16_t number = 0;                // Of this sector within the flush.
    uint16_t count = 0;                 // Sectors of the flush.
    uint16_t used = 0;                  // Those, from the first on, that hold records.
    uint16_t directory = 0;             // Those, at the end, that hold the directory. Padding lies between.
    uint16_t first_record = no_record;  // Where in this sector's stream the first record begins that begins here.
    static constexpr uint16_t no_record = 0xffff;

    friend bool operator==(const SectorStamp&, const SectorStamp&) = default;
};

/// Writes the stamp and the checksum into the sector's header. `index`: the sector's place in its segment. The checksum covers
/// identity, place and content: bytes of another log, another place or an earlier life of the file do not pass.
void seal_sector(char* sector, uint64_t identity, uint32_t index, const SectorStamp& stamp);
/// Nothing if the checksum does not match. REQUIRES: sector.size() == sector_bytes.
std::optional<SectorStamp> open_sector(std::string_view sector, uint64_t identity, uint32_t index);

enum class RecordKind : uint8_t {
    None = 0,   // Padding: no record follows in the flush.
    Entry = 1,  // One entry or, if it is longer than a flush, a fragment of it.
    HardState = 2,
    Reset = 3,      // The log starts after `position` and is empty.
    Truncate = 4,   // Entries from `position.index` on are gone.
    Compact = 5,    // The log starts after `position`.
    Drop = 6,       // The group is gone.
    Directory = 7,  // Of its own flush.
    Echo = 8,       // The directory of the flush before.
};

/// A record's header; its payload follows it in the stream.
struct RecordHeader {
    static constexpr uint32_t bytes = 48;
    RecordKind kind = RecordKind::None;
    bool first = false;  // Of its LogWrite.
    bool last = false;   // Of its LogWrite, which is whole with it.
    EntryKind entry_kind{};
    GroupId group{};
    LogPosition position;
    uint32_t payload_bytes = 0;    // Of this record.
    uint32_t fragment_offset = 0;  // Where its payload begins in the entry's.
    uint32_t entry_bytes = 0;      // Of the whole entry's payload.

    friend bool operator==(const RecordHeader&, const RecordHeader&) = default;
};

using EncodedRecordHeader = std::array<char, RecordHeader::bytes>;
/// With the checksum over identity, header and payload.
EncodedRecordHeader encode(const RecordHeader& header, uint64_t identity, std::string_view payload);
/// Reads a header without looking at its checksum; Corrupt if its fields make no sense.
Result<RecordHeader> decode_record_header(std::string_view octets);
/// Whether header and payload are what was written.
bool record_is_whole(std::string_view header, std::string_view payload, uint64_t identity);

std::string encode(const HardState& state);
Result<HardState> decode_hard_state(std::string_view octets);

/// A group's state after a flush, enough to know what was lost with it.
struct GroupSummary {
    static constexpr uint32_t bytes = 104;
    GroupId group{};
    bool dropped = false;
    LogIndex lowest;    // The lowest slot that this flush wrote; zero: none.
    LogPosition start;  // The log holds what is after this ...
    LogPosition last;   // ... up to this; equal to `start` if empty.
    HardState hard_state;

    friend bool operator==(const GroupSummary&, const GroupSummary&) = default;
};

/// What a flush changed, by group. Kept twice: at the flush's end, and as an echo in the next one.
struct Directory {
    FlushNumber flush = 0;
    bool full = false;       // Holds all groups, not only those that the flush touched. So in a segment's first flush.
    bool continues = false;  // The flush begins inside a LogWrite that an earlier one began.
    bool open = false;       // The flush ends inside a LogWrite.
    std::vector<GroupSummary> groups;

    friend bool operator==(const Directory&, const Directory&) = default;
};

constexpr uint32_t directory_fixed_bytes = 16;
std::string encode(const Directory& directory);
Result<Directory> decode_directory(std::string_view octets);

/// How many sectors a stream of this many octets takes.
constexpr uint64_t sectors_for(uint64_t stream_bytes) {
    return (stream_bytes + sector_stream_bytes - 1) / sector_stream_bytes;
}
constexpr uint64_t whole_blocks(uint64_t sectors) {
    return (sectors + block_sectors - 1) / block_sectors * block_sectors;
}
/// Sectors of the directory record of so many groups.
constexpr uint64_t directory_sectors(uint64_t groups) {
    return sectors_for(RecordHeader::bytes + directory_fixed_bytes + groups * GroupSummary::bytes);
}

}  // namespace polis::storage
