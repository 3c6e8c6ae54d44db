#include "storage/wal/recovery.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/ensure.h"

namespace polis::storage {
namespace {

// More lost entries than this in one group are a sign that the numbers themselves are wrong.
constexpr uint64_t lost_entries_max = 16u << 20;

std::unexpected<Error> unrecoverable(FlushNumber flush, std::string_view why) {
    return fail(Code::Corrupt, "the log is damaged at flush " + std::to_string(flush) + ": " + std::string(why) +
                                   "; remove this member from the cluster, wipe its directory and add it again");
}

}  // namespace

Recovery::Recovery() { log_.use = std::make_unique<SegmentUse>(); }

GroupIndex& Recovery::group(GroupId id) { return log_.groups.try_emplace(id, *log_.use).first->second; }

void Recovery::note_kind(GroupId id, LogIndex index, EntryKind kind) {
    std::set<uint64_t>& indexes = log_.membership_indexes[id];
    if (kind == EntryKind::Membership) {
        indexes.insert(index.value);
    } else {
        indexes.erase(index.value);
    }
}

Result<void> Recovery::add(const FoundSegment& segment) {
    for (const FoundFlush& flush : segment.flushes) TRY(take(flush));
    unreadable_ = unreadable_ || segment.end_unreadable;
    return {};
}

Result<void> Recovery::take(const FoundFlush& flush) {
    if (expected_ > 0 && flush.number < expected_) return {};  // Of no life that counts.
    TRY(settle(&flush));
    TRY(bridge(flush));
    unreadable_ = false;  // Numbers are dense: nothing is missing before this one that was not accounted for.
    if (!flush.whole) {
        held_ = flush;
        return {};
    }
    return apply_whole(flush);
}

// Decides what the held flush is, now that `next`, or nothing, is known to follow it.
Result<void> Recovery::settle(const FoundFlush* next) {
    if (!held_) return {};
    const FoundFlush held = *std::exchange(held_, std::nullopt);
    const bool durable = next ? next->number > held.number : !held.partial;
    if (!durable) {
        log_.torn.push_back({.segment = held.segment, .sector = held.sector, .sectors = held.sectors});
        return {};
    }
    ++log_.damaged_flushes;
    std::optional<Directory> directory = held.directory;
    if (!directory && next && next->echo && next->echo->flush == held.number) directory = next->echo;
    if (expected_ == 0 && !(directory && directory->full)) lose_region();
    if (directory) {
        TRY(apply_damaged(held.records, *directory));
    } else if (next) {
        lose_region();
    } else {
        return unrecoverable(held.number, "the newest flush cannot be read, nor what it changed");
    }
    advance(held, std::move(directory));
    return {};
}

// Accounts for flushes that are missing before `next`.
Result<void> Recovery::bridge(const FoundFlush& next) {
    const std::optional<Directory>& echo = next.echo;
    const bool echoes_previous = echo && echo->flush + 1 == next.number;
    if (expected_ == 0) {
        // The oldest segment begins with all groups; if that flush is gone, its echo tells the same.
        if ((next.directory && next.directory->full) || (!next.whole && !next.directory)) return {};
        ++log_.damaged_flushes;
        expected_ = next.number;
        if (!echoes_previous || !echo->full) {
            lose_region();
            return {};
        }
        return apply_damaged({}, *echo);
    }
    if (next.number == expected_) return {};
    log_.damaged_flushes += next.number - expected_;
    if (next.number > expected_ + 1 || !echoes_previous) lose_region();
    if (echoes_previous) return apply_damaged({}, *echo);
    return {};
}

// Nothing is known of some flushes. What a group had committed before cannot have changed in them; all else may have.
void Recovery::lose_region() {
    lost_ = true;
    open_.reset();
    for (auto& [id, group] : log_.groups) group.mark_damaged_after(group.hard_state.committed);
}

void Recovery::advance(const FoundFlush& flush, std::optional<Directory> directory) {
    expected_ = flush.number + 1;
    log_.last_flush = flush.number;
    log_.last_directory = std::move(directory);
    log_.segment = flush.segment;
    log_.end_sector = flush.sector + flush.sectors;
}

Result<void> Recovery::apply_whole(const FoundFlush& flush) {
    // The oldest segment's first flush builds on what is no longer there: its directory says what that was.
    const bool tainted = lost_ || expected_ == 0 || (open_ && open_->tainted);
    if (!tainted && apply_records(flush)) {
        if (flush.directory) TRY(check(*flush.directory));
        advance(flush, flush.directory);
        return {};
    }
    if (!tainted) return unrecoverable(flush.number, "its records do not follow from those before");
    // What came before is incomplete: the directory says what holds now, if need be by its echo in the next flush.
    if (!flush.directory) {
        held_ = flush;
        held_->partial = false;
        return {};
    }
    TRY(apply_damaged(flush.records, *flush.directory));
    advance(flush, flush.directory);
    return {};
}

bool Recovery::apply_records(const FoundFlush& flush) {
    for (const FoundRecord& record : flush.records) {
        if (record.header.first) open_ = Batch();
        if (!open_) return false;
        open_->records.push_back(record);
        if (!record.header.last) continue;
        const Batch batch = *std::exchange(open_, std::nullopt);
        if (!commit(batch.records)) return false;
    }
    return true;
}

bool Recovery::commit(const std::vector<FoundRecord>& records) {
    std::vector<Place> places;
    for (const FoundRecord& record : records) {
        const RecordHeader& header = record.header;
        if (header.group != records.front().header.group) return false;
        if (header.kind == RecordKind::Drop) {
            log_.groups.erase(header.group);
            log_.membership_indexes.erase(header.group);
            continue;
        }
        GroupIndex& log = group(header.group);
        switch (header.kind) {
            case RecordKind::Reset: log.reset(header.position); break;
            case RecordKind::Truncate: log.truncate_from(header.position.index); break;
            case RecordKind::Compact: log.compact(header.position); break;
            case RecordKind::HardState: log.hard_state = record.hard_state.value_or(HardState()); break;
            case RecordKind::Entry:
                if (!commit_entry(log, record, places)) return false;
                break;
            default: return false;
        }
    }
    return places.empty();
}

bool Recovery::commit_entry(GroupIndex& log, const FoundRecord& record, std::vector<Place>& places) {
    const RecordHeader& header = record.header;
    places.push_back(record.place);
    if (uint64_t{header.fragment_offset} + header.payload_bytes < header.entry_bytes) return true;
    const std::vector<Place> whole = std::exchange(places, {});
    const LogIndex index = header.position.index;
    if (index <= log.start().index) return true;  // Compacted while it was being written.
    if (index > log.last_index().next()) return false;
    log.put(index, header.position.ballot, whole);
    note_kind(header.group, index, header.entry_kind);
    return true;
}

// An undamaged flush must have left what its directory says.
Result<void> Recovery::check(const Directory& directory) const {
    for (const GroupSummary& summary : directory.groups) {
        const auto found = log_.groups.find(summary.group);
        const bool there = found != log_.groups.end();
        bool agrees = there != summary.dropped;
        if (there && agrees) {
            const GroupIndex& log = found->second;
            agrees = log.start() == summary.start && log.last_index() == summary.last.index &&
                     log.hard_state == summary.hard_state;
        }
        if (!agrees) {
            return unrecoverable(directory.flush, "group " + std::to_string(number_of(summary.group)) +
                                                      " is not as the flush's directory says");
        }
    }
    return {};
}

Result<void> Recovery::apply_damaged(const std::vector<FoundRecord>& records, const Directory& directory) {
    std::vector<FoundRecord> found;
    if (directory.continues && open_) found = std::move(open_->records);
    open_.reset();
    found.insert(found.end(), records.begin(), records.end());
    if (directory.open) {
        // A LogWrite that is split over flushes shares them with no other: all these records are its.
        open_ = Batch{.records = std::move(found), .tainted = true};
        found.clear();
    }
    std::set<GroupId> named;
    for (const GroupSummary& summary : directory.groups) {
        named.insert(summary.group);
        TRY(restore(summary, found));
    }
    if (directory.full) {
        std::erase_if(log_.groups, [&](const auto& entry) { return !named.contains(entry.first); });
        lost_ = false;
    }
    return {};
}

Result<void> Recovery::restore(const GroupSummary& summary, const std::vector<FoundRecord>& records) {
    if (summary.dropped) {
        log_.groups.erase(summary.group);
        log_.membership_indexes.erase(summary.group);
        return {};
    }
    GroupIndex& log = group(summary.group);
    const uint64_t held = log.last_index() - log.start().index;
    if (summary.last.index - summary.start.index > held + lost_entries_max) {
        return unrecoverable(expected_, "more entries are lost than there can have been");
    }
    log.span(summary.start, summary.last);
    log.hard_state = summary.hard_state;
    if (summary.lowest == LogIndex()) return {};

    for (LogIndex i = std::max(summary.lowest, summary.start.index.next()); i <= summary.last.index; i = i.next()) {
        log.put(i, i == summary.last.index ? summary.last.ballot : log.ballot_at(i), Place());
    }
    std::vector<Place> places;
    uint64_t covered = 0;
    for (const FoundRecord& record : records) {
        const RecordHeader& header = record.header;
        if (header.kind != RecordKind::Entry || header.group != summary.group) continue;
        if (!log.holds(header.position.index) || header.position.index < summary.lowest) continue;
        if (header.fragment_offset == 0) {
            places.clear();
            covered = 0;
        }
        const bool follows = record.payload_whole && header.fragment_offset == covered;
        if (follows) places.push_back(record.place);
        if (follows) covered += header.payload_bytes;
        const bool whole = follows && covered == header.entry_bytes;
        log.put(header.position.index, header.position.ballot, whole ? places : std::vector{Place()});
        note_kind(header.group, header.position.index, header.entry_kind);
    }
    return {};
}

Result<RecoveredLog> Recovery::finish() {
    TRY(settle(nullptr));
    if (unreadable_) return unrecoverable(expected_, "what follows it cannot be read");
    if (lost_) return unrecoverable(expected_, "flushes are missing, and nothing after them names all groups");
    return std::move(log_);
}

}  // namespace polis::storage
