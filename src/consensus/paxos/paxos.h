// Multi-Paxos behind the contract of consensus/log.h. Invariants and files: README.md.
#pragma once

#include <memory>

#include "consensus/log.h"

namespace polis::consensus {

/// One participant of Multi-Paxos (Lamport, "Paxos Made Simple", 2001; Chandra, Griesemer and Redstone, "Paxos Made Live",
/// 2007), before its first input, which must be Recovered. Request ids are not 0.
/// REQUIRES: options.self is somebody; heartbeat < election_timeout; clock_drift_max < election_timeout.
std::unique_ptr<Log> make_paxos(Options options);

}  // namespace polis::consensus
