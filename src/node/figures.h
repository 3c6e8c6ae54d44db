// Figures: what only the node knows of itself, for /metrics and the node's own page: its process, its log, its peers.
#pragma once

#include "cluster/host.h"
#include "gateways/etcd/metrics.h"
#include "node/config.h"
#include "node/node_page.h"

namespace polis::node {

/// Asks the operating system and the node's parts anew with each call. REQUIRES: the host is open.
class Figures {
public:
    gateways::NodeFigures now(const cluster::Host& host) const;
    /// All of the page but what its reader adds: the wall time and what waits for a restart.
    NodePage page(const cluster::Host& host, const Config& config) const;
};

}  // namespace polis::node
