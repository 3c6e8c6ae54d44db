#include "services/coord/version_walk.h"

#include "base/ensure.h"

namespace polis::services {

namespace {

// A seek costs about as much as this many steps; most keys have fewer versions.
constexpr size_t steps_before_seek = 4;

bool is_tombstone(std::string_view record) { return !record.empty() && record.front() != 0; }

}  // namespace

VersionWalk::VersionWalk(const StateReader& reader, const Interval& interval, int64_t revision) : revision_(revision) {
    ENSURE(revision >= 0);
    if (interval.empty()) {
        state_ = State::End;
        return;
    }
    const storage::KeyRange range = versions_of(interval);
    cursor_ = reader.cursor(range);
    cursor_->seek(range.first);
}

size_t VersionWalk::settle(size_t records_max) {
    size_t looked = 0;
    while (state_ == State::Unsettled && looked < records_max) {
        if (!cursor_->valid()) {
            state_ = State::End;
            break;
        }
        ++looked;
        if (parse_version_key(cursor_->key()).revision.main > revision_) {
            looked += skip_newer();
        } else if (is_tombstone(cursor_->value())) {
            looked += skip_key();
        } else {
            state_ = State::Settled;
        }
    }
    return looked;
}

void VersionWalk::next() {
    ENSURE(settled());
    state_ = State::Unsettled;
    skip_key();
}

size_t VersionWalk::skip_newer() {
    prefix_ = parse_version_key(cursor_->key()).prefix;
    for (size_t step = 1; step <= steps_before_seek; ++step) {
        cursor_->next();
        if (!cursor_->valid()) return step;
        const VersionPlace place = parse_version_key(cursor_->key());
        if (place.prefix != prefix_ || place.revision.main <= revision_) return step;
    }
    append_big_endian(prefix_, ~static_cast<uint64_t>(revision_));
    cursor_->seek(prefix_);
    return steps_before_seek;
}

size_t VersionWalk::skip_key() {
    prefix_ = parse_version_key(cursor_->key()).prefix;
    for (size_t step = 1; step <= steps_before_seek; ++step) {
        cursor_->next();
        if (!cursor_->valid() || parse_version_key(cursor_->key()).prefix != prefix_) return step;
    }
    ++prefix_.back();  // From the terminator 00 01 to just after everything that ends in it.
    cursor_->seek(prefix_);
    return steps_before_seek;
}

std::string VersionWalk::key() const {
    ENSURE(settled());
    return parse_version_key(cursor_->key()).key();
}

Result<Version> VersionWalk::version() const {
    ENSURE(settled());
    return parse_record(parse_version_key(cursor_->key()).revision, cursor_->value());
}

Result<void> VersionWalk::status() const {
    if (!cursor_) return {};
    return cursor_->status();
}

}  // namespace polis::services
