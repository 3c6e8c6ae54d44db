#include "storage/wal/flush_image.h"

#include <algorithm>
#include <cstring>

#include "base/ensure.h"

namespace polis::storage {
namespace {

constexpr size_t first_record_at = 24;  // In a sector's header; see seal_sector.

}  // namespace

void FlushImage::begin(Position position, uint64_t sectors_max) {
    ENSURE(sectors_max % block_sectors == 0);
    ENSURE(sectors_max <= flush_sectors_max);
    position_ = position;
    sectors_max_ = sectors_max;
    stream_bytes_ = 0;
}

uint64_t FlushImage::room(uint64_t groups) const {
    const uint64_t kept = directory_sectors(groups);
    if (kept >= sectors_max_) return 0;
    const uint64_t stream_max = (sectors_max_ - kept) * sector_stream_bytes;
    return stream_max > stream_bytes_ ? stream_max - stream_bytes_ : 0;
}

void FlushImage::start_sector(uint64_t number) {
    const size_t block = number / block_sectors;
    if (block >= blocks_.size()) blocks_.resize(std::max(block + 1, blocks_.size() * 2));
    std::memset(sector(number), 0, sector_bytes);
    constexpr uint16_t none = SectorStamp::no_record;
    std::memcpy(sector(number) + first_record_at, &none, sizeof none);
}

void FlushImage::append(std::string_view octets) {
    while (!octets.empty()) {
        const uint64_t number = stream_bytes_ / sector_stream_bytes;
        const size_t within = stream_bytes_ % sector_stream_bytes;
        if (within == 0) start_sector(number);
        const size_t count = std::min<size_t>(octets.size(), sector_stream_bytes - within);
        std::memcpy(sector(number) + sector_header_bytes + within, octets.data(), count);
        octets.remove_prefix(count);
        stream_bytes_ += count;
    }
}

Place FlushImage::add(RecordHeader header, std::string_view payload) {
    header.payload_bytes = static_cast<uint32_t>(payload.size());
    const uint64_t number = stream_bytes_ / sector_stream_bytes;
    const auto within = static_cast<uint16_t>(stream_bytes_ % sector_stream_bytes);
    const EncodedRecordHeader encoded = encode(header, identity_, payload);
    append({encoded.data(), encoded.size()});
    append(payload);

    uint16_t first = 0;
    std::memcpy(&first, sector(number) + first_record_at, sizeof first);
    if (first == SectorStamp::no_record) std::memcpy(sector(number) + first_record_at, &within, sizeof within);
    const uint64_t offset = (position_.sector + number) * sector_bytes + sector_header_bytes + within;
    return {
        .segment = position_.segment, .offset = static_cast<uint32_t>(offset), .payload_bytes = header.payload_bytes};
}

std::string_view FlushImage::finish(const Directory& directory) {
    const uint64_t used = sectors_for(stream_bytes_);
    const uint64_t kept = directory_sectors(directory.groups.size());
    const uint64_t count = whole_blocks(used + kept);
    ENSURE(count <= sectors_max_);

    for (uint64_t number = used; number < count - kept; ++number) start_sector(number);
    stream_bytes_ = (count - kept) * sector_stream_bytes;
    RecordHeader header;
    header.kind = RecordKind::Directory;
    add(header, encode(directory));

    for (uint64_t number = 0; number < count; ++number) {
        SectorStamp stamp{.segment = position_.segment,
                          .flush = position_.flush,
                          .number = static_cast<uint16_t>(number),
                          .count = static_cast<uint16_t>(count),
                          .used = static_cast<uint16_t>(used),
                          .directory = static_cast<uint16_t>(kept)};
        std::memcpy(&stamp.first_record, sector(number) + first_record_at, sizeof stamp.first_record);
        seal_sector(sector(number), identity_, position_.sector + static_cast<uint32_t>(number), stamp);
    }
    return {sector(0), count * sector_bytes};
}

}  // namespace polis::storage
