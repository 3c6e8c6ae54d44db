// ByteWindow: how many bytes are on their way, by the index up to which they will be confirmed.
#pragma once

#include <cstdint>
#include <vector>

#include "base/id.h"
#include "consensus/parts/digest.h"

namespace polis::consensus {

/// Batches in flight, in order; a confirmation of an index ends all batches up to it. Constant time a batch.
/// Invariant: `last` ascends from batch to batch; bytes() is the sum over the batches.
class ByteWindow {
public:
    bool empty() const { return head_ == batches_.size(); }
    size_t count() const { return batches_.size() - head_; }
    uint64_t bytes() const { return bytes_; }

    void push(LogIndex last, uint64_t bytes) {
        batches_.push_back({last, bytes});
        bytes_ += bytes;
    }

    /// Forgets the batches whose last index is at most `index`.
    void confirm(LogIndex index) {
        while (!empty() && batches_[head_].last <= index) bytes_ -= batches_[head_++].bytes;
        if (empty()) {
            batches_.clear();
            head_ = 0;
        } else if (head_ > 64 && head_ * 2 > batches_.size()) {
            batches_.erase(batches_.begin(), batches_.begin() + static_cast<ptrdiff_t>(head_));
            head_ = 0;
        }
    }

    void clear() { *this = ByteWindow(); }

    void add_to(Digest& digest) const {
        digest.add(count());
        for (size_t at = head_; at < batches_.size(); ++at) digest.add(batches_[at].last).add(batches_[at].bytes);
    }

private:
    struct Batch {
        LogIndex last;
        uint64_t bytes;
    };
    std::vector<Batch> batches_;  // Those before head_ are confirmed and about to be erased.
    size_t head_ = 0;
    uint64_t bytes_ = 0;
};

}  // namespace polis::consensus
