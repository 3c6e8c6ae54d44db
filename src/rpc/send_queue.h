// SendQueue: the octets that one stream still has to send, kept as the messages they came in.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/ensure.h"

namespace polis::rpc {

/// First in, first out. A gRPC message is preceded by its 5-octet prefix, which is made when it is sent, so that no body
/// is ever copied to make room for one. Empty, it holds next to no memory: there are many idle streams.
class SendQueue {
public:
    enum class Framing : uint8_t { Raw, Grpc, GrpcCompressed };

    void push(Bytes body, Framing framing) {
        bytes_ += body.size() + (framing == Framing::Raw ? 0 : prefix_bytes);
        pieces_.push_back({std::move(body), framing});
    }

    size_t bytes() const { return bytes_; }
    bool empty() const { return bytes_ == 0; }

    /// Hands the next `count` octets to `sink`, in order: sink(std::string_view) for prefixes, sink(Bytes) for bodies.
    /// REQUIRES: count <= bytes().
    template <class Sink>
    void take(size_t count, Sink sink) {
        ENSURE(count <= bytes_);
        bytes_ -= count;
        while (count > 0) count -= take_from_front(count, sink);
        skip_sent();
    }

private:
    static constexpr size_t prefix_bytes = 5;
    static constexpr size_t kept_pieces_max = 8;

    struct Piece {
        Bytes body;
        Framing framing;
        size_t prefix_size() const { return framing == Framing::Raw ? 0 : prefix_bytes; }
        size_t size() const { return prefix_size() + body.size(); }
    };

    template <class Sink>
    size_t take_from_front(size_t count, Sink& sink) {
        skip_sent();
        Piece& front = pieces_[first_];
        if (offset_ < front.prefix_size()) {
            const std::array<char, prefix_bytes> prefix = prefix_of(front);
            const size_t taken = std::min(count, prefix_bytes - offset_);
            sink(std::string_view(prefix.data() + offset_, taken));
            offset_ += taken;
            return taken;
        }
        const size_t begin = offset_ - front.prefix_size();
        const size_t taken = std::min(count, front.body.size() - begin);
        if (begin == 0 && taken == front.body.size()) {
            sink(std::move(front.body));
            front.body = Bytes();
            front.framing = Framing::Raw;
            offset_ = 0;
        } else {
            sink(front.body.slice(begin, taken));
            offset_ += taken;
        }
        return taken;
    }

    // Drops pieces of which nothing is left.
    void skip_sent() {
        while (first_ < pieces_.size() && offset_ == pieces_[first_].size()) {
            pieces_[first_].body = Bytes();
            ++first_;
            offset_ = 0;
        }
        if (first_ == pieces_.size()) {
            if (pieces_.capacity() > kept_pieces_max) pieces_ = {};
            pieces_.clear();
            first_ = 0;
        } else if (first_ > pieces_.size() / 2 && first_ > kept_pieces_max) {
            pieces_.erase(pieces_.begin(), pieces_.begin() + static_cast<ptrdiff_t>(first_));
            first_ = 0;
        }
    }

    static std::array<char, prefix_bytes> prefix_of(const Piece& piece) {
        const size_t size = piece.body.size();
        ENSURE(size <= UINT32_MAX);
        return {static_cast<char>(piece.framing == Framing::GrpcCompressed ? 1 : 0), static_cast<char>(size >> 24),
                static_cast<char>(size >> 16), static_cast<char>(size >> 8), static_cast<char>(size)};
    }

    std::vector<Piece> pieces_;
    size_t first_ = 0;   // Index of the front piece.
    size_t offset_ = 0;  // Octets of the front piece (prefix included) that are gone.
    size_t bytes_ = 0;
};

}  // namespace polis::rpc
