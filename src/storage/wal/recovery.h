// Recovery: from the flushes found in the segments to the groups' logs: what is there, what is damaged, where to go on. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "storage/wal/flush_reader.h"
#include "storage/wal/format.h"
#include "storage/wal/group_index.h"

namespace polis::storage {

/// What the segments of a log hold.
struct RecoveredLog {
    std::unique_ptr<SegmentUse> use;
    std::map<GroupId, GroupIndex> groups;
    std::map<GroupId, std::set<uint64_t>> membership_indexes;  // May name slots that are gone.

    FlushNumber last_flush = 0;               // Zero: the log is new.
    std::optional<Directory> last_directory;  // Of that flush, to be echoed; nothing if it is damaged.
    SegmentNumber segment = 0;                // Where that flush lies; zero if there is none.
    uint32_t end_sector = 0;                  // Behind it.

    /// Sectors of a flush that was cut short by a crash: to be zeroed before anything is written.
    struct Torn {
        SegmentNumber segment = 0;
        uint32_t sector = 0;
        uint32_t sectors = 0;
    };
    std::vector<Torn> torn;
    uint64_t damaged_flushes = 0;
};

/// Takes the segments in ascending order, then tells what they hold.
///
/// A flush that is not whole was cut short by a crash if it is the newest and some of its sectors were never written; it is
/// damaged if a newer flush exists (which was written only after this one was durable), or if all of its sectors were
/// written and some cannot be read. Of a damaged flush, its directory or the echo of it says what was lost.
class Recovery {
public:
    Recovery();

    /// Errors: Corrupt if the log contradicts itself.
    Result<void> add(const FoundSegment& segment);
    /// Errors: Corrupt if it cannot be told what was lost.
    Result<RecoveredLog> finish();

private:
    struct Batch {  // A LogWrite of which records have been seen, but not the last.
        std::vector<FoundRecord> records;
        bool tainted = false;  // Some may be missing.
    };

    Result<void> take(const FoundFlush& flush);
    Result<void> settle(const FoundFlush* next);
    Result<void> bridge(const FoundFlush& next);
    Result<void> apply_whole(const FoundFlush& flush);
    bool apply_records(const FoundFlush& flush);
    bool commit(const std::vector<FoundRecord>& records);
    bool commit_entry(GroupIndex& group, const FoundRecord& record, std::vector<Place>& places);
    Result<void> check(const Directory& directory) const;
    Result<void> apply_damaged(const std::vector<FoundRecord>& records, const Directory& directory);
    Result<void> restore(const GroupSummary& summary, const std::vector<FoundRecord>& records);
    void lose_region();
    void advance(const FoundFlush& flush, std::optional<Directory> directory);
    GroupIndex& group(GroupId id);
    void note_kind(GroupId group, LogIndex index, EntryKind kind);

    RecoveredLog log_;
    FlushNumber expected_ = 0;        // The next flush; zero before the first.
    std::optional<FoundFlush> held_;  // Not whole: what it is depends on what follows.
    std::optional<Batch> open_;
    bool lost_ = false;        // Flushes are missing of which nothing is known; since then no full directory was seen.
    bool unreadable_ = false;  // The log may go on in a block that cannot be read.
};

}  // namespace polis::storage
