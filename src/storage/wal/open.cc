// Wal::open: reads the segments, recovers the groups, makes the log ready to be written.
#include <algorithm>

#include "base/ensure.h"
#include "base/log.h"
#include "storage/wal/segmented_wal.h"

namespace polis::storage {
namespace {

using runtime::done;
using runtime::Task;

constexpr uint64_t segment_bytes_min = 64u << 10;
constexpr uint64_t segment_bytes_max = 1u << 30;

Result<void> check(const Wal::Options& options) {
    if (options.segment_bytes % block_bytes != 0 || options.segment_bytes < segment_bytes_min ||
        options.segment_bytes > segment_bytes_max) {
        return fail(Code::Invalid, "segment_bytes must be a multiple of " + std::to_string(block_bytes) + " from " +
                                       std::to_string(segment_bytes_min) + " to " + std::to_string(segment_bytes_max));
    }
    if (options.record_bytes_max > UINT32_MAX / 2) return fail(Code::Invalid, "record_bytes_max must be below 2 GiB");
    return {};
}

// Zeroes what a crash has left of a flush, so that its number can be used again.
Task<void> scrub_torn(const Segments& segments, RecoveredLog::Torn torn) {
    const Segment* segment = segments.find(torn.segment);
    ENSURE(segment);
    log::info("wal_torn_tail_cut", {"segment", torn.segment}, {"sector", torn.sector}, {"sectors", torn.sectors});
    const std::string zeros(uint64_t{torn.sectors} * sector_bytes, '\0');
    const std::string_view part = zeros;
    co_return co_await segment->file->write_durably(uint64_t{torn.sector} * sector_bytes, std::span(&part, 1));
}

Task<RecoveredLog> recover(Segments& segments, uint64_t identity) {
    Recovery recovery;
    for (size_t i = 0; i < segments.chain().size(); ++i) {
        const Segment segment = segments.chain()[i];
        CO_LET(const std::string octets, co_await segments.content(segment));
        CO_TRY(recovery.add(read_flushes(octets, identity, segment.number)));
    }
    CO_LET(RecoveredLog log, recovery.finish());
    for (const RecoveredLog::Torn& torn : log.torn) CO_TRY(co_await scrub_torn(segments, torn));
    if (log.damaged_flushes > 0) log::warn("wal_damaged", {"flushes", log.damaged_flushes});
    co_return log;
}

// The newest entries, back to a damaged one at most.
Task<std::vector<Entry>> read_tail(SegmentedWal& wal, GroupId id, uint64_t bytes_max) {
    const GroupIndex& log = wal.groups().at(id);
    LogIndex first = log.last_index().next();
    uint64_t bytes = 0;
    while (first.previous() > log.start().index && !log.place(first.previous()).damaged()) {
        for (const Place& each : log.places(first.previous())) bytes += each.payload_bytes;
        if (bytes > bytes_max) break;
        first = first.previous();
    }
    std::vector<Entry> tail;
    for (LogIndex next = first; next <= log.last_index();) {
        const LogRange range{next, log.last_index()};
        Result<std::vector<Entry>> entries = co_await wal.read(id, range, UINT64_MAX);
        if (!entries && entries.error().code != Code::Corrupt) co_return std::unexpected(entries.error());
        if (!entries) {
            // It was whole when the segments were read: what comes after it is still a suffix.
            tail.clear();
            next = next.next();
            continue;
        }
        next = next + entries->size();
        std::ranges::move(*entries, std::back_inserter(tail));
    }
    co_return tail;
}

Task<GroupLog> describe(SegmentedWal& wal, GroupId id, std::vector<uint64_t> memberships, uint64_t tail_bytes_max) {
    const GroupIndex& log = wal.groups().at(id);
    GroupLog group;
    group.hard_state = log.hard_state;
    group.start = log.start();
    group.positions = log.positions();
    group.damaged = log.damaged();
    CO_LET(group.tail, co_await read_tail(wal, id, tail_bytes_max));
    for (const uint64_t each : memberships) {
        const LogIndex index(each);
        if (!log.holds(index) || log.place(index).damaged()) continue;
        const LogRange only{index, index};
        CO_LET(std::vector<Entry> entry, co_await wal.read(id, only, UINT64_MAX));
        group.membership_entries.push_back(std::move(entry.front()));
    }
    co_return group;
}

Task<std::map<GroupId, GroupLog>> describe_all(SegmentedWal& wal,
                                               const std::map<GroupId, std::set<uint64_t>>& memberships,
                                               uint64_t tail_bytes_max) {
    std::vector<GroupId> ids;
    for (const auto& [id, log] : wal.groups()) ids.push_back(id);
    std::map<GroupId, GroupLog> groups;
    for (const GroupId id : ids) {
        const auto found = memberships.find(id);
        std::vector<uint64_t> indexes;
        if (found != memberships.end()) indexes.assign(found->second.begin(), found->second.end());
        CO_LET(GroupLog group, co_await describe(wal, id, std::move(indexes), tail_bytes_max));
        groups.emplace(id, std::move(group));
    }
    co_return groups;
}

}  // namespace

Task<Wal::Opened> Wal::open(runtime::World world, std::string directory, uint64_t identity, Options options) {
    CO_TRY(check(options));
    auto segments = std::make_unique<Segments>(world.disk, directory, identity, options);
    CO_TRY(co_await segments->open());
    CO_LET(RecoveredLog log, co_await recover(*segments, identity));
    if (segments->chain().empty()) {
        CO_TRY(co_await segments->prepare());
        segments->advance();
    }
    if (log.segment == 0) {
        const SegmentNumber first = segments->chain().front().number;
        if (first != 1) {
            co_return fail(Code::Corrupt, directory + " holds no flush, but its oldest segment is number " +
                                              std::to_string(first) + ": the segments before it are missing");
        }
        log.segment = first;
        log.end_sector = block_sectors;
    }
    segments->cut_after(log.segment);
    std::map<GroupId, std::set<uint64_t>> memberships = std::move(log.membership_indexes);
    auto wal = std::make_unique<SegmentedWal>(world, std::move(segments), std::move(log), identity, options);
    wal->start();
    auto groups = co_await describe_all(*wal, memberships, options.tail_bytes_max);
    if (!groups) {
        const Result<void> closed = co_await wal->close();
        if (!closed) log::debug("wal_close_failed", {"why", closed.error().what});
        co_return std::unexpected(groups.error());
    }
    Opened opened;
    opened.wal = std::move(wal);
    opened.groups = *std::move(groups);
    co_return opened;
}

}  // namespace polis::storage
