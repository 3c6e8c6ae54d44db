// Figures: what only the node knows of itself for /metrics: its process, its log, its peers.
#pragma once

#include "cluster/host.h"
#include "gateways/etcd/metrics.h"

namespace polis::node {

class Figures {
public:
    gateways::NodeFigures now(const cluster::Host& host) const;
};

}  // namespace polis::node
