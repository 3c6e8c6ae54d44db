// Reading entries back: neighbours on disk are read in one go, and every sector and record is checked.
#include <algorithm>

#include "base/ensure.h"
#include "storage/wal/flush_reader.h"
#include "storage/wal/segmented_wal.h"

namespace polis::storage {
namespace {

using runtime::Task;

constexpr uint64_t run_bytes_max = 4u << 20;
constexpr uint64_t gap_bytes_max = 64u << 10;  // Reading that much for nothing is cheaper than another operation.

Entry entry_of(const RecordHeader& header, Bytes payload) {
    return {.index = header.position.index,
            .ballot = header.position.ballot,
            .kind = header.entry_kind,
            .payload = std::move(payload)};
}

Result<Entry> entry_in(std::string_view octets, uint64_t identity, GroupId group, LogIndex index, const Place& place) {
    LET(ReadRecord record, read_record(octets, identity, place));
    const RecordHeader& header = record.header;
    const bool expected = header.kind == RecordKind::Entry && header.group == group && header.position.index == index;
    if (!expected) return fail(Code::Corrupt, "another record lies where an entry was written");
    return entry_of(header, Bytes::take(std::move(record.payload)));
}

}  // namespace

Task<std::vector<Entry>> SegmentedWal::read(GroupId group, LogRange range, uint64_t bytes_max) {
    const auto found = groups_.find(group);
    if (found == groups_.end() || !found->second.holds(range.first)) {
        co_return fail(Code::NotFound, "the entry is not in the log");
    }
    if (found->second.place(range.first).damaged()) co_return fail(Code::Corrupt, "the entry is damaged on disk");

    const std::vector<Wanted> wanted = plan(found->second, range, bytes_max);
    std::vector<Entry> entries;
    entries.reserve(wanted.size());
    for (std::span<const Wanted> rest = wanted; !rest.empty();) {
        Result<std::vector<Entry>> run = co_await read_run(group, rest);
        if (!run) {
            // What was read may have been recycled meanwhile.
            const auto still = groups_.find(group);
            const bool there = still != groups_.end() && still->second.holds(range.first);
            if (!there) co_return fail(Code::NotFound, "the entry was compacted while it was read");
            if (!entries.empty()) break;
            co_return std::unexpected(run.error());
        }
        rest = rest.subspan(run->size());
        std::ranges::move(*run, std::back_inserter(entries));
    }
    co_return entries;
}

// The entries to give, as far as they are undamaged and fit.
std::vector<SegmentedWal::Wanted> SegmentedWal::plan(const GroupIndex& log, LogRange range, uint64_t bytes_max) const {
    std::vector<Wanted> wanted;
    uint64_t bytes = 0;
    for (LogIndex i = range.first; i <= range.last && log.holds(i); i = i.next()) {
        const std::vector<Place> places = log.places(i);
        if (places.front().damaged()) break;
        for (const Place& each : places) bytes += each.payload_bytes;
        if (bytes > bytes_max && !wanted.empty()) break;
        // Fragments are read one by one: place zero marks them here.
        wanted.push_back({i, places.size() == 1 ? places.front() : Place()});
    }
    return wanted;
}

// Reads as many of the first of `run` as lie close together; at least one.
Task<std::vector<Entry>> SegmentedWal::read_run(GroupId group, std::span<const Wanted> run) {
    ENSURE(!run.empty());
    std::vector<Entry> entries;
    if (run.front().place.damaged()) {
        CO_LET(Entry entry, co_await read_fragments(group, run.front().index));
        entries.push_back(std::move(entry));
        co_return entries;
    }
    OctetRange range = octets_of(run.front().place);
    size_t count = 1;
    for (; count < run.size(); ++count) {
        const Place& place = run[count].place;
        if (place.segment != run.front().place.segment || place.offset < run[count - 1].place.offset) break;
        const OctetRange next = octets_of(place);
        if (next.begin > range.end + gap_bytes_max || next.end - range.begin > run_bytes_max) break;
        range.end = std::max(range.end, next.end);
    }
    const Segment* segment = segments_->find(run.front().place.segment);
    if (!segment) co_return fail(Code::NotFound, "the segment of the entry is gone");
    const std::shared_ptr<runtime::File> file = segment->file;
    CO_LET(std::string octets, co_await read_octets(file, range));
    for (size_t i = 0; i < count; ++i) {
        const Place& place = run[i].place;
        const uint64_t at = octets_of(place).begin - range.begin;
        auto entry = entry_in(std::string_view(octets).substr(at), identity_, group, run[i].index, place);
        if (!entry) {
            // Once more, alone: a disk may misread once.
            CO_LET(const std::string again, co_await read_octets(file, octets_of(place)));
            entry = entry_in(again, identity_, group, run[i].index, place);
        }
        if (!entry && entries.empty()) co_return std::unexpected(entry.error());
        if (!entry) break;
        entries.push_back(*std::move(entry));
    }
    co_return entries;
}

Task<Entry> SegmentedWal::read_fragments(GroupId group, LogIndex index) {
    const auto found = groups_.find(group);
    if (found == groups_.end() || !found->second.holds(index)) co_return fail(Code::NotFound, "the entry is gone");
    const std::vector<Place> places = found->second.places(index);
    std::string payload;
    RecordHeader header;
    for (const Place& place : places) {
        const Segment* segment = segments_->find(place.segment);
        if (!segment) co_return fail(Code::NotFound, "the segment of the entry is gone");
        const std::shared_ptr<runtime::File> file = segment->file;
        Result<ReadRecord> record = fail(Code::Corrupt, "");
        for (int attempt = 0; attempt < 2 && !record; ++attempt) {
            CO_LET(const std::string octets, co_await read_octets(file, octets_of(place)));
            record = read_record(octets, identity_, place);
        }
        if (!record) co_return std::unexpected(record.error());
        header = record->header;
        const bool expected = header.kind == RecordKind::Entry && header.group == group &&
                              header.position.index == index && header.fragment_offset == payload.size();
        if (!expected) co_return fail(Code::Corrupt, "another record lies where a part of an entry was written");
        payload += record->payload;
    }
    if (payload.size() != header.entry_bytes) co_return fail(Code::Corrupt, "a part of an entry is missing");
    co_return entry_of(header, Bytes::take(std::move(payload)));
}

Task<std::string> SegmentedWal::read_octets(std::shared_ptr<runtime::File> file, OctetRange range) {
    std::string octets(range.end - range.begin, '\0');
    const std::span<std::byte> target = std::as_writable_bytes(std::span(octets));
    Result<size_t> count = co_await file->read(range.begin, target);
    if (!count && count.error().code == Code::Io) count = co_await file->read(range.begin, target);
    // A block that cannot be read is damaged: the entry is to be had from others.
    if (!count && count.error().code == Code::Io) co_return fail(Code::Corrupt, count.error().what);
    if (!count) co_return std::unexpected(count.error());
    co_return octets;
}

}  // namespace polis::storage
