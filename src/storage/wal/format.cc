#include "storage/wal/format.h"

#include <bit>
#include <cstring>

#include "base/ensure.h"
#include "base/hash.h"

namespace polis::storage {
namespace {

static_assert(std::endian::native == std::endian::little,
              "the format is little-endian and copied as it lies in memory");

constexpr std::string_view segment_magic = "POLISWAL";
constexpr uint32_t format_version = 1;
constexpr size_t segment_header_bytes = 40;
constexpr size_t second_copy_at = block_bytes / 2;
constexpr uint64_t index_max = 1ull << 62;  // Far beyond any log; keeps sums of indexes from wrapping.

enum RecordFlags : uint8_t { FirstFlag = 1, LastFlag = 2 };
enum DirectoryFlags : uint32_t { FullFlag = 1, ContinuesFlag = 2, OpenFlag = 4 };
enum SummaryFlags : uint32_t { DroppedFlag = 1 };

template <class T>
void put(char* octets, size_t at, T value) {
    std::memcpy(octets + at, &value, sizeof value);
}
template <class T>
T get(std::string_view octets, size_t at) {
    T value;
    ENSURE(at + sizeof value <= octets.size());
    std::memcpy(&value, octets.data() + at, sizeof value);
    return value;
}

// Appends fields one after the other.
class Writer {
public:
    template <class T>
    Writer& add(T value) {
        octets_.append(reinterpret_cast<const char*>(&value), sizeof value);
        return *this;
    }
    Writer& add(const Ballot& ballot) { return add(ballot.epoch).add(number_of(ballot.node)); }
    Writer& add(const LogPosition& position) { return add(position.index.value).add(position.ballot); }
    Writer& add(const HardState& state) {
        return add(state.promised).add(number_of(state.voted_for)).add(state.current_epoch).add(state.committed.value);
    }
    std::string take() { return std::move(octets_); }

private:
    std::string octets_;
};

// Takes fields one after the other. REQUIRES: the caller has checked the length.
class Reader {
public:
    explicit Reader(std::string_view octets) : octets_(octets) {}
    template <class T>
    T take() {
        const T value = get<T>(octets_, 0);
        octets_.remove_prefix(sizeof value);
        return value;
    }
    Ballot ballot() {
        const auto epoch = take<uint64_t>();
        return {epoch, NodeId{take<uint64_t>()}};
    }
    LogPosition position() {
        const LogIndex index(take<uint64_t>());
        return {index, ballot()};
    }
    HardState hard_state() {
        HardState state;
        state.promised = ballot();
        state.voted_for = NodeId{take<uint64_t>()};
        state.current_epoch = take<uint64_t>();
        state.committed = LogIndex(take<uint64_t>());
        return state;
    }

private:
    std::string_view octets_;
};

uint32_t sector_checksum(std::string_view sector, uint64_t identity, uint32_t index) {
    char seed[12];
    put(seed, 0, identity);
    put(seed, 8, index);
    return crc32c(sector.substr(4), crc32c({seed, sizeof seed}));
}

uint32_t record_checksum(std::string_view header, std::string_view payload, uint64_t identity) {
    char seed[8];
    put(seed, 0, identity);
    return crc32c(payload, crc32c(header.substr(4), crc32c({seed, sizeof seed})));
}

std::optional<SegmentHeader> decode_copy(std::string_view octets) {
    if (octets.size() < segment_header_bytes || !octets.starts_with(segment_magic)) return std::nullopt;
    const std::string_view covered = octets.substr(0, segment_header_bytes - 4);
    if (crc32c(covered) != get<uint32_t>(octets, segment_header_bytes - 4)) return std::nullopt;
    if (get<uint32_t>(octets, 8) != format_version) return std::nullopt;
    return SegmentHeader{.identity = get<uint64_t>(octets, 16),
                         .segment = get<uint32_t>(octets, 12),
                         .segment_bytes = get<uint64_t>(octets, 24)};
}

}  // namespace

// ---- Segment header: magic 8, version 4, segment 4, identity 8, segment_bytes 8, reserved 4, crc32c 4 ----

std::string encode(const SegmentHeader& header) {
    std::string copy = Writer().add(header.segment).add(header.identity).add(header.segment_bytes).take();
    copy = std::string(segment_magic) + Writer().add(format_version).take() + copy + std::string(4, '\0');
    copy += Writer().add(crc32c(copy)).take();
    ENSURE(copy.size() == segment_header_bytes);

    std::string block(block_bytes, '\0');
    block.replace(0, copy.size(), copy);
    block.replace(second_copy_at, copy.size(), copy);
    return block;
}

Result<SegmentHeader> decode_segment_header(std::string_view block) {
    if (const auto first = decode_copy(block)) return *first;
    if (block.size() > second_copy_at) {
        if (const auto second = decode_copy(block.substr(second_copy_at))) return *second;
    }
    return fail(Code::Corrupt,
                "not a segment of a log, or of a newer version, or both copies of its header are damaged");
}

// ---- Sector: crc32c 4, segment 4, flush 8, number 2, count 2, used 2, directory 2, first_record 2, reserved 2 ----

void seal_sector(char* sector, uint64_t identity, uint32_t index, const SectorStamp& stamp) {
    put(sector, 4, stamp.segment);
    put(sector, 8, stamp.flush);
    put(sector, 16, stamp.number);
    put(sector, 18, stamp.count);
    put(sector, 20, stamp.used);
    put(sector, 22, stamp.directory);
    put(sector, 24, stamp.first_record);
    put(sector, 26, uint16_t{0});
    put(sector, 0, sector_checksum({sector, sector_bytes}, identity, index));
}

std::optional<SectorStamp> open_sector(std::string_view sector, uint64_t identity, uint32_t index) {
    ENSURE(sector.size() == sector_bytes);
    SectorStamp stamp{.segment = get<uint32_t>(sector, 4),
                      .flush = get<uint64_t>(sector, 8),
                      .number = get<uint16_t>(sector, 16),
                      .count = get<uint16_t>(sector, 18),
                      .used = get<uint16_t>(sector, 20),
                      .directory = get<uint16_t>(sector, 22),
                      .first_record = get<uint16_t>(sector, 24)};
    const bool sound = stamp.segment > 0 && stamp.flush > 0 && stamp.number < stamp.count &&
                       stamp.count % block_sectors == 0 && stamp.used + stamp.directory <= stamp.count &&
                       (stamp.first_record < sector_stream_bytes || stamp.first_record == SectorStamp::no_record);
    if (!sound) return std::nullopt;
    if (get<uint32_t>(sector, 0) != sector_checksum(sector, identity, index)) return std::nullopt;
    return stamp;
}

// ---- Record header: crc32c 4, payload_bytes 4, kind 1, flags 1, entry_kind 1, reserved 1, group 4, index 8, epoch 8,
//      node 8, fragment_offset 4, entry_bytes 4 ----

EncodedRecordHeader encode(const RecordHeader& header, uint64_t identity, std::string_view payload) {
    ENSURE(payload.size() == header.payload_bytes);
    const auto flags = static_cast<uint8_t>((header.first ? FirstFlag : 0) | (header.last ? LastFlag : 0));
    EncodedRecordHeader octets{};
    size_t at = 4;
    const auto add = [&](auto value) {
        put(octets.data(), at, value);
        at += sizeof value;
    };
    add(header.payload_bytes);
    add(static_cast<uint8_t>(header.kind));
    add(flags);
    add(static_cast<uint8_t>(header.entry_kind));
    add(uint8_t{0});
    add(number_of(header.group));
    add(header.position.index.value);
    add(header.position.ballot.epoch);
    add(number_of(header.position.ballot.node));
    add(header.fragment_offset);
    add(header.entry_bytes);
    ENSURE(at == RecordHeader::bytes);
    put(octets.data(), 0, record_checksum({octets.data(), octets.size()}, payload, identity));
    return octets;
}

Result<RecordHeader> decode_record_header(std::string_view octets) {
    ENSURE(octets.size() >= RecordHeader::bytes);
    Reader reader(octets.substr(4));
    RecordHeader header;
    header.payload_bytes = reader.take<uint32_t>();
    const auto kind = reader.take<uint8_t>();
    const auto flags = reader.take<uint8_t>();
    const auto entry_kind = reader.take<uint8_t>();
    reader.take<uint8_t>();
    if (kind > static_cast<uint8_t>(RecordKind::Echo)) return fail(Code::Corrupt, "unknown kind of record");
    if (entry_kind > static_cast<uint8_t>(EntryKind::Membership)) return fail(Code::Corrupt, "unknown kind of entry");
    header.kind = static_cast<RecordKind>(kind);
    header.first = flags & FirstFlag;
    header.last = flags & LastFlag;
    header.entry_kind = static_cast<EntryKind>(entry_kind);
    header.group = GroupId{reader.take<uint32_t>()};
    header.position = reader.position();
    if (header.position.index.value > index_max) return fail(Code::Corrupt, "an index out of range");
    header.fragment_offset = reader.take<uint32_t>();
    header.entry_bytes = reader.take<uint32_t>();
    if (header.kind == RecordKind::Entry &&
        uint64_t{header.fragment_offset} + header.payload_bytes > header.entry_bytes) {
        return fail(Code::Corrupt, "a fragment reaches beyond its entry");
    }
    return header;
}

bool record_is_whole(std::string_view header, std::string_view payload, uint64_t identity) {
    ENSURE(header.size() == RecordHeader::bytes);
    return get<uint32_t>(header, 0) == record_checksum(header, payload, identity);
}

// ---- Hard state: promised 16, voted_for 8, current_epoch 8, committed 8 ----

std::string encode(const HardState& state) { return Writer().add(state).take(); }

Result<HardState> decode_hard_state(std::string_view octets) {
    if (octets.size() != 40) return fail(Code::Corrupt, "a hard state of the wrong length");
    return Reader(octets).hard_state();
}

// ---- Directory: flush 8, flags 4, count 4, then each group: group 4, flags 4, lowest 8, start 24, last 24, hard state 40 ----

std::string encode(const Directory& directory) {
    Writer writer;
    const uint32_t flags = (directory.full ? FullFlag : 0u) | (directory.continues ? ContinuesFlag : 0u) |
                           (directory.open ? OpenFlag : 0u);
    writer.add(directory.flush).add(flags).add(static_cast<uint32_t>(directory.groups.size()));
    for (const GroupSummary& group : directory.groups) {
        writer.add(number_of(group.group))
            .add(group.dropped ? uint32_t{DroppedFlag} : 0u)
            .add(group.lowest.value)
            .add(group.start)
            .add(group.last)
            .add(group.hard_state);
    }
    return writer.take();
}

Result<Directory> decode_directory(std::string_view octets) {
    if (octets.size() < directory_fixed_bytes) return fail(Code::Corrupt, "a directory that is too short");
    Reader reader(octets);
    Directory directory;
    directory.flush = reader.take<uint64_t>();
    const auto flags = reader.take<uint32_t>();
    const auto count = reader.take<uint32_t>();
    if (octets.size() != directory_fixed_bytes + uint64_t{count} * GroupSummary::bytes) {
        return fail(Code::Corrupt, "a directory whose length is not that of its groups");
    }
    directory.full = flags & FullFlag;
    directory.continues = flags & ContinuesFlag;
    directory.open = flags & OpenFlag;
    for (uint32_t i = 0; i < count; ++i) {
        GroupSummary group;
        group.group = GroupId{reader.take<uint32_t>()};
        group.dropped = reader.take<uint32_t>() & DroppedFlag;
        group.lowest = LogIndex(reader.take<uint64_t>());
        group.start = reader.position();
        group.last = reader.position();
        group.hard_state = reader.hard_state();
        if (group.last.index.value > index_max) return fail(Code::Corrupt, "an index out of range");
        if (group.last.index < group.start.index) return fail(Code::Corrupt, "a group that ends before it starts");
        directory.groups.push_back(group);
    }
    return directory;
}

}  // namespace polis::storage
