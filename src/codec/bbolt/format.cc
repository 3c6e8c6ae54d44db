#include "codec/bbolt/format.h"

#include <bit>
#include <cstring>

#include "base/ensure.h"

namespace polis::codec {
namespace {

static_assert(std::endian::native == std::endian::little, "integers are copied as they are");

constexpr uint32_t magic = 0xED0CDAED;
constexpr uint32_t version = 2;
constexpr size_t checksum_offset = 56;

template <class Integer>
void append_integer(std::string& target, Integer value) {
    char octets[sizeof value];
    std::memcpy(octets, &value, sizeof value);
    target.append(octets, sizeof octets);
}

template <class Integer>
Integer load_integer(std::string_view octets, size_t offset) {
    ENSURE(offset + sizeof(Integer) <= octets.size());
    Integer value;
    std::memcpy(&value, octets.data() + offset, sizeof value);
    return value;
}

bool is_page_size(uint32_t bytes) { return std::has_single_bit(bytes) && bytes >= 1024 && bytes <= 65536; }

}  // namespace

void append_bbolt(std::string& target, uint16_t value) { append_integer(target, value); }
void append_bbolt(std::string& target, uint32_t value) { append_integer(target, value); }
void append_bbolt(std::string& target, uint64_t value) { append_integer(target, value); }

uint16_t load_bbolt_u16(std::string_view octets, size_t offset) { return load_integer<uint16_t>(octets, offset); }
uint32_t load_bbolt_u32(std::string_view octets, size_t offset) { return load_integer<uint32_t>(octets, offset); }
uint64_t load_bbolt_u64(std::string_view octets, size_t offset) { return load_integer<uint64_t>(octets, offset); }

void append_bbolt(std::string& target, const BboltPageHeader& header) {
    append_bbolt(target, header.id);
    append_bbolt(target, header.flags);
    append_bbolt(target, header.count);
    append_bbolt(target, header.overflow);
}

BboltPageHeader load_bbolt_page_header(std::string_view octets) {
    return {.id = load_bbolt_u64(octets, 0),
            .flags = load_bbolt_u16(octets, 8),
            .count = load_bbolt_u16(octets, 10),
            .overflow = load_bbolt_u32(octets, 12)};
}

void append_bbolt(std::string& target, const BboltMeta& meta) {
    const size_t begin = target.size();
    append_bbolt(target, magic);
    append_bbolt(target, version);
    append_bbolt(target, meta.page_bytes);
    append_bbolt(target, uint32_t{0});  // Flags: unused.
    append_bbolt(target, meta.root);
    append_bbolt(target, meta.root_sequence);
    append_bbolt(target, meta.freelist);
    append_bbolt(target, meta.high_water);
    append_bbolt(target, meta.transaction);
    append_bbolt(target, bbolt_meta_checksum(std::string_view(target).substr(begin)));
    ENSURE(target.size() == begin + bbolt_meta_bytes);
}

std::optional<BboltMeta> load_bbolt_meta(std::string_view octets) {
    if (load_bbolt_u32(octets, 0) != magic || load_bbolt_u32(octets, 4) != version) return std::nullopt;
    if (load_bbolt_u64(octets, checksum_offset) != bbolt_meta_checksum(octets)) return std::nullopt;
    const BboltMeta meta{.page_bytes = load_bbolt_u32(octets, 8),
                         .root = load_bbolt_u64(octets, 16),
                         .root_sequence = load_bbolt_u64(octets, 24),
                         .freelist = load_bbolt_u64(octets, 32),
                         .high_water = load_bbolt_u64(octets, 40),
                         .transaction = load_bbolt_u64(octets, 48)};
    if (!is_page_size(meta.page_bytes)) return std::nullopt;
    return meta;
}

uint64_t bbolt_meta_checksum(std::string_view meta) {
    uint64_t hash = 0xcbf29ce484222325;
    for (const char octet : meta.substr(0, checksum_offset)) {
        hash = (hash ^ static_cast<uint8_t>(octet)) * 0x100000001b3;
    }
    return hash;
}

}  // namespace polis::codec
