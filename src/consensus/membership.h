// Membership: who takes part in one group's consensus, and what makes a majority of them.
#pragma once

#include <algorithm>
#include <array>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/id.h"
#include "base/result.h"

namespace polis::consensus {

/// The participants of one group. While a change is under way there are two sets of voters, and a decision needs a
/// majority of each (joint consensus, Ongaro 2014 §4.3). A value; all lists sorted, without repeats.
///
/// Invariant: a node is a voter (of either set) or a learner, not both.
struct Membership {
    std::vector<NodeId> voters{};
    std::vector<NodeId> outgoing{};       // The old voters, while the change to `voters` is under way; else empty.
    std::vector<NodeId> learners{};       // Receive the log, count for nothing.
    std::vector<NodeId> next_learners{};  // Outgoing voters that become learners when the change ends.

    bool joint() const { return !outgoing.empty(); }
    bool votes(NodeId node) const;
    bool contains(NodeId node) const;
    /// Everyone to send the log to, sorted, without repeats.
    std::vector<NodeId> everyone() const;

    friend bool operator==(const Membership&, const Membership&) = default;
};

/// True if the nodes for which `counts` says so are a majority of the voters, and of the outgoing ones if joint.
template <class Counts>
bool majority(const Membership& membership, Counts counts) {
    const auto half_of = [&](const std::vector<NodeId>& voters) {
        size_t yes = 0;
        for (const NodeId node : voters) yes += counts(node) ? 1 : 0;
        return yes > voters.size() / 2;
    };
    return half_of(membership.voters) && (!membership.joint() || half_of(membership.outgoing));
}

/// The largest value that a majority has reached, if `value_of(node)` is what each node has: the index that a majority
/// stores, the round that a majority has confirmed. A default value if there are no voters.
template <class ValueOf>
auto majority_value(const Membership& membership, ValueOf value_of) {
    using Value = decltype(value_of(NodeId{}));
    const auto half_of = [&](const std::vector<NodeId>& voters) -> Value {
        constexpr size_t few = 16;  // More voters than anyone has; then, and only then, memory is allocated.
        std::array<Value, few> on_stack{};
        std::vector<Value> on_heap(voters.size() > few ? voters.size() : 0);
        const std::span<Value> values(voters.size() > few ? on_heap.data() : on_stack.data(), voters.size());
        if (values.empty()) return Value{};
        for (size_t at = 0; at < voters.size(); ++at) values[at] = value_of(voters[at]);
        std::sort(values.begin(), values.end(), std::greater<>());
        return values[voters.size() / 2];
    };
    const Value incoming = half_of(membership.voters);
    return membership.joint() ? std::min(incoming, half_of(membership.outgoing)) : incoming;
}

/// What is wrong with the lists (empty voters, repeats, a node in two roles, Nobody); nothing if they are a membership.
Result<void> check(const Membership& membership);

/// The payload of an EntryKind::Membership entry, and back. Stable on disk: a format byte (1), then four lists, each a
/// u32 count and u64 ids, little-endian. Errors: Invalid.
Bytes encode(const Membership& membership);
Result<Membership> decode_membership(std::string_view octets);

}  // namespace polis::consensus
