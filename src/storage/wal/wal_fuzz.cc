// Fuzzes recovery: any octets as the segments of a log must give a log or an error, never a crash.
#include <cstdint>
#include <string>

#include "storage/wal/flush_reader.h"
#include "storage/wal/recovery.h"

namespace polis::storage {
namespace {

constexpr uint64_t identity = 0x1122334455667788;

// Makes the checksums of what looks like a sector right, so that the fuzzer gets behind them. The input's first octet decides which.
void seal(std::string& octets, SegmentNumber segment) {
    for (uint32_t i = block_sectors; (i + 1) * uint64_t{sector_bytes} <= octets.size(); ++i) {
        char* sector = octets.data() + uint64_t{i} * sector_bytes;
        const auto number = static_cast<uint16_t>((i - block_sectors) % block_sectors);
        SectorStamp stamp{.segment = segment,
                          .flush = uint64_t{(i - block_sectors) / block_sectors} + 1,
                          .number = number,
                          .count = block_sectors,
                          .used = static_cast<uint16_t>(static_cast<uint8_t>(sector[20]) % block_sectors),
                          .directory = 1,
                          .first_record = static_cast<uint16_t>(static_cast<uint8_t>(sector[24]))};
        seal_sector(sector, identity, i, stamp);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < 1 || size > (1u << 20)) return 0;
    const uint8_t mode = data[0];
    std::string octets(reinterpret_cast<const char*>(data + 1), size - 1);
    const size_t half = mode & 2 ? octets.size() / 2 / block_bytes * block_bytes : octets.size();
    std::string first = octets.substr(0, half);
    std::string second = octets.substr(half);
    if (mode & 1) {
        seal(first, 1);
        seal(second, 2);
    }
    if (first.size() >= block_bytes) static_cast<void>(decode_segment_header(first).has_value());
    Recovery recovery;
    if (!recovery.add(read_flushes(first, identity, 1))) return 0;
    if (!second.empty() && !recovery.add(read_flushes(second, identity, 2))) return 0;
    const auto log = recovery.finish();
    if (!log) return 0;
    for (const auto& [id, group] : log->groups) {
        for (LogIndex i = group.start().index.next(); group.holds(i); i = i.next()) {
            const Place& place = group.place(i);
            if (place.damaged() || place.segment != 1) continue;
            const auto record = read_record(std::string_view(first).substr(octets_of(place).begin), identity, place);
            if (!record) static_cast<void>(record.error());
        }
    }
    return 0;
}

}  // namespace polis::storage
