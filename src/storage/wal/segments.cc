#include "storage/wal/segments.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <vector>

#include "base/bytes.h"
#include "base/ensure.h"
#include "base/log.h"
#include "runtime/durable_directories.h"

namespace polis::storage {
namespace {

using runtime::Disk;
using runtime::done;
using runtime::File;
using runtime::OpenMode;
using runtime::Task;

constexpr std::string_view suffix = ".log";
constexpr std::string_view temporary_name = "segment.tmp";
constexpr size_t read_piece_bytes = 4u << 20;
constexpr size_t fill_piece_bytes = 1u << 20;
constexpr char unreadable_octet = '\xee';

std::optional<SegmentNumber> number_in(std::string_view name) {
    if (name.size() != 8 + suffix.size() || !name.ends_with(suffix)) return std::nullopt;
    SegmentNumber number = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + 8, number, 16);
    if (error != std::errc() || end != name.data() + 8 || number == 0) return std::nullopt;
    return number;
}

Task<void> write_piece(File& file, uint64_t offset, std::string_view octets) {
    const std::string_view part = octets;
    co_return co_await file.write(offset, std::span(&part, 1));
}

// A piece of a segment that could not be read in one go: block by block, so that one bad block does not hide its neighbours.
Task<void> read_blocks(File& file, uint64_t offset, std::span<char> target) {
    for (size_t at = 0; at < target.size(); at += block_bytes) {
        const std::span<char> block = target.subspan(at, std::min<size_t>(block_bytes, target.size() - at));
        const Result<size_t> count = co_await file.read(offset + at, std::as_writable_bytes(block));
        if (!count && count.error().code != Code::Io) co_return std::unexpected(count.error());
        if (!count) {
            log::warn("wal_block_unreadable", {"offset", offset + at}, {"why", count.error().what});
            std::ranges::fill(block, unreadable_octet);
        }
    }
    co_return done();
}

}  // namespace

Segments::Segments(Disk& disk, std::string directory, uint64_t identity, const Wal::Options& options)
    : disk_(disk),
      directory_(std::move(directory)),
      identity_(identity),
      segment_bytes_(options.segment_bytes),
      recycled_segments_max_(options.recycled_segments_max),
      reserve_bytes_(options.reserve_bytes) {
    ENSURE(segment_bytes_ % block_bytes == 0);
}

std::string Segments::path(SegmentNumber number) const {
    return directory_ + "/" + fmt::format("{:08x}", number) + std::string(suffix);
}

uint64_t Segments::bytes_on_disk() const {
    uint64_t bytes = next_ ? next_->bytes : 0;
    for (const Segment& each : free_) bytes += each.bytes;
    for (const Segment& each : chain_) bytes += each.bytes;
    return bytes;
}

const Segment* Segments::find(SegmentNumber number) const {
    const auto found = std::ranges::lower_bound(chain_, number, {}, &Segment::number);
    return found != chain_.end() && found->number == number ? &*found : nullptr;
}

// ---- At open ----

Task<void> Segments::open() {
    CO_TRY(co_await runtime::make_directories_durably(disk_, directory_));
    CO_LET(const std::vector<std::string> names, co_await disk_.list(directory_));
    std::vector<Segment> found;
    for (const std::string& name : names) {
        CO_LET(std::optional<Segment> segment, co_await adopt(name));
        if (segment) found.push_back(*std::move(segment));
    }
    // A gap in the numbers is left to recovery, which knows whether anything in it was still needed.
    std::ranges::sort(found, {}, &Segment::number);
    std::ranges::move(found, std::back_inserter(chain_));
    co_return done();
}

Task<std::optional<Segment>> Segments::adopt(std::string name) {
    const std::string file_path = directory_ + "/" + name;
    if (name == temporary_name) {
        CO_TRY(co_await disk_.remove(file_path));
        co_return std::nullopt;
    }
    const std::optional<SegmentNumber> number = number_in(name);
    if (!number) {
        log::warn("wal_unknown_file", {"path", file_path});
        co_return std::nullopt;
    }
    CO_LET(std::unique_ptr<File> file, co_await disk_.open(file_path, OpenMode::ReadWrite));
    std::string block(block_bytes, '\0');
    const Result<size_t> count = co_await file->read(0, std::as_writable_bytes(std::span(block)));
    if (!count && count.error().code != Code::Io) co_return std::unexpected(count.error());
    const auto header = decode_segment_header(count ? std::string_view(block).substr(0, *count) : std::string_view());
    if (!header) co_return fail(Code::Corrupt, file_path + ": " + header.error().what);
    if (header->identity != identity_) {
        co_return fail(Code::Corrupt, file_path + " belongs to another node or shard; give each its own directory");
    }
    const bool sound = header->segment_bytes % block_bytes == 0 && header->segment_bytes >= 2 * block_bytes &&
                       header->segment_bytes <= UINT32_MAX;
    if (!sound) co_return fail(Code::Corrupt, file_path + " has an impossible size in its header");
    if (header->segment != *number) {
        // It was being recycled when the machine stopped: its header has its new number, its name the old one.
        file.reset();
        CO_TRY(co_await disk_.remove(file_path));
        co_return std::nullopt;
    }
    Segment segment;
    segment.number = *number;
    segment.bytes = header->segment_bytes;
    segment.file = std::move(file);
    co_return segment;
}

