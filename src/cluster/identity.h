// Identity: who this node is, kept on its disk: DIR/node.toml.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/id.h"
#include "runtime/world.h"

namespace polis::cluster {

/// Written once, when the node first joins a cluster; only `boot` changes, with each start.
struct Identity {
    uint32_t format = 1;  // Of the whole data directory.
    ClusterId cluster{};
    NodeId node{};
    uint64_t incarnation = 0;  // Of this disk, drawn at random.
    std::string consensus;     // "raft": the cluster's choice for all groups, for ever.
    uint64_t boot = 0;         // How often the node has started.
};

/// Nothing if the directory is new. Errors: Corrupt (unreadable, or of an unknown format: says which), Io.
runtime::Task<std::optional<Identity>> load_identity(runtime::World world);
runtime::Task<void> save_identity(runtime::World world, Identity identity);

/// A member's or cluster's id as a fresh cluster derives it from what all its nodes are told: the same on each of them.
uint64_t derived_id(std::string_view token, const std::vector<std::string>& texts);

}  // namespace polis::cluster
