// Checksums and fast hashes over octets.
#pragma once

#include <cstdint>
#include <string_view>

namespace polis {

/// CRC-32C (Castagnoli, RFC 3720 appendix B.4), as stored on disk and sent to clients. `crc` continues an earlier
/// one: crc32c(b, crc32c(a)) == crc32c(a + b).
uint32_t crc32c(std::string_view octets, uint32_t crc = 0);

/// XXH3, 64 bits: its specification fixes the value, on every machine. For tables, sharding, and for comparing two stores; what must
/// be found damaged has a crc32c.
uint64_t fast_hash(std::string_view octets, uint64_t seed = 0);

}  // namespace polis
