#include "base/bytes.h"

#include <algorithm>

namespace polis {

Bytes Bytes::copy(std::string_view octets) { return take(std::string(octets)); }

Bytes Bytes::take(std::string octets) {
    if (octets.empty()) return Bytes();
    auto* block = new Block;
    block->octets = std::move(octets);
    return Bytes(block, block->octets);
}

Bytes Bytes::slice(size_t offset, size_t count) const {
    offset = std::min(offset, octets_.size());
    Bytes part(*this);
    part.octets_ = octets_.substr(offset, count);
    return part;
}

Bytes Bytes::compact() const {
    if (!block_ || octets_.size() * 2 >= block_->octets.size()) return *this;
    return copy(octets_);
}

std::string escaped(std::string_view octets, size_t bytes_max) {
    static constexpr char digits[] = "0123456789abcdef";
    std::string text;
    for (const char octet : octets.substr(0, bytes_max)) {
        const auto value = static_cast<unsigned char>(octet);
        if (value >= 0x20 && value < 0x7f && octet != '\\') {
            text += octet;
        } else {
            text += {'\\', 'x', digits[value >> 4], digits[value & 15]};
        }
    }
    if (octets.size() > bytes_max) text += "...(" + std::to_string(octets.size()) + " bytes)";
    return text;
}

std::ostream& operator<<(std::ostream& out, const Bytes& bytes) { return out << '"' << escaped(bytes.view()) << '"'; }

}  // namespace polis
