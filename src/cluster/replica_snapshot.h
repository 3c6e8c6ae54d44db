// Snapshot transfer between replicas: the octets of one chunk, and what a receiver has gathered.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/entry.h"
#include "base/result.h"
#include "base/time.h"
#include "storage/kv/store.h"
#include "storage/kv/transfer.h"

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

/// What has arrived of a snapshot and lies in a store: kept there beside it, so that the transfer goes on after a restart.
struct Arrival {
    uint64_t transfer = 0;
    LogPosition position;
    storage::PairProgress progress;
    uint64_t hash = 0;  // Over the pairs so far, as storage::hash_pairs has it.

    /// The hash once the pairs of `batch` have come, too.
    static uint64_t hash_with(uint64_t hash, const storage::Batch& batch);
};

std::string encode(const Arrival& arrival);
Result<Arrival> decode_arrival(std::string_view octets);
/// What `store` says has arrived in it, once all of it was read again and found to be so; nothing if there is no row, or it is not so.
/// Blocking: reads the whole store.
Result<std::optional<Arrival>> verified_arrival(const storage::Store& store);

/// How long `octets` take at a rate that is not 0.
Duration time_for(uint64_t octets, uint64_t octets_per_s);

Bytes encode(const SnapshotChunk& chunk);
Result<SnapshotChunk> decode_snapshot_chunk(const Bytes& octets);
Bytes encode(const SnapshotAnswer& answer);
Result<SnapshotAnswer> decode_snapshot_answer(const Bytes& octets);

}  // namespace polis::cluster
