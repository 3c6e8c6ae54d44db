// Node: one running node, built from its configuration: reactor, disk, cluster, services, gateways.
#pragma once

#include <functional>

#include "base/result.h"
#include "node/config.h"

namespace polis::node {

/// Runs a node on the calling thread until SIGTERM or SIGINT, or until it cannot go on.
///
/// SIGHUP reads all sources of the configuration again, and certificates; what the table of options says can change does, the rest is
/// reported as waiting for a restart. Sources in which anything is wrong change nothing. The report is logged, and written to
/// reload.json in the data directory (node/reload.h).
///
/// `ready` is called once: all listeners are open and a leader is known.
/// Errors: Invalid (configuration), Exists (another process has the data directory or a port), Corrupt, Denied, Io.
Result<void> run_node(const ConfigSource& source, std::function<void(const Config&)> ready);

}  // namespace polis::node
