// SegmentedWal: the Wal over segment files. Gathers writes, flushes them one flush at a time, reads entries back.
#pragma once

#include <coroutine>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/list.h"
#include "runtime/task_group.h"
#include "runtime/wait.h"
#include "storage/wal/flush_image.h"
#include "storage/wal/group_index.h"
#include "storage/wal/queued_write.h"
#include "storage/wal/recovery.h"
#include "storage/wal/segments.h"
#include "storage/wal/wal.h"

namespace polis::storage {

/// Two tasks of its own: one flushes, one prepares and deletes segments. Everything else is in its callers' coroutines.
///
/// Invariants: one flush is under way at a time; the index shows what is durable, nothing else; a segment is recycled only
/// when no durable state needs an entry in it and the current segment has a durable flush, which names all groups.
class SegmentedWal : public Wal, private runtime::TurnHook {
public:
    /// REQUIRES: start() is called before anything else.
    SegmentedWal(runtime::World world, std::unique_ptr<Segments> segments, RecoveredLog recovered, uint64_t identity,
                 Options options);
    ~SegmentedWal() override;
    void start();

    runtime::Task<void> write(GroupId group, LogWrite write) override;
    runtime::Task<std::vector<Entry>> read(GroupId group, LogRange range, uint64_t bytes_max) override;
    void compact(GroupId group, LogPosition position) override;
    void drop(GroupId group) override;
    LogIndex first_within(GroupId group, uint64_t bytes) const override;
    WalStats stats() const override;
    runtime::Task<void> close() override;

    const std::map<GroupId, GroupIndex>& groups() const { return groups_; }

private:
    // What a flush will have changed once it is durable.
    struct Stage {
        std::map<GroupId, GroupSummary> touched;
        std::vector<QueuedWrite*> finished;
        std::vector<std::pair<GroupId, LogPosition>> compacted;
        std::vector<GroupId> dropped;
        bool continues = false;
        bool open = false;
    };
    struct Parked;
    enum class Supply : uint8_t { Working, Blocked };

    // Flushing (segmented_wal.cc).
    void turn_end() override;
    void want_flush();
    bool work_waits() const;
    runtime::Task<void> flush_loop();
    runtime::Task<void> make_room();
    void begin_next_segment();
    runtime::Task<void> flush();
    runtime::Task<void> scrub(uint64_t offset, uint64_t bytes);
    void commit(const Stage& stage, Directory directory, uint64_t bytes);
    void apply(const QueuedWrite& write);
    void release_segments();
    void finish(QueuedWrite& write, Result<void> result);
    void fail_all(const Error& error);
    void stop_working(const Error& error);

    // What goes into a flush (stage.cc).
    uint64_t sectors_available() const;
    uint64_t sectors_kept(uint64_t groups) const;
    uint64_t flush_sectors_limit() const;
    bool fits_a_flush(const QueuedWrite& write) const;
    bool front_fits();
    bool is_queued(GroupId group);
    Stage build();
    void add_echo();
    void add_housekeeping(Stage& stage);
    bool add_write(Stage& stage, QueuedWrite& write, bool may_split);
    bool joins(const Stage& stage, const QueuedWrite& write) const;
    GroupSummary& touch(Stage& stage, GroupId group) const;
    void summarise(Stage& stage, const QueuedWrite& write) const;
    Directory directory_of(const Stage& stage) const;

    // Reading (read_entries.cc).
    struct Wanted {
        LogIndex index;
        Place place;
    };
    std::vector<Wanted> plan(const GroupIndex& log, LogRange range, uint64_t bytes_max) const;
    runtime::Task<std::vector<Entry>> read_run(GroupId group, std::span<const Wanted> run);
    runtime::Task<Entry> read_fragments(GroupId group, LogIndex index);
    runtime::Task<std::string> read_octets(std::shared_ptr<runtime::File> file, OctetRange range);

    runtime::Task<void> supply_loop();

    runtime::World world_;
    const uint64_t identity_;
    const Options options_;
    std::unique_ptr<Segments> segments_;
    std::unique_ptr<SegmentUse> use_;
    std::map<GroupId, GroupIndex> groups_;

    uint32_t end_sector_;                      // Where the next flush goes in the current segment.
    FlushNumber last_flush_;                   // Durable.
    std::optional<Directory> last_directory_;  // Of it; nothing: to be made of all groups.
    bool segment_begun_;                       // The current segment has a durable flush.
    bool sealed_ = true;                       // The last flush carried nothing but an echo, or there was none.
    FlushImage image_;

    List<QueuedWrite, QueuedWrite> queue_;
    SegmentNumber split_since_ =
        0;  // The first segment with a part of the LogWrite that is split over flushes; or zero.
    std::map<GroupId, LogPosition> compacting_;
    std::set<GroupId> dropping_;
    bool housekeeping_due_ = false;  // Worth a flush of its own.
    bool seal_due_ = false;
    bool closing_ = false;
    std::optional<Error> broken_;  // The disk failed, or the simulated machine crashed.
    Supply supply_ = Supply::Working;

    WalStats stats_;
    std::unique_ptr<runtime::Alarm> seal_alarm_;
    std::coroutine_handle<> parked_;  // The flush loop, while it has nothing to do.
    bool flush_wanted_ = false;
    bool flushing_ = false;            // The flush loop is not parked.
    runtime::Signal supply_changed_;   // A segment was prepared, or could not be.
    runtime::Signal segments_wanted_;  // For the supply loop: a segment was used up or became free.
    runtime::TaskGroup tasks_;
    runtime::TaskGroup supplier_;
};

}  // namespace polis::storage
