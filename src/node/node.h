// Node: one running node, built from its configuration: reactor, disk, cluster, services, gateways.
#pragma once

#include <functional>

#include "base/result.h"
#include "node/config.h"

namespace polis::node {

/// Runs a node on the calling thread until SIGTERM or SIGINT, or until it cannot go on. SIGHUP reloads certificates and what else the table
/// of options says can be.
///
/// `ready` is called once: all listeners are open and a leader is known.
/// Errors: Invalid (configuration), Exists (another process has the data directory or a port), Corrupt, Denied, Io.
Result<void> run_node(const Config& config, const std::string& config_path, std::function<void()> ready);

}  // namespace polis::node
