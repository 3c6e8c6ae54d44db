// Bytes: an immutable, reference-counted slice of octets. Copying or slicing it copies no octet.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <ostream>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace polis {

/// A slice of a shared, immutable block of octets. A value: cheap to copy (one atomic increment), comparable,
/// safe to hand to another thread. The block lives until the last slice of it is gone, so a small slice that is
/// kept for long should be `compact()`ed out of a large block.
class Bytes {
public:
    Bytes() = default;

    /// A new block holding a copy of `octets`: one allocation.
    static Bytes copy(std::string_view octets);

    /// A new block holding `pieces`, one behind the other: one allocation.
    static Bytes join(std::initializer_list<std::string_view> pieces);

    /// A block that owns `octets`, without copying them (short ones are copied).
    static Bytes take(std::string octets);

    /// Octets that live for ever, such as literals; nothing is counted.
    static Bytes forever(std::string_view octets) { return Bytes(nullptr, octets); }

    Bytes(const Bytes& other) noexcept : block_(other.block_), octets_(other.octets_) { retain(); }
    Bytes(Bytes&& other) noexcept
        : block_(std::exchange(other.block_, nullptr)), octets_(std::exchange(other.octets_, std::string_view())) {}
    Bytes& operator=(Bytes other) noexcept {
        std::swap(block_, other.block_);
        std::swap(octets_, other.octets_);
        return *this;
    }
    ~Bytes() { release(); }

    std::string_view view() const { return octets_; }
    operator std::string_view() const { return octets_; }
    const char* data() const { return octets_.data(); }
    size_t size() const { return octets_.size(); }
    bool empty() const { return octets_.empty(); }
    std::string str() const { return std::string(octets_); }

    /// Octets [offset, offset + count) of this slice, sharing the block. Both are cut to what is there.
    Bytes slice(size_t offset, size_t count = std::string_view::npos) const;

    /// The same octets in a block of their own, if this slice is less than half of its block.
    Bytes compact() const;

    friend bool operator==(const Bytes& a, const Bytes& b) { return a.octets_ == b.octets_; }
    friend auto operator<=>(const Bytes& a, const Bytes& b) { return a.octets_ <=> b.octets_; }
    friend bool operator==(const Bytes& a, std::string_view b) { return a.octets_ == b; }

private:
    struct Block {
        std::atomic<uint32_t> references{1};
        const bool owns_string;  // A StringBlock; else the octets follow the block in the same allocation.
        const size_t octets;     // How many.
    };
    struct StringBlock;

    Bytes(Block* block, std::string_view octets) : block_(block), octets_(octets) {}
    void retain() noexcept {
        if (block_) block_->references.fetch_add(1, std::memory_order_relaxed);
    }
    void release() noexcept {
        if (block_ && block_->references.fetch_sub(1, std::memory_order_acq_rel) == 1) destroy(block_);
    }
    static void destroy(Block* block) noexcept;

    Block* block_ = nullptr;   // Null for literals and the empty slice.
    std::string_view octets_;  // Within the block, or for ever alive.
};

/// Writes the octets with everything unprintable escaped (\x00); for logs and test failures.
std::string escaped(std::string_view octets, size_t bytes_max = 128);
std::ostream& operator<<(std::ostream& out, const Bytes& bytes);

/// The octets of a std::byte or char range as a string_view, and back. No copy.
inline std::string_view as_view(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
inline std::span<const std::byte> as_bytes(std::string_view octets) {
    return {reinterpret_cast<const std::byte*>(octets.data()), octets.size()};
}

}  // namespace polis

template <>
struct std::hash<polis::Bytes> {
    size_t operator()(const polis::Bytes& bytes) const noexcept { return std::hash<std::string_view>()(bytes.view()); }
};
