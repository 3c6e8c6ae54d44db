#include "base/bytes.h"

#include <algorithm>
#include <new>

namespace polis {

struct Bytes::StringBlock : Block {
    explicit StringBlock(std::string string)
        : Block{.owns_string = true, .octets = string.size()}, content(std::move(string)) {}
    const std::string content;
};

Bytes Bytes::copy(std::string_view octets) { return join({octets}); }

Bytes Bytes::join(std::initializer_list<std::string_view> pieces) {
    size_t size = 0;
    for (const std::string_view piece : pieces) size += piece.size();
    if (size == 0) return Bytes();
    void* place = ::operator new(sizeof(Block) + size);
    char* content = static_cast<char*>(place) + sizeof(Block);
    char* at = content;
    for (const std::string_view piece : pieces) at = std::ranges::copy(piece, at).out;
    return Bytes(new (place) Block{.owns_string = false, .octets = size}, {content, size});
}

Bytes Bytes::take(std::string octets) {
    // A block of its own costs about as much as a copy of so few.
    constexpr size_t copied_max = 256;
    if (octets.size() <= copied_max) return copy(octets);
    auto* block = new StringBlock(std::move(octets));
    return Bytes(block, block->content);
}

void Bytes::destroy(Block* block) noexcept {
    if (block->owns_string) {
        delete static_cast<StringBlock*>(block);
    } else {
        block->~Block();
        ::operator delete(block);
    }
}

Bytes Bytes::slice(size_t offset, size_t count) const {
    offset = std::min(offset, octets_.size());
    Bytes part(*this);
    part.octets_ = octets_.substr(offset, count);
    return part;
}

Bytes Bytes::compact() const {
    if (!block_ || octets_.size() * 2 >= block_->octets) return *this;
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
