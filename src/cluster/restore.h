// Makes a node's data directory from a backup: the first state of a new cluster, the same on each of its founders.
#pragma once

#include <functional>

#include "cluster/host.h"

namespace polis::cluster {

/// Writes the state that `fill` puts into group Coord's store, as if one entry had been applied, and the identity of a founder of the
/// cluster that `options` describe. The founders must all restore the same backup, before any of them starts.
/// Errors: Exists (the directory is a node's already), Invalid, those of `fill`; then the directory is of no use: remove it.
runtime::Task<void> restore_node(runtime::World world, const HostOptions& options,
                                 const std::function<Result<void>(storage::Store&)>& fill);

}  // namespace polis::cluster
