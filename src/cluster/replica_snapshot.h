// Snapshot transfer between replicas: the octets of one chunk, and what a receiver has gathered.
#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/entry.h"
#include "base/result.h"

namespace polis::cluster {

/// One piece of a group's state on its way to another node: one frame of storage::PairExporter. Pieces go one at a time, each answered; a
/// connection that breaks only delays them.
struct SnapshotChunk {
    uint64_t transfer = 0;  // Drawn by the sender for this view of its state.
    LogPosition position;   // What the state covers.
    uint64_t number = 0;    // From 0.
    Bytes frame;
};

/// How far the receiver has come.
struct SnapshotAnswer {
    uint64_t next = 0;       // The number of the piece that it waits for.
    bool installed = false;  // The whole state is in use there (or it had no need of it).
};

Bytes encode(const SnapshotChunk& chunk);
Result<SnapshotChunk> decode_snapshot_chunk(const Bytes& octets);
Bytes encode(const SnapshotAnswer& answer);
Result<SnapshotAnswer> decode_snapshot_answer(const Bytes& octets);

}  // namespace polis::cluster
