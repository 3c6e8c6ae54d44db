// The page /polis/v1/node: what a node knows of itself and of the others, as JSON, for `polis doctor` and `polis status`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/id.h"
#include "base/result.h"
#include "base/time.h"

namespace polis::node {

constexpr char node_page_path[] = "/polis/v1/node";

/// One other member, as it looks from this node (cluster::MemberHealth).
struct PeerView {
    NodeId id{};
    std::string name;
    bool connected = false;                                    // This node can speak to it.
    bool alive = false;                                        // It speaks to this node.
    double phi = 0;                                            // How strongly its silence speaks against it.
    bool suspected = false;                                    // Beyond the threshold, or never heard.
    std::optional<std::chrono::milliseconds> silent_for = {};  // Since its last sign of life; nothing: there was none.
};

struct NodePage {
    NodeId id{};
    std::string name;
    WallTime now = {};                             // The node's own clock, for comparing it with others'.
    uint64_t disk_free_bytes = 0, disk_bytes = 0;  // Of the file system that holds the data directory.
    uint64_t descriptors_open = 0, descriptors_max = 0;
    uint64_t log_syncs = 0;
    Duration log_sync_mean{0};  // Over all syncs since the start.
    std::vector<std::string> waiting_for_restart =
        {};  // Options whose value in the file, as last read, is not what the node runs with.
    std::vector<PeerView> peers = {};
};

std::string to_json(const NodePage& page);
/// Errors: Invalid.
Result<NodePage> parse_node_page(const std::string& json);

}  // namespace polis::node
