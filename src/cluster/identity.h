// Identity: who this node is, kept on its disk: DIR/node.toml.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "base/id.h"
#include "runtime/world.h"

namespace polis::cluster {

/// Written when the node first joins a cluster; after that only `boot` changes, with each start.
struct Identity {
    uint32_t format = 1;  // Of the whole data directory.
    ClusterId cluster{};
    NodeId node{};
    uint64_t incarnation = 0;  // Of this disk, drawn at random.
    std::string consensus;     // "raft": the cluster's choice for all groups, for ever.
    uint64_t boot = 0;         // How often the node has started.
    /// A founder that not all others have taken note of yet: it may not take part.
    bool founding = false;
    /// The disks of the other founders, as they were before any of them took part: by these, one that was wiped is known.
    std::map<NodeId, uint64_t> founders{};
};

/// Nothing if the directory is new. Errors: Corrupt (unreadable, or of an unknown format: says which), Io.
runtime::Task<std::optional<Identity>> load_identity(runtime::World world);
runtime::Task<void> save_identity(runtime::World world, Identity identity);

/// A member's or cluster's id as a fresh cluster derives it from what all its nodes are told: the same on each of them.
uint64_t derived_id(std::string_view token, const std::vector<std::string>& texts);

}  // namespace polis::cluster
