#include "storage/wal/flush_reader.h"

#include <algorithm>

#include "base/ensure.h"

namespace polis::storage {
namespace {

enum class SectorState : uint8_t {
    Before,  // Zeros, or a whole sector of an earlier life of this file: not written in this life.
    Bad,     // Neither.
    Ours,
};

struct Sector {
    SectorState state = SectorState::Before;
    SectorStamp stamp;  // If Ours.
};

Sector classify(std::string_view octets, uint64_t identity, SegmentNumber segment, uint32_t index) {
    if (const auto stamp = open_sector(octets, identity, index)) {
        if (stamp->segment == segment) return {SectorState::Ours, *stamp};
        return {stamp->segment < segment ? SectorState::Before : SectorState::Bad, {}};
    }
    const bool zero = octets.find_first_not_of('\0') == std::string_view::npos;
    return {zero ? SectorState::Before : SectorState::Bad, {}};
}

// The records of one flush: its stream is put together out of the sectors, and taken apart wherever they are whole.
class RecordParser {
public:
    RecordParser(std::string_view flush, uint64_t identity, FoundFlush& found, const SectorStamp& layout,
                 std::vector<std::optional<SectorStamp>> sectors)
        : flush_(flush), identity_(identity), found_(found), layout_(layout), sectors_(std::move(sectors)) {}

    void parse() {
        found_.whole = std::all_of(sectors_.begin(), sectors_.begin() + layout_.used,
                                   [](const auto& sector) { return sector.has_value(); });
        const uint64_t end = uint64_t{layout_.used} * sector_stream_bytes;
        std::optional<uint64_t> at = 0;
        while (at && *at < end) at = take(*at, end);
        take_directory();
    }

private:
    bool readable(uint64_t begin, uint64_t count) const {
        const uint64_t last = (begin + count - 1) / sector_stream_bytes;
        for (uint64_t number = begin / sector_stream_bytes; number <= last; ++number) {
            if (number >= sectors_.size() || !sectors_[number]) return false;
        }
        return true;
    }

    std::string stream(uint64_t begin, uint64_t count) const {
        std::string octets;
        octets.reserve(count);
        while (count > 0) {
            const uint64_t within = begin % sector_stream_bytes;
            const uint64_t piece = std::min(count, sector_stream_bytes - within);
            octets += flush_.substr(begin / sector_stream_bytes * sector_bytes + sector_header_bytes + within, piece);
            begin += piece;
            count -= piece;
        }
        return octets;
    }

    // Where the first record begins that begins in a readable sector after `number`.
    std::optional<uint64_t> resynchronise(uint64_t number) const {
        for (++number; number < layout_.used; ++number) {
            if (sectors_[number] && sectors_[number]->first_record != SectorStamp::no_record) {
                return number * sector_stream_bytes + sectors_[number]->first_record;
            }
        }
        return std::nullopt;
    }

    // Takes the record at `at`; returns where the next one may begin.
    std::optional<uint64_t> take(uint64_t at, uint64_t end) {
        const uint64_t number = at / sector_stream_bytes;
        if (at + RecordHeader::bytes > end) return lost_if_not_padding(at, end);
        if (!readable(at, RecordHeader::bytes)) {
            found_.whole = false;
            return resynchronise(number);
        }
        const std::string octets = stream(at, RecordHeader::bytes);
        const auto header = decode_record_header(octets);
        if (!header) {
            found_.whole = false;
            return resynchronise(number);
        }
        if (header->kind == RecordKind::None) return std::nullopt;
        const uint64_t payload_at = at + RecordHeader::bytes;
        if (payload_at + header->payload_bytes > end) {
            found_.whole = false;
            return resynchronise(number);
        }
        keep(*header, octets, at);
        return payload_at + header->payload_bytes;
    }

    std::optional<uint64_t> lost_if_not_padding(uint64_t at, uint64_t end) {
        const bool padding =
            readable(at, end - at) && stream(at, end - at).find_first_not_of('\0') == std::string::npos;
        if (!padding) found_.whole = false;
        return std::nullopt;
    }

    void keep(const RecordHeader& header, std::string_view octets, uint64_t at) {
        const uint64_t payload_at = at + RecordHeader::bytes;
        const bool there = header.payload_bytes == 0 || readable(payload_at, header.payload_bytes);
        const std::string payload = there ? stream(payload_at, header.payload_bytes) : std::string();
        const bool whole = there && record_is_whole(octets, payload, identity_);
        if (!whole) found_.whole = false;
        if (header.kind == RecordKind::Echo) {
            if (auto echo = whole ? decode_directory(payload) : fail(Code::Corrupt, "")) found_.echo = *std::move(echo);
            return;
        }
        FoundRecord record{.header = header,
                           .place = place_of(at, header.payload_bytes),
                           .payload_whole = whole,
                           .hard_state = std::nullopt};
        if (header.kind == RecordKind::HardState && whole) {
            const auto state = decode_hard_state(payload);
            if (state) record.hard_state = *state;
            if (!state) found_.whole = record.payload_whole = false;
        }
        found_.records.push_back(std::move(record));
    }

    Place place_of(uint64_t at, uint32_t payload_bytes) const {
        const uint64_t offset = (found_.sector + at / sector_stream_bytes) * uint64_t{sector_bytes} +
                                sector_header_bytes + at % sector_stream_bytes;
        return {.segment = found_.segment, .offset = static_cast<uint32_t>(offset), .payload_bytes = payload_bytes};
    }

