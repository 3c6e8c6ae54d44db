#include "storage/wal/segmented_wal.h"

#include <algorithm>
#include <ranges>

#include "base/ensure.h"
#include "base/log.h"

namespace polis::storage {
namespace {

using runtime::done;
using runtime::Task;

constexpr Duration space_retry = std::chrono::seconds(1);
constexpr Duration scrub_retry = std::chrono::milliseconds(100);

}  // namespace

// Where the flush loop sleeps. Woken at the end of a turn, so that all that the turn's events gave goes into one flush.
struct SegmentedWal::Parked {
    SegmentedWal& wal;

    bool await_ready() const noexcept { return wal.flush_wanted_; }
    void await_suspend(std::coroutine_handle<> self) const noexcept {
        wal.flushing_ = false;
        wal.parked_ = self;
    }
    void await_resume() const noexcept {
        wal.flush_wanted_ = false;
        wal.flushing_ = true;
    }
};

SegmentedWal::SegmentedWal(runtime::World world, std::unique_ptr<Segments> segments, RecoveredLog recovered,
                           uint64_t identity, Options options)
    : world_(world),
      identity_(identity),
      options_(options),
      segments_(std::move(segments)),
      use_(std::move(recovered.use)),
      groups_(std::move(recovered.groups)),
      end_sector_(recovered.end_sector),
      last_flush_(recovered.last_flush),
      last_directory_(std::move(recovered.last_directory)),
      segment_begun_(last_directory_.has_value() && recovered.segment == segments_->current().number),
      image_(identity),
      tasks_(world.reactor),
      supplier_(world.reactor) {}

SegmentedWal::~SegmentedWal() {
    ENSURE(queue_.empty());
    world_.reactor.forget(*this);
}

void SegmentedWal::start() {
    seal_alarm_ = world_.reactor.make_alarm([this] {
        seal_due_ = !sealed_;
        want_flush();
    });
    flushing_ = true;
    tasks_.spawn("wal_flush", flush_loop());
    supplier_.spawn("wal_supply", supply_loop());
    release_segments();
    want_flush();
}

// ---- What callers ask for ----

Task<void> SegmentedWal::write(GroupId group, LogWrite write) {
    ENSURE(!closing_);
    ENSURE(!dropping_.contains(group));
    for (const Entry& entry : write.entries) {
        if (entry.payload.size() > options_.record_bytes_max) {
            co_return fail(Code::Invalid, "an entry of " + std::to_string(entry.payload.size()) +
                                              " bytes, more than the log's limit of " +
                                              std::to_string(options_.record_bytes_max));
        }
    }
    if (!groups_.contains(group) && sectors_kept(groups_.size() + 2) > segments_->current().sectors() / 4) {
        co_return fail(Code::Invalid, "a log with segments of " + std::to_string(options_.segment_bytes) +
                                          " bytes cannot hold more than " + std::to_string(groups_.size()) + " groups");
    }
    if (broken_) co_return std::unexpected(*broken_);
    QueuedWrite queued(group, write);
    queue_.push_back(queued);
    want_flush();
    co_return co_await queued;
}

void SegmentedWal::compact(GroupId group, LogPosition position) {
    const auto found = groups_.find(group);
    if (found == groups_.end() || position.index <= found->second.start().index) return;
    LogPosition& compacting = compacting_[group];
    if (position.index <= compacting.index) return;
    compacting = position;
    // It rides with the next flush; worth one of its own only if a segment may become free by it.
    const GroupIndex& log = found->second;
    const SegmentNumber oldest = log.last_index() > log.start().index ? log.place(log.start().index.next()).segment
                                                                      : segments_->current().number;
    const SegmentNumber after =
        log.holds(position.index.next()) ? log.place(position.index.next()).segment : segments_->current().number;
    if (oldest == after) return;
    housekeeping_due_ = true;
    want_flush();
}

void SegmentedWal::drop(GroupId group) {
    if (!groups_.contains(group) && !is_queued(group)) return;
    dropping_.insert(group);
    compacting_.erase(group);
    housekeeping_due_ = true;
    want_flush();
}

bool SegmentedWal::is_queued(GroupId group) {
    bool found = false;
    queue_.for_each([&](const QueuedWrite& write) { found = found || write.group == group; });
    return found;
}

LogIndex SegmentedWal::first_within(GroupId group, uint64_t bytes) const {
    SegmentNumber oldest = segments_->current().number + 1;
    uint64_t sum = 0;
    for (const Segment& each : std::views::reverse(segments_->chain())) {
        if (each.number > segments_->current().number) continue;  // Prepared, still empty.
        const bool current = each.number == segments_->current().number;
        sum += current ? uint64_t{end_sector_} * sector_bytes : each.bytes;
        if (sum > bytes) break;
        oldest = each.number;
    }
    const auto found = groups_.find(group);
    if (found == groups_.end()) return LogIndex(1);
    const GroupIndex& log = found->second;
    // From the end, since an entry that was written again lies in a newer segment than its successors.
    LogIndex first = log.last_index().next();
    for (; log.holds(LogIndex(first.value - 1)); first = LogIndex(first.value - 1)) {
        const Place& place = log.place(LogIndex(first.value - 1));
        if (!place.damaged() && place.segment < oldest) break;
    }
    return first;
}

WalStats SegmentedWal::stats() const {
    WalStats stats = stats_;
    stats.segments = segments_->count();
    stats.bytes_on_disk = segments_->bytes_on_disk();
    return stats;
}

Task<void> SegmentedWal::close() {
    closing_ = true;
    seal_alarm_->clear();
    seal_due_ = !sealed_;
    want_flush();
    CO_TRY(co_await tasks_.join());
    CO_TRY(co_await supplier_.stop());
    if (broken_) co_return std::unexpected(*broken_);
    co_return done();
}

// ---- Flushing ----

void SegmentedWal::want_flush() {
    if (!flushing_) world_.reactor.at_turn_end(*this);
}

void SegmentedWal::turn_end() {
    flush_wanted_ = true;
    if (parked_) world_.reactor.schedule(std::exchange(parked_, nullptr));
}

bool SegmentedWal::work_waits() const { return !queue_.empty() || housekeeping_due_ || seal_due_; }

Task<void> SegmentedWal::flush_loop() {
    for (;;) {
        if (work_waits() || closing_) world_.reactor.at_turn_end(*this);
        co_await Parked{*this};
        if (!broken_) CO_TRY(co_await make_room());
        if (!broken_ && work_waits()) CO_TRY(co_await flush());
        if (broken_) {
            fail_all(*broken_);
            housekeeping_due_ = seal_due_ = false;
        }
        if (closing_ && !work_waits()) co_return done();
    }
}

void SegmentedWal::begin_next_segment() {
    segments_->advance();
    end_sector_ = block_sectors;
    segment_begun_ = false;
    segments_wanted_.notify_all();
}

// Ends with room in the current segment for what is queued first, or with an empty queue; and with room for chores, or with
// none due.
Task<void> SegmentedWal::make_room() {
    while (!front_fits() && !broken_) {
        if (segments_->next()) {
            begin_next_segment();
            ENSURE(front_fits());
        } else if (supply_ == Supply::Blocked) {
            fail_all({Code::NoSpace, "the disk has no room for another segment of the log"});
        } else {
            CO_TRY(co_await supply_changed_.wait());
        }
    }
    if (!queue_.empty()) co_return done();
    const uint64_t kept = sectors_kept(groups_.size() + 1);
    const auto left = [this] { return segments_->current().sectors() - end_sector_; };
    if (housekeeping_due_ && left() < kept && segments_->next()) begin_next_segment();
    if (left() < kept) housekeeping_due_ = false;  // It rides along as soon as there is another segment.
    if (sectors_available() < kept) seal_due_ = false;
    co_return done();
}

Task<void> SegmentedWal::flush() {
    const Stage stage = build();
    const bool chores = !stage.compacted.empty() || !stage.dropped.empty();
    const bool carries = stage.open || !stage.touched.empty();
    housekeeping_due_ = false;
    const bool sealing = std::exchange(seal_due_, false) && !sealed_;
    if (!carries && !chores && !sealing) {
        // Nothing but empty writes: as durable as what came before them.
        for (QueuedWrite* write : stage.finished) finish(*write, {});
        co_return done();
    }
    Directory directory = directory_of(stage);
    const std::string_view octets = image_.finish(directory);
    const uint64_t bytes = octets.size();
    const uint64_t offset = uint64_t{end_sector_} * sector_bytes;
    const Instant begin = world_.reactor.now();
    const Result<void> written = co_await segments_->current().file->write_durably(offset, std::span(&octets, 1));
    const Duration took = world_.reactor.now() - begin;
    stats_.sync_ns_total += static_cast<uint64_t>(took.count());
    stats_.sync_times.note(took);
    if (written) {
        commit(stage, std::move(directory), bytes);
        co_return done();
    }
    if (written.error().code == Code::NoSpace) {
        // A part of the flush may be on its way to the disk: nobody is told "refused" before it is gone.
        CO_TRY(co_await scrub(offset, bytes));
    } else {
        stop_working(written.error());
    }
    const Error error = broken_ ? *broken_ : written.error();
    for (QueuedWrite* write : stage.finished) finish(*write, std::unexpected(error));
    fail_all(error);
    co_return done();
}

// A file whose blocks were all written once has them; only file systems that never overwrite in place come here.
Task<void> SegmentedWal::scrub(uint64_t offset, uint64_t bytes) {
    log::warn("wal_flush_refused", {"segment", segments_->current().number}, {"offset", offset}, {"bytes", bytes});
    const std::string zeros(bytes, '\0');
    for (;;) {
        const std::string_view part = zeros;
        const Result<void> written = co_await segments_->current().file->write_durably(offset, std::span(&part, 1));
        if (written) co_return done();
        if (written.error().code != Code::NoSpace) {
            stop_working(written.error());
            co_return done();
        }
        CO_TRY(co_await runtime::sleep_for(scrub_retry));
    }
}

void SegmentedWal::commit(const Stage& stage, Directory directory, uint64_t bytes) {
    ENSURE(directory.flush == last_flush_ + 1);
    end_sector_ += static_cast<uint32_t>(bytes / sector_bytes);
    ENSURE(end_sector_ <= segments_->current().sectors());
    ++last_flush_;
    segment_begun_ = true;
    sealed_ = directory.groups.empty() && !stage.open;
    last_directory_ = std::move(directory);
    if (!stage.open) split_since_ = 0;
    if (stage.open && split_since_ == 0) split_since_ = segments_->current().number;
    ++stats_.syncs;
    stats_.bytes_written += bytes;
    stats_.writes += stage.finished.size();

    for (const auto& [id, position] : stage.compacted) {
        groups_.at(id).compact(position);
        const auto still = compacting_.find(id);
        if (still != compacting_.end() && still->second.index <= position.index) compacting_.erase(still);
    }
    for (const GroupId id : stage.dropped) {
        groups_.erase(id);
        dropping_.erase(id);
    }
    for (QueuedWrite* write : stage.finished) {
        apply(*write);
        finish(*write, {});
    }
    release_segments();
    if (!sealed_ && options_.seal_after.count() > 0 && !closing_) {
        seal_alarm_->set(world_.reactor.now() + options_.seal_after);
    }
    if (closing_) seal_due_ = !sealed_ && queue_.empty();
}

void SegmentedWal::apply(const QueuedWrite& write) {
    if (write.items() == 0) return;
    const LogWrite& what = write.write;
    GroupIndex& log = groups_.try_emplace(write.group, *use_).first->second;
    if (what.reset_to) log.reset(*what.reset_to);
    if (what.truncate_from) log.truncate_from(*what.truncate_from);
    size_t next = 0;
    for (size_t i = write.skipped; i < what.entries.size(); ++i) {
        const Entry& entry = what.entries[i];
        const size_t first = next;
        uint64_t covered = 0;
        do covered += write.places.at(next++).payload_bytes;
        while (covered < entry.payload.size());
        // A compaction may have overtaken a write that was split over flushes.
        if (entry.index <= log.start().index) continue;
        log.put(entry.index, entry.ballot, std::span<const Place>(write.places).subspan(first, next - first));
    }
    ENSURE(next == write.places.size());
    if (what.hard_state) log.hard_state = *what.hard_state;
}

// Only behind a durable flush of the current segment: that names all groups, with their hard states. One whose
// directory a crash has torn off names nobody.
void SegmentedWal::release_segments() {
    if (!segment_begun_) return;
    bool released = false;
    while (segments_->chain().size() > 1) {
        const SegmentNumber oldest = segments_->chain().front().number;
        if (use_->used(oldest) || (split_since_ > 0 && oldest >= split_since_)) break;
        segments_->release_oldest();
        released = true;
    }
    if (released) segments_wanted_.notify_all();
}

void SegmentedWal::finish(QueuedWrite& write, Result<void> result) {
    write.result = std::move(result);
    if (write.waiter) write.reactor->schedule(write.waiter);
}

void SegmentedWal::fail_all(const Error& error) {
    split_since_ = 0;
    while (!queue_.empty()) {
        QueuedWrite& write = queue_.front();
        write.unlink();
        finish(write, std::unexpected(error));
    }
}

void SegmentedWal::stop_working(const Error& error) {
    if (broken_) return;
    broken_ = error;
    supply_changed_.notify_all();
    segments_wanted_.notify_all();
    if (error.code == Code::Canceled) return;
    log::error("wal_failed", {"code", name_of(error.code)}, {"why", error.what});
}

// ---- Segments ahead of need ----

Task<void> SegmentedWal::supply_loop() {
    while (!broken_) {
        if (!segments_->next()) {
            const Result<void> prepared = co_await segments_->prepare();
            const bool full = !prepared && prepared.error().code == Code::NoSpace;
            if (!prepared && !full) stop_working(prepared.error());
            if (full && supply_ == Supply::Working) log::warn("wal_no_space", {"why", prepared.error().what});
            if (prepared && supply_ == Supply::Blocked) log::info("wal_space_again");
            supply_ = full ? Supply::Blocked : Supply::Working;
            supply_changed_.notify_all();
        }
        const Result<void> trimmed = co_await segments_->trim();
        if (!trimmed) stop_working(trimmed.error());
        if (broken_) break;
        if (segments_->next()) {
            CO_TRY(co_await segments_wanted_.wait());
        } else if (supply_ == Supply::Blocked) {
            const Instant again = world_.reactor.now() + space_retry;
            const Result<void> woken = co_await runtime::with_deadline(again, segments_wanted_.wait());
            if (!woken && woken.error().code != Code::Timeout) co_return woken;
        }
    }
    co_return done();
}

}  // namespace polis::storage
