// What goes into a flush: echo, housekeeping, as many queued writes as fit, and the directory of it all.
#include <algorithm>

#include "base/ensure.h"
#include "storage/wal/segmented_wal.h"

namespace polis::storage {
namespace {

// A split write goes on as long as a flush has room for at least this much of it.
constexpr uint64_t fragment_bytes_min = 1024;

GroupSummary summary_of(GroupId id, const GroupIndex& log) {
    return {.group = id,
            .dropped = false,
            .lowest = LogIndex(),
            .start = log.start(),
            .last = log.last(),
            .hard_state = log.hard_state};
}

}  // namespace

// ---- Room ----

// Sectors that a flush of housekeeping for so many groups may take. Kept free in the last segment, so that compactions, which
// free segments, can be made durable when everything else is refused.
uint64_t SegmentedWal::sectors_kept(uint64_t groups) const {
    if (last_directory_) groups = std::max<uint64_t>(groups, last_directory_->groups.size());
    const uint64_t stream =
        RecordHeader::bytes + directory_fixed_bytes + groups * (GroupSummary::bytes + RecordHeader::bytes);
    return whole_blocks(sectors_for(stream) + directory_sectors(groups));
}

uint64_t SegmentedWal::sectors_available() const {
    const uint64_t left = segments_->current().sectors() - end_sector_;
    if (segments_->next()) return left;
    const uint64_t kept = sectors_kept(groups_.size() + 1);
    return left > kept ? left - kept : 0;
}

// Of any flush: the option's octets of records, and what goes with them at most.
uint64_t SegmentedWal::flush_sectors_limit() const {
    const uint64_t wanted = sectors_kept(groups_.size() + 1) + whole_blocks(sectors_for(options_.flush_bytes_max));
    const uint64_t segment = segments_->current().sectors() - block_sectors;
    return std::min<uint64_t>({wanted, segment, flush_sectors_max});
}

// If not, it is split over flushes.
bool SegmentedWal::fits_a_flush(const QueuedWrite& write) const {
    const uint64_t groups = groups_.size() + 1;
    const uint64_t sectors = sectors_kept(groups) + whole_blocks(sectors_for(write.stream_bytes()));
    // Half a segment at most: otherwise little more than that could be left unused at the end of each.
    return sectors <= flush_sectors_limit() && sectors <= segments_->current().sectors() / 2;
}

// Whether the current segment can take what comes first.
bool SegmentedWal::front_fits() {
    const uint64_t available = sectors_available();
    if (queue_.empty()) return true;
    const QueuedWrite& write = queue_.front();
    const uint64_t groups = groups_.size() + 1;
    const bool split = write.begun() || !fits_a_flush(write);
    const uint64_t octets = split ? 2 * fragment_bytes_min : write.stream_bytes();
    return sectors_kept(groups) + whole_blocks(sectors_for(octets)) <= available;
}

// ---- Building ----

SegmentedWal::Stage SegmentedWal::build() {
    const uint64_t left = segments_->current().sectors() - end_sector_;
    image_.begin({.segment = segments_->current().number, .sector = end_sector_, .flush = last_flush_ + 1},
                 std::min(left, flush_sectors_limit()));
    Stage stage;
    add_echo();
    stage.continues = !queue_.empty() && queue_.front().begun();
    if (!stage.continues) add_housekeeping(stage);
    if (queue_.empty() || !front_fits()) return stage;

    QueuedWrite& front = queue_.front();
    const bool may_split = stage.continues || !fits_a_flush(front);
    // A write that is split begins in a flush of its own, so that what is found of it in a damaged one is known to be its.
    if (!may_split || stage.touched.empty()) {
        if (!add_write(stage, front, may_split)) {
            stage.open = true;
            return stage;
        }
    }
    while (!queue_.empty()) {
        QueuedWrite& write = queue_.front();
        if (!joins(stage, write) || !add_write(stage, write, false)) break;
    }
    return stage;
}

void SegmentedWal::add_echo() {
    if (last_flush_ == 0) return;
    if (!last_directory_) {
        Stage nothing;
        last_directory_ = directory_of(nothing);
        last_directory_->flush = last_flush_;
        last_directory_->full = true;
        last_directory_->groups.clear();
        for (const auto& [id, log] : groups_) last_directory_->groups.push_back(summary_of(id, log));
    }
    RecordHeader header;
    header.kind = RecordKind::Echo;
    image_.add(header, encode(*last_directory_));
}

void SegmentedWal::add_housekeeping(Stage& stage) {
    RecordHeader header;
    header.first = header.last = true;
    // A snapshot installed meanwhile may have gone further.
    std::erase_if(compacting_, [this](const auto& each) {
        const auto found = groups_.find(each.first);
        return found == groups_.end() || each.second.index <= found->second.start().index;
    });
    for (const auto& [id, position] : compacting_) {
        header.kind = RecordKind::Compact;
        header.group = id;
        header.position = position;
        image_.add(header, {});
        GroupSummary& summary = touch(stage, id);
        summary.start = position;
        summary.last = std::max(summary.last.index, position.index) == position.index ? position : summary.last;
        stage.compacted.emplace_back(id, position);
    }
    for (const GroupId id : dropping_) {
        if (is_queued(id)) continue;  // Given before the drop, so it comes first.
        header.kind = RecordKind::Drop;
        header.group = id;
        header.position = {};
        image_.add(header, {});
        touch(stage, id).dropped = true;
        stage.dropped.push_back(id);
    }
}

// Whether the write can be part of a flush that holds others: of each group, only the first may change what was there before, so
// that no slot is written twice in one flush.
bool SegmentedWal::joins(const Stage& stage, const QueuedWrite& write) const {
    if (write.begun()) return false;
    const auto touched = stage.touched.find(write.group);
    if (touched != stage.touched.end()) {
        const LogWrite& what = write.write;
        if (what.reset_to || what.truncate_from) return false;
        if (!what.entries.empty() && what.entries.front().index <= touched->second.last.index) return false;
    }
    uint64_t groups = stage.touched.size() + 1;
    if (!segment_begun_) groups += groups_.size();
    return write.stream_bytes() <= image_.room(groups);
}

// Adds the next records of the write; true if it is complete, and then it is no longer in the queue.
bool SegmentedWal::add_write(Stage& stage, QueuedWrite& write, bool may_split) {
    const LogWrite& what = write.write;
    if (!write.begun()) {
        LogIndex start;
        if (const auto known = groups_.find(write.group); known != groups_.end()) start = known->second.start().index;
        if (const auto now = stage.touched.find(write.group); now != stage.touched.end())
            start = now->second.start.index;
        if (what.reset_to) start = what.reset_to->index;
        while (write.skipped < what.entries.size() && what.entries[write.skipped].index <= start) ++write.skipped;
    }
    const uint64_t groups = (segment_begun_ ? 0 : groups_.size()) + stage.touched.size() + 1;
    const size_t items = write.items();
    while (write.items_done < items) {
        RecordHeader header;
        header.group = write.group;
        header.first = !write.begun();
        std::string state;
        std::string_view payload;
        size_t item = write.items_done;
        const Entry* entry = nullptr;
        if (what.reset_to && item-- == 0) {
            header.kind = RecordKind::Reset;
            header.position = *what.reset_to;
        } else if (what.truncate_from && item-- == 0) {
            header.kind = RecordKind::Truncate;
            header.position.index = *what.truncate_from;
        } else if (item < what.entries.size() - write.skipped) {
            entry = &what.entries[write.skipped + item];
            header.kind = RecordKind::Entry;
            header.entry_kind = entry->kind;
            header.position = {entry->index, entry->ballot};
            header.entry_bytes = static_cast<uint32_t>(entry->payload.size());
            header.fragment_offset = write.octets_done;
            payload = entry->payload.view().substr(write.octets_done);
        } else {
            header.kind = RecordKind::HardState;
            state = encode(*what.hard_state);
            payload = state;
        }
        const uint64_t room = image_.room(groups);
        const bool fits = RecordHeader::bytes + payload.size() <= room;
        ENSURE(fits || may_split);
        if (!fits && (!entry || room < RecordHeader::bytes + fragment_bytes_min)) return false;
        if (!fits) payload = payload.substr(0, room - RecordHeader::bytes);
        const bool item_done = !entry || write.octets_done + payload.size() == entry->payload.size();
        header.last = item_done && write.items_done + 1 == items;
        const Place place = image_.add(header, payload);
        if (entry) write.places.push_back(place);
        write.octets_done = item_done ? 0 : write.octets_done + static_cast<uint32_t>(payload.size());
        write.items_done += item_done ? 1 : 0;
    }
    write.unlink();
    stage.finished.push_back(&write);
    if (items > 0) summarise(stage, write);
    return true;
}

// ---- The directory ----

GroupSummary& SegmentedWal::touch(Stage& stage, GroupId id) const {
    const auto [found, is_new] = stage.touched.try_emplace(id);
    if (!is_new) return found->second;
    const auto known = groups_.find(id);
    if (known != groups_.end()) {
        found->second = summary_of(id, known->second);
    } else {
        found->second.group = id;
    }
    return found->second;
}

void SegmentedWal::summarise(Stage& stage, const QueuedWrite& write) const {
    const LogWrite& what = write.write;
    GroupSummary& summary = touch(stage, write.group);
    ENSURE(!summary.dropped);
    if (what.reset_to) summary.start = summary.last = *what.reset_to;
    if (what.truncate_from && *what.truncate_from <= summary.last.index) {
        const LogIndex last =
            std::max(what.truncate_from->value > 0 ? what.truncate_from->previous() : LogIndex(), summary.start.index);
        // Of each group only its first write of a flush truncates, so what is left was there before the flush.
        const bool empty = last == summary.start.index;
        summary.last = empty ? summary.start : LogPosition{last, groups_.at(write.group).ballot_at(last)};
    }
    if (write.skipped < what.entries.size()) {
        const Entry& first = what.entries[write.skipped];
        const Entry& last = what.entries.back();
        ENSURE(first.index > summary.start.index);
        ENSURE(first.index <= summary.last.index.next());
        if (summary.lowest == LogIndex() || first.index < summary.lowest) summary.lowest = first.index;
        if (last.index >= summary.last.index) summary.last = {last.index, last.ballot};
    }
    if (what.hard_state) summary.hard_state = *what.hard_state;
}

Directory SegmentedWal::directory_of(const Stage& stage) const {
    Directory directory;
    directory.flush = last_flush_ + 1;
    directory.full = !segment_begun_;
    directory.continues = stage.continues;
    directory.open = stage.open;
    if (directory.full) {
        for (const auto& [id, log] : groups_) {
            if (!stage.touched.contains(id)) directory.groups.push_back(summary_of(id, log));
        }
    }
    for (const auto& [id, summary] : stage.touched) directory.groups.push_back(summary);
    return directory;
}

}  // namespace polis::storage
