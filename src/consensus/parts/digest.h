// Digest: one number over all state that decides what a participant will do; equal states give equal numbers.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/entry.h"
#include "base/hash.h"
#include "base/time.h"
#include "consensus/membership.h"

namespace polis::consensus {

/// Accumulates values in the order given.
class Digest {
public:
    Digest& add(uint64_t value) {
        state_ = (state_ ^ value) * 0x9e3779b97f4a7c15;
        state_ ^= state_ >> 29;
        return *this;
    }
    Digest& add(LogIndex index) { return add(index.value); }
    Digest& add(NodeId node) { return add(number_of(node)); }
    Digest& add(const Ballot& ballot) { return add(ballot.epoch).add(ballot.node); }
    Digest& add(Instant at) { return add(static_cast<uint64_t>(at.since_boot.count())); }
    Digest& add(const LogPosition& position) { return add(position.index).add(position.ballot); }
    Digest& add(const LogRange& range) { return add(range.first).add(range.last); }
    Digest& add(const Entry& entry) {
        add(entry.index).add(entry.ballot).add(static_cast<uint64_t>(entry.kind));
        return add(fast_hash(entry.payload.view()));
    }
    Digest& add(const Membership& membership) {
        return add(membership.voters).add(membership.outgoing).add(membership.learners).add(membership.next_learners);
    }
    template <class T>
    Digest& add(const std::optional<T>& value) {
        add(uint64_t{value.has_value()});
        return value ? add(*value) : *this;
    }
    template <class T>
    Digest& add(const std::vector<T>& values) {
        add(uint64_t{values.size()});
        for (const T& value : values) add(value);
        return *this;
    }

    uint64_t value() const { return state_; }

private:
    uint64_t state_ = 0x706f6c69735f7266;
};

}  // namespace polis::consensus
