#include "base/hash.h"

#include <isa-l/crc.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

namespace polis {

uint32_t crc32c(std::string_view octets, uint32_t crc) {
    // isa-l wants int lengths and a mutable pointer, and leaves both inversions to the caller.
    constexpr size_t piece_bytes_max = 1u << 30;
    uint32_t state = ~crc;
    while (!octets.empty()) {
        const std::string_view piece = octets.substr(0, piece_bytes_max);
        auto* data = reinterpret_cast<unsigned char*>(const_cast<char*>(piece.data()));
        state = crc32_iscsi(data, static_cast<int>(piece.size()), state);
        octets.remove_prefix(piece.size());
    }
    return ~state;
}

uint64_t fast_hash(std::string_view octets, uint64_t seed) {
    return XXH3_64bits_withSeed(octets.data(), octets.size(), seed);
}

}  // namespace polis
