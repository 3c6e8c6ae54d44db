// From the configuration of a node to the options of its parts.
#pragma once

#include "cluster/host.h"
#include "gateways/etcd/gateway.h"
#include "node/config.h"
#include "rpc/server.h"
#include "services/coord/options.h"

namespace polis::node {

cluster::HostOptions host_options_of(const Config& config);
cluster::LeaderBalance balance_of(const Config& config);
services::CoordOptions coord_options_of(const Config& config);
gateways::EtcdGatewayOptions gateway_options_of(const Config& config);
rpc::ServerOptions server_options_of(const Config& config);

}  // namespace polis::node
