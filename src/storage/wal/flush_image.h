// FlushImage: lays the records of one flush out in sectors, ready to be written in one piece. Pure.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "storage/wal/format.h"
#include "storage/wal/group_index.h"

namespace polis::storage {

/// Used over and over: the memory of the largest flush so far is kept. begin, add ..., finish.
class FlushImage {
public:
    struct Position {
        SegmentNumber segment = 0;
        uint32_t sector = 0;  // Where the flush begins in its segment.
        FlushNumber flush = 0;
    };

    explicit FlushImage(uint64_t identity) : identity_(identity) {}

    /// REQUIRES: `sectors_max` is whole blocks, at most flush_sectors_max.
    void begin(Position position, uint64_t sectors_max);

    /// Octets of records, headers included, that still fit if the directory holds so many groups.
    uint64_t room(uint64_t groups) const;

    /// Adds a record; tells where it will lie. `header.payload_bytes` is set here. REQUIRES: it fits.
    Place add(RecordHeader header, std::string_view payload);

    /// Adds padding, directory and checksums. The octets stay valid until begin. REQUIRES: the directory fits.
    std::string_view finish(const Directory& directory);

private:
    // A disk takes blocks in memory that is aligned like them without copying them.
    struct alignas(block_bytes) Block {
        char octets[block_bytes];
    };

    char* sector(uint64_t number) {
        return blocks_[number / block_sectors].octets + number % block_sectors * sector_bytes;
    }
    void start_sector(uint64_t number);
    void append(std::string_view octets);

    const uint64_t identity_;
    Position position_;
    uint64_t sectors_max_ = 0;
    uint64_t stream_bytes_ = 0;
    std::vector<Block> blocks_;
};

}  // namespace polis::storage
