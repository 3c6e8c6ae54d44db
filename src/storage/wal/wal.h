// Wal: the one log on disk of a shard, shared by all its groups; one fdatasync commits everybody's batch.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/entry.h"
#include "base/id.h"
#include "base/latency_histogram.h"
#include "runtime/world.h"

namespace polis::storage {

/// What the log on disk holds of one group. The same shape as consensus::Recovered wants.
struct GroupLog {
    HardState hard_state;
    LogPosition start;                   // The log begins after this position.
    std::vector<LogPosition> positions;  // Of every entry after `start`: ascending, dense (a damaged entry is in
                                         // `damaged` too and its position is what its record's header said).
    std::vector<Entry> tail;             // The newest entries, at most Options::tail_bytes_max of payload.
    std::vector<Entry> membership_entries;
    std::vector<LogRange>
        damaged;  // Ascending, disjoint. If even the header of an entry is lost, its position's ballot
                  // is a guess (its predecessor's, or an older entry's of that slot): do not trust it.
};

/// Counters for metrics; they only grow, but for the last two.
struct WalStats {
    uint64_t syncs = 0;
    uint64_t writes = 0;  // LogWrites made durable.
    uint64_t bytes_written = 0;
    uint64_t sync_ns_total = 0;
    LatencyHistogram sync_times;  // Of writing a flush and making it durable.
    uint64_t segments = 0;        // Now on disk, recycled ones included.
    uint64_t bytes_on_disk = 0;
};

/// The log of one shard: segments under one directory, written by one flush at a time. Lives on one reactor.
///
/// Promise: when `write` returns, its LogWrite and all that were given before it survive a crash; after a crash a
/// LogWrite is there whole or not at all, and if it is there, so are all before it. A lone write is flushed at once; those
/// that come while a flush is under way share the next one. A torn tail is cut at open; a record that was
/// whole and is not any more is reported in `damaged`, never cut. Format: docs/internals/formats/wal.md.
class Wal {
public:
    struct Options {
        uint64_t segment_bytes = 64u << 20;     // A segment's size; it is pre-written once and then recycled.
        uint32_t recycled_segments_max = 2;     // Kept for reuse; those above it are deleted.
        uint64_t flush_bytes_max = 4u << 20;    // In one flush.
        uint64_t record_bytes_max = 64u << 20;  // A larger entry is refused with Invalid.
        uint64_t tail_bytes_max = 32u << 20;    // Of entries given back at open, per group.
        uint64_t reserve_bytes = 16u << 20;  // Left free on the disk: no segment is made that would go below it. When
                                             // the last segment is full and there is no other, writes are refused
                                             // with NoSpace, until a segment is free again or there is room.
        Duration seal_after =
            std::chrono::milliseconds(20);  // After the last flush of a burst, an empty one follows, which
                                            // proves that the last was durable: damage to it can then
                                            // never pass for a crash. Zero: only at close.
    };
    struct Opened {
        std::unique_ptr<Wal> wal;
        std::map<GroupId, GroupLog> groups;
    };

    /// Opens the log in `directory` (made if absent) and reads back every group. `identity` is stored in each segment and
    /// each record's checksum: a segment of another node or shard is Corrupt.
    /// A hard state is either exactly the last one made durable, or open fails: no group can forget its vote.
    /// Errors: Corrupt (a segment header, or damage that cannot be told from lost groups), Io, NoSpace.
    static runtime::Task<Opened> open(runtime::World world, std::string directory, uint64_t identity, Options options);

    virtual ~Wal() = default;

    /// Makes `write` durable. Several may be under way; they end in the order given. Not cut short by cancellation.
    /// REQUIRES: entries ascend and leave no gap behind what the group holds; the group was not dropped.
    /// Errors: Invalid (an entry larger than record_bytes_max; more groups than a segment can name); nothing was done.
    /// NoSpace: nothing of it is on disk (nor of those given after it before the answer); reads and compaction go on, and
    /// writes succeed again when there is room. Any other error of the disk ends
    /// the process (see runtime::File::write_durably).
    virtual runtime::Task<void> write(GroupId group, LogWrite write) = 0;

    /// Entries of `range` that are there, in order, as many as fit `bytes_max` but at least one if the first is there.
    /// Errors: NotFound if the first is compacted or was never there; Corrupt if it is damaged on disk.
    virtual runtime::Task<std::vector<Entry>> read(GroupId group, LogRange range, uint64_t bytes_max) = 0;

    /// The group will never ask for entries up to and including `position` again. Durable lazily: after a crash the log may begin
    /// earlier. Segments that nobody needs are recycled.
    virtual void compact(GroupId group, LogPosition position) = 0;

    /// Forgets a group that has left this shard, lazily durable like compact.
    virtual void drop(GroupId group) = 0;

    /// The first entry from which on all that the group holds lies in the newest `bytes` of the log, all groups' records counted; the
    /// one after its last if nothing does. Entries before it hold back more than that: segments become free from the oldest on only, so one
    /// old entry of an idle group keeps everything that others wrote after it.
    virtual LogIndex first_within(GroupId group, uint64_t bytes) const = 0;

    virtual WalStats stats() const = 0;

    /// Ends after everything given before is durable; nothing may be asked for afterwards.
    /// REQUIRES: called, and ended, before the Wal is destroyed, also after a simulated crash.
    virtual runtime::Task<void> close() = 0;
};

}  // namespace polis::storage
