// Membership: who takes part in one group's consensus, and what makes a majority of them.
#pragma once

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
    std::vector<NodeId> voters;
    std::vector<NodeId> outgoing;       // The old voters, while the change to `voters` is under way; else empty.
    std::vector<NodeId> learners;       // Receive the log, count for nothing.
    std::vector<NodeId> next_learners;  // Outgoing voters that become learners when the change ends.

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

/// The payload of an EntryKind::Membership entry, and back. Stable on disk: a format byte (1), then four lists, each a
/// u32 count and u64 ids, little-endian. Errors: Invalid.
Bytes encode(const Membership& membership);
Result<Membership> decode_membership(std::string_view octets);

}  // namespace polis::consensus