    void take_directory() {
        const uint64_t begin = (uint64_t{layout_.count} - layout_.directory) * sector_stream_bytes;
        if (layout_.directory == 0 || !readable(begin, uint64_t{layout_.directory} * sector_stream_bytes)) return;
        const std::string octets = stream(begin, RecordHeader::bytes);
        const auto header = decode_record_header(octets);
        const uint64_t room = uint64_t{layout_.directory} * sector_stream_bytes - RecordHeader::bytes;
        if (!header || header->kind != RecordKind::Directory || header->payload_bytes > room) return;
        const std::string payload = stream(begin + RecordHeader::bytes, header->payload_bytes);
        if (!record_is_whole(octets, payload, identity_)) return;
        if (auto directory = decode_directory(payload)) found_.directory = *std::move(directory);
    }

    std::string_view flush_;
    uint64_t identity_;
    FoundFlush& found_;
    SectorStamp layout_;
    std::vector<std::optional<SectorStamp>> sectors_;  // Nothing for those that are not this flush's.
};

FoundFlush read_flush(std::string_view octets, uint64_t identity, const std::vector<Sector>& sectors, uint32_t begin,
                      const SectorStamp& layout) {
    FoundFlush found{.number = layout.flush,
                     .segment = layout.segment,
                     .sector = begin,
                     .sectors = layout.count,
                     .whole = true,
                     .partial = false,
                     .records = {},
                     .directory = std::nullopt,
                     .echo = std::nullopt};
    std::vector<std::optional<SectorStamp>> own(layout.count);
    for (uint32_t i = 0; i < layout.count; ++i) {
        const Sector& sector = sectors[begin + i];
        const bool ours = sector.state == SectorState::Ours && sector.stamp.flush == layout.flush &&
                          sector.stamp.number == i && sector.stamp.count == layout.count &&
                          sector.stamp.used == layout.used && sector.stamp.directory == layout.directory;
        if (ours) own[i] = sector.stamp;
        if (sector.state == SectorState::Before) found.partial = true;
    }
    const std::string_view bytes = octets.substr(uint64_t{begin} * sector_bytes, uint64_t{layout.count} * sector_bytes);
    RecordParser(bytes, identity, found, layout, std::move(own)).parse();
    return found;
}

}  // namespace

FoundSegment read_flushes(std::string_view octets, uint64_t identity, SegmentNumber segment) {
    const auto total = static_cast<uint32_t>(octets.size() / sector_bytes);
    std::vector<Sector> sectors(total);
    for (uint32_t i = block_sectors; i < total; ++i) {
        sectors[i] = classify(octets.substr(uint64_t{i} * sector_bytes, sector_bytes), identity, segment, i);
    }

    FoundSegment found{.flushes = {}, .end_sector = block_sectors, .end_unreadable = false};
    FlushNumber newest = 0;
    for (uint32_t i = block_sectors; i < total;) {
        const SectorStamp& stamp = sectors[i].stamp;
        const bool begins = sectors[i].state == SectorState::Ours && stamp.flush > newest &&
                            i >= found.end_sector + stamp.number && (i - stamp.number) % block_sectors == 0 &&
                            i - stamp.number + stamp.count <= total;
        if (!begins) {
            ++i;
            continue;
        }
        const uint32_t begin = i - stamp.number;
        found.flushes.push_back(read_flush(octets, identity, sectors, begin, stamp));
        newest = stamp.flush;
        i = found.end_sector = begin + stamp.count;
    }
    if (found.end_sector + block_sectors <= total) {
        const auto first = sectors.begin() + found.end_sector;
        found.end_unreadable = std::all_of(first, first + block_sectors,
                                           [](const Sector& sector) { return sector.state == SectorState::Bad; });
    }
    return found;
}

OctetRange octets_of(const Place& place) {
    const uint64_t begin = place.offset / sector_bytes * uint64_t{sector_bytes};
    const uint64_t within = place.offset % sector_bytes - sector_header_bytes;
    const uint64_t sectors = sectors_for(within + RecordHeader::bytes + place.payload_bytes);
    return {begin, begin + sectors * sector_bytes};
}

Result<ReadRecord> read_record(std::string_view octets, uint64_t identity, const Place& place) {
    const OctetRange range = octets_of(place);
    if (octets.size() < range.end - range.begin) return fail(Code::Corrupt, "the segment ends inside a record");
    uint64_t within = place.offset % sector_bytes - sector_header_bytes;
    uint64_t left = RecordHeader::bytes + uint64_t{place.payload_bytes};
    std::string stream;
    stream.reserve(left);
    for (uint64_t at = 0; left > 0; at += sector_bytes) {
        const std::string_view sector = octets.substr(at, sector_bytes);
        const auto index = static_cast<uint32_t>((range.begin + at) / sector_bytes);
        const auto stamp = open_sector(sector, identity, index);
        if (!stamp || stamp->segment != place.segment) {
            return fail(Code::Corrupt, "sector " + std::to_string(index) + " of segment " +
                                           std::to_string(place.segment) + " is damaged");
        }
        const uint64_t piece = std::min(left, sector_stream_bytes - within);
        stream += sector.substr(sector_header_bytes + within, piece);
        left -= piece;
        within = 0;
    }
    const std::string_view header_octets = std::string_view(stream).substr(0, RecordHeader::bytes);
    LET(const RecordHeader header, decode_record_header(header_octets));
    std::string payload = stream.substr(RecordHeader::bytes);
    if (header.payload_bytes != payload.size() || !record_is_whole(header_octets, payload, identity)) {
        return fail(Code::Corrupt, "a record of segment " + std::to_string(place.segment) + " is damaged");
    }
    return ReadRecord{header, std::move(payload)};
}

}  // namespace polis::storage