Task<std::string> Segments::content(Segment segment) {
    std::string octets(segment.bytes, unreadable_octet);
    for (size_t at = 0; at < octets.size(); at += read_piece_bytes) {
        const std::span<char> piece = std::span(octets).subspan(at, std::min(read_piece_bytes, octets.size() - at));
        const Result<size_t> count = co_await segment.file->read(at, std::as_writable_bytes(piece));
        if (count) continue;
        if (count.error().code != Code::Io) co_return std::unexpected(count.error());
        CO_TRY(co_await read_blocks(*segment.file, at, piece));
    }
    co_return octets;
}

void Segments::cut_after(SegmentNumber number) {
    ENSURE(!next_);
    ENSURE(!chain_.empty());
    while (chain_.back().number > number) {
        next_ = std::move(chain_.back());
        chain_.pop_back();
    }
    ENSURE(!chain_.empty());
}

// ---- In service ----

void Segments::advance() {
    ENSURE(next_);
    ENSURE(chain_.empty() || next_->number > chain_.back().number);
    chain_.push_back(*std::move(next_));
    next_.reset();
}

void Segments::release_oldest() {
    ENSURE(chain_.size() > 1);
    free_.push_back(std::move(chain_.front()));
    chain_.pop_front();
}

Task<void> Segments::prepare() {
    ENSURE(!next_);
    const SegmentNumber number = chain_.empty() ? 1 : chain_.back().number + 1;
    const bool fits = !free_.empty() && free_.front().bytes == segment_bytes_;
    Result<Segment> made = fail(Code::NoSpace, "");
    if (fits) {
        made = co_await recycle(number);
    } else {
        made = co_await make(number);
    }
    if (!made) co_return std::unexpected(made.error());
    next_ = *std::move(made);
    co_return done();
}

Task<Segment> Segments::recycle(SegmentNumber number) {
    Segment segment = std::move(free_.front());
    free_.pop_front();
    const std::string old_path = path(segment.number);
    // First the header, then the name: a crash in between leaves a file whose header and name differ, which open deletes.
    const std::string header = encode(SegmentHeader{identity_, number, segment.bytes});
    CO_TRY(co_await write_piece(*segment.file, 0, header));
    CO_TRY(co_await segment.file->sync());
    CO_TRY(co_await disk_.rename(old_path, path(number)));
    CO_TRY(co_await disk_.sync_directory(directory_));
    segment.number = number;
    co_return segment;
}

Task<Segment> Segments::make(SegmentNumber number) {
    CO_LET(const uint64_t free, co_await disk_.free_bytes());
    if (free < segment_bytes_ + reserve_bytes_) {
        co_return fail(Code::NoSpace, fmt::format("{} bytes are free; another log segment takes {} and {} are kept in "
                                                  "reserve; make room on the disk that holds {}",
                                                  free, segment_bytes_, reserve_bytes_, directory_));
    }
    const std::string temporary = directory_ + "/" + std::string(temporary_name);
    // An earlier attempt may have failed in its removal too.
    const Result<void> cleared = co_await disk_.remove(temporary);
    if (!cleared && cleared.error().code != Code::NotFound) co_return std::unexpected(cleared.error());
    CO_LET(std::unique_ptr<File> file, co_await disk_.open(temporary, OpenMode::Create));
    const Result<void> filled = co_await fill(*file, number);
    if (!filled) {
        file.reset();
        const Result<void> removed = co_await disk_.remove(temporary);
        if (!removed) log::warn("wal_segment_not_removed", {"path", temporary}, {"why", removed.error().what});
        co_return std::unexpected(filled.error());
    }
    CO_TRY(co_await disk_.rename(temporary, path(number)));
    CO_TRY(co_await disk_.sync_directory(directory_));
    Segment segment;
    segment.number = number;
    segment.bytes = segment_bytes_;
    segment.file = std::move(file);
    co_return segment;
}

// Written and synced piece by piece, so that no flush of the log has to wait behind a whole segment of zeros.
Task<void> Segments::fill(File& file, SegmentNumber number) {
    const std::string zeros(std::min<uint64_t>(fill_piece_bytes, segment_bytes_), '\0');
    for (uint64_t at = 0; at < segment_bytes_; at += zeros.size()) {
        const std::string_view piece = std::string_view(zeros).substr(0, segment_bytes_ - at);
        CO_TRY(co_await write_piece(file, at, piece));
        CO_TRY(co_await file.sync());
    }
    const std::string header = encode(SegmentHeader{identity_, number, segment_bytes_});
    CO_TRY(co_await write_piece(file, 0, header));
    co_return co_await file.sync();
}

Task<void> Segments::trim() {
    while (free_.size() > recycled_segments_max_) {
        Segment oldest = std::move(free_.front());
        free_.pop_front();
        oldest.file.reset();
        CO_TRY(co_await disk_.remove(path(oldest.number)));
    }
    co_return done();
}

}  // namespace polis::storage
