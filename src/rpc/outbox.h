// Outbox: octets of a connection that are ready for its socket, gathered so that one write takes them all.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/ensure.h"

namespace polis::rpc {

/// Small pieces are copied together, large ones are shared.
class Outbox {
public:
    void append(std::string_view octets) {
        copied_.append(octets);
        bytes_ += octets.size();
    }
    void append(Bytes octets) {
        if (octets.size() < shared_bytes_min) return append(octets.view());
        bytes_ += octets.size();
        shared_.push_back({copied_.size(), std::move(octets)});
    }

    size_t bytes() const { return bytes_; }
    bool empty() const { return bytes_ == 0; }

    /// What has been appended and not dropped, in order; valid until the next change.
    std::span<const std::string_view> parts() {
        parts_.clear();
        size_t begin = 0;
        for (const Shared& shared : shared_) {
            if (shared.at > begin) parts_.push_back(std::string_view(copied_).substr(begin, shared.at - begin));
            parts_.push_back(shared.octets.view());
            begin = shared.at;
        }
        if (copied_.size() > begin) parts_.push_back(std::string_view(copied_).substr(begin));

        size_t first = 0;
        size_t dropped = dropped_bytes_;
        while (first < parts_.size() && dropped >= parts_[first].size()) dropped -= parts_[first++].size();
        if (dropped > 0) parts_[first].remove_prefix(dropped);
        return std::span(parts_).subspan(first);
    }

    /// The first `count` octets have been sent. REQUIRES: there are so many.
    void drop(size_t count) {
        ENSURE(count <= bytes_);
        bytes_ -= count;
        dropped_bytes_ += count;
        if (bytes_ == 0) clear();
    }

    void clear() {
        copied_.clear();
        shared_.clear();
        bytes_ = 0;
        dropped_bytes_ = 0;
    }

    /// Gives memory back; for connections that fell idle. REQUIRES: empty().
    void trim() {
        copied_ = {};
        shared_ = {};
        parts_ = {};
    }

private:
    static constexpr size_t shared_bytes_min = 4096;  // Below, a copy is cheaper than one more part of a write.

    struct Shared {
        size_t at;  // Where in copied_ it belongs.
        Bytes octets;
    };
    std::string copied_;
    std::vector<Shared> shared_;
    std::vector<std::string_view> parts_;
    size_t bytes_ = 0;
    size_t dropped_bytes_ = 0;  // In front of them.
};

}  // namespace polis::rpc
