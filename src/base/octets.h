// OctetWriter and OctetReader: numbers and octet strings in and out of a flat buffer, little-endian, bounded.
#pragma once

#include <algorithm>
#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "base/result.h"

namespace polis {

static_assert(std::endian::native == std::endian::little, "formats are copied as they lie in memory");

/// Of a number of 64 bits in LEB128.
inline constexpr size_t varint_bytes_max = 10;

/// Writes `value` in LEB128 (seven bits an octet, least first) and returns the place behind it. REQUIRES: room for varint_bytes_max.
inline char* write_varint(char* at, uint64_t value) {
    for (; value >= 0x80; value >>= 7) *at++ = static_cast<char>(value | 0x80);
    *at++ = static_cast<char>(value);
    return at;
}

/// Appends to a buffer that it owns.
class OctetWriter {
public:
    OctetWriter() = default;
    explicit OctetWriter(std::string buffer) : out_(std::move(buffer)) {}

    template <std::unsigned_integral N>
    void number(N value) {
        out_.append(reinterpret_cast<const char*>(&value), sizeof value);
    }
    /// LEB128: seven bits an octet, least first; 1 to 10 octets.
    void varint(uint64_t value) {
        char octets[varint_bytes_max];
        out_.append(octets, write_varint(octets, value));
    }
    void octets(std::string_view value) { out_.append(value); }
    /// A varint length, then the octets.
    void text(std::string_view value) {
        varint(value.size());
        out_.append(value);
    }

    size_t size() const { return out_.size(); }
    /// Overwrites a number written earlier at `offset`. REQUIRES: it lies within.
    template <std::unsigned_integral N>
    void patch(size_t offset, N value) {
        std::memcpy(out_.data() + offset, &value, sizeof value);
    }
    const std::string& str() const { return out_; }
    std::string take() { return std::move(out_); }

private:
    std::string out_;
};

/// Reads from a buffer that outlives it. After the first value that is not wholly there (or no varint) `ok()` is false for good and every
/// further one reads as zero or empty: check once at the end.
class OctetReader {
public:
    explicit OctetReader(std::string_view in) : in_(in) {}

    template <std::unsigned_integral N>
    N number() {
        N value = 0;
        const std::string_view raw = octets(sizeof value);
        if (!raw.empty()) std::memcpy(&value, raw.data(), sizeof value);
        return value;
    }
    uint64_t varint() {
        uint64_t value = 0;
        const size_t count_max = std::min(in_.size(), varint_bytes_max);
        for (size_t i = 0; i < count_max; ++i) {
            const auto octet = static_cast<uint8_t>(in_[i]);
            if (i + 1 == varint_bytes_max && octet > 1) break;  // More than 64 bits.
            value |= static_cast<uint64_t>(octet & 0x7f) << (7 * i);
            if (octet < 0x80) {
                in_.remove_prefix(i + 1);
                return value;
            }
        }
        ok_ = false;
        in_ = {};
        return 0;
    }
    std::string_view octets(size_t count) {
        if (count > in_.size()) {
            ok_ = false;
            in_ = {};
            return {};
        }
        const std::string_view value = in_.substr(0, count);
        in_.remove_prefix(count);
        return value;
    }
    std::string_view text() {
        const uint64_t count = varint();
        return octets(count > in_.size() ? in_.size() + 1 : static_cast<size_t>(count));
    }

    std::string_view rest() const { return in_; }
    bool at_end() const { return in_.empty(); }
    bool ok() const { return ok_; }

    /// Invalid, naming `what`, unless all was there and nothing is left over.
    Result<void> finish(std::string_view what) const {
        if (!ok_) return fail(Code::Invalid, std::string(what) + " is cut short");
        if (!in_.empty()) return fail(Code::Invalid, std::string(what) + " has octets left over");
        return {};
    }

private:
    std::string_view in_;
    bool ok_ = true;
};

}  // namespace polis
