// Leader balance: which leadership should move to which node, so that no node leads much more than the others.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "base/id.h"
#include "base/time.h"

namespace polis::cluster {

struct LeaderBalance {
    bool enabled = true;
    /// Nothing moves before leaders, members and transfers have been undisturbed for so long: who moves at every change
    /// moves for ever.
    Duration hold = std::chrono::seconds(30);
    /// After somebody moved leaderships on demand, they stay where they were wanted for so long.
    Duration after_demand = std::chrono::minutes(10);
    uint64_t lag_entries_max = 100;  // Further behind no node is made the leader.
};

/// A node that could lead a group.
struct LeaderCandidate {
    NodeId node{};
    uint32_t priority = 0;
};

/// A group that this node leads.
struct LedGroup {
    GroupId group{};
    std::vector<LeaderCandidate>
        able;  // Its other voters that are alive, unsuspected and caught up; empty if it must stay as it is.
};

struct LeaderMove {
    GroupId group{};
    NodeId to{};

    friend bool operator==(const LeaderMove&, const LeaderMove&) = default;
};

/// The one move that this node should make now, if any. Pure. `counts`: how many groups each node leads, this one included.
///
/// A leadership goes to a node of higher priority in any case, to one of the same if that leads at least two less: then the move makes things
/// more even, and the move back would not, so nothing flaps. Groups of low ids move first: they have least to do.
std::optional<LeaderMove> plan_move(const LeaderCandidate& self, const std::vector<LedGroup>& led,
                                    const std::map<NodeId, uint64_t>& counts);

}  // namespace polis::cluster
