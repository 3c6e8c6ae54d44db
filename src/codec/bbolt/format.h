// The parts of a bbolt file, as octets: page headers and meta pages. docs/internals/formats/bbolt.md shows the whole.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace polis::codec {

/// A page's number: its octets begin at number * page size.
using BboltPageId = uint64_t;

constexpr size_t bbolt_page_header_bytes = 16;
constexpr size_t bbolt_element_bytes = 16;        // Of leaf and branch pages, before keys and values.
constexpr size_t bbolt_bucket_header_bytes = 16;  // Root page u64, sequence u64: the value of a bucket element.
constexpr size_t bbolt_meta_bytes = 64;           // After the page header.
constexpr BboltPageId bbolt_no_freelist = ~BboltPageId{0};  // Free pages are found by looking which are not used.
constexpr size_t bbolt_key_bytes_max = 32768;
constexpr size_t bbolt_value_bytes_max = (1u << 31) - 2;

enum BboltPageFlag : uint16_t {
    bbolt_branch_page = 0x01,
    bbolt_leaf_page = 0x02,
    bbolt_meta_page = 0x04,
    bbolt_freelist_page = 0x10
};
constexpr uint32_t bbolt_bucket_element = 1;  // A leaf element's flag: its value describes a bucket.

struct BboltPageHeader {
    BboltPageId id = 0;
    uint16_t flags = 0;
    uint16_t count = 0;     // Elements on the page.
    uint32_t overflow = 0;  // Pages after this one that belong to it; they carry no header.

    friend bool operator==(const BboltPageHeader&, const BboltPageHeader&) = default;
};

struct BboltMeta {
    uint32_t page_bytes = 0;
    BboltPageId root = 0;  // Root page of the bucket that holds the buckets.
    uint64_t root_sequence = 0;
    BboltPageId freelist = bbolt_no_freelist;
    BboltPageId high_water = 0;  // Number of pages in the file.
    uint64_t transaction = 0;

    friend bool operator==(const BboltMeta&, const BboltMeta&) = default;
};

/// Appends `value` little-endian.
void append_bbolt(std::string& target, uint16_t value);
void append_bbolt(std::string& target, uint32_t value);
void append_bbolt(std::string& target, uint64_t value);

/// The little-endian integer at `offset`. REQUIRES: it lies within `octets`.
uint16_t load_bbolt_u16(std::string_view octets, size_t offset);
uint32_t load_bbolt_u32(std::string_view octets, size_t offset);
uint64_t load_bbolt_u64(std::string_view octets, size_t offset);

void append_bbolt(std::string& target, const BboltPageHeader& header);
/// REQUIRES: at least bbolt_page_header_bytes.
BboltPageHeader load_bbolt_page_header(std::string_view octets);

/// The 64 octets after a meta page's header, checksum included.
void append_bbolt(std::string& target, const BboltMeta& meta);
/// Nothing unless magic, version, checksum and page size (a power of two from 1 KiB to 64 KiB) are right. REQUIRES:
/// bbolt_meta_bytes.
std::optional<BboltMeta> load_bbolt_meta(std::string_view octets);

/// FNV-1a, 64 bits, over the first 56 octets of a meta: what its last 8 must say.
uint64_t bbolt_meta_checksum(std::string_view meta);

}  // namespace polis::codec
