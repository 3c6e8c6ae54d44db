// EntryLog: run-length ballots and the cache.
#include "consensus/parts/entry_log.h"

#include <algorithm>

#include "base/ensure.h"
#include "consensus/message.h"

namespace polis::consensus {

EntryLog::EntryLog(LogPosition start, std::span<const LogPosition> positions, std::vector<Entry> tail,
                   std::vector<LogRange> damaged)
    : start_(start), last_(start) {
    for (const LogPosition& position : positions) {
        extend_runs(position);
        last_ = position;
    }
    for (LogRange range : damaged) {
        range = {std::max(range.first, start_.index.next()), std::min(range.last, last_.index)};
        if (range.first <= range.last) damaged_.push_back(range);
    }
    const auto readable = std::find_if(tail.begin(), tail.end(), [&](const Entry& entry) {
        return entry.index > start_.index && (damaged_.empty() || entry.index > damaged_.back().last);
    });
    tail.erase(tail.begin(), readable);
    ENSURE(tail.empty() || tail.back().index == last_.index);
    for (const Entry& entry : tail) cache_bytes_ += size_of(entry);
    cache_ = std::move(tail);
}

std::optional<Ballot> EntryLog::ballot_at(LogIndex index) const {
    if (index > last_.index || index < start_.index) return std::nullopt;
    if (index == last_.index) return last_.ballot;
    if (index == start_.index) return start_.ballot;
    if (index >= runs_.back().first) return runs_.back().ballot;
    const auto after =
        std::upper_bound(runs_.begin(), runs_.end(), index, [](LogIndex at, const Run& run) { return at < run.first; });
    ENSURE(after != runs_.begin());
    return std::prev(after)->ballot;
}

LogPosition EntryLog::last_at_most(LogIndex index, Ballot ballot) const {
    if (index <= start_.index) return start_;
    // Ballots never fall along the runs, so the run sought is the last that neither begins too late nor is too high.
    for (size_t at = runs_.size(); at-- > 0;) {
        if (runs_[at].first > index || runs_[at].ballot > ballot) continue;
        const LogIndex end = at + 1 < runs_.size() ? runs_[at + 1].first.previous() : last_.index;
        return {std::min(end, index), runs_[at].ballot};
    }
    return start_;
}

void EntryLog::append(Entry entry) {
    ENSURE(entry.index == last_.index.next());
    ENSURE(entry.ballot >= last_.ballot);
    extend_runs({entry.index, entry.ballot});
    last_ = {entry.index, entry.ballot};
    cache_bytes_ += size_of(entry);
    cache_.push_back(std::move(entry));
}

void EntryLog::extend_runs(const LogPosition& position) {
    ENSURE(position.index == last_.index.next());
    if (runs_.empty() || runs_.back().ballot != position.ballot) runs_.push_back({position.index, position.ballot});
}

void EntryLog::truncate_from(LogIndex index) {
    ENSURE(index > start_.index);
    if (index > last_.index) return;
    while (cache_.size() > cache_head_ && cache_.back().index >= index) {
        cache_bytes_ -= size_of(cache_.back());
        cache_.pop_back();
    }
    if (cache_.size() == cache_head_) {
        cache_.clear();
        cache_head_ = 0;
    }
    const LogIndex last = index.previous();
    const Ballot ballot = *ballot_at(last);
    while (!runs_.empty() && runs_.back().first >= index) runs_.pop_back();
    last_ = {last, ballot};
    while (!damaged_.empty() && damaged_.back().first >= index) damaged_.pop_back();
    if (!damaged_.empty()) damaged_.back().last = std::min(damaged_.back().last, last);
}

void EntryLog::compact(LogPosition position) {
    if (position.index <= start_.index) return;
    ENSURE(holds(position));
    start_ = position;
    size_t gone = 0;  // Runs that end at or before the new start.
    while (gone < runs_.size()) {
        const LogIndex end = gone + 1 < runs_.size() ? runs_[gone + 1].first.previous() : last_.index;
        if (end > position.index) break;
        ++gone;
    }
    runs_.erase(runs_.begin(), runs_.begin() + static_cast<ptrdiff_t>(gone));
    if (!runs_.empty()) runs_.front().first = std::max(runs_.front().first, position.index.next());
    while (cache_.size() > cache_head_ && cache_[cache_head_].index <= position.index) drop_cached_front();
    std::erase_if(damaged_, [&](const LogRange& range) { return range.last <= position.index; });
    if (!damaged_.empty()) damaged_.front().first = std::max(damaged_.front().first, position.index.next());
}

void EntryLog::reset(LogPosition position) {
    *this = EntryLog();
    start_ = last_ = position;
}

std::span<const Entry> EntryLog::cached(LogIndex first, LogIndex last, uint64_t bytes_max) const {
    ENSURE(is_cached(first));
    ENSURE(first <= last && last <= last_.index);
    const size_t begin = cache_head_ + (first - cache_first());
    const size_t end = begin + (last - first) + 1;
    uint64_t bytes = size_of(cache_[begin]);
    size_t at = begin + 1;
    while (at < end && bytes + size_of(cache_[at]) <= bytes_max) bytes += size_of(cache_[at++]);
    return std::span(cache_).subspan(begin, at - begin);
}

void EntryLog::evict(LogIndex durable, uint64_t bytes_max) {
    while (cache_bytes_ > bytes_max && cache_.size() > cache_head_ && cache_[cache_head_].index <= durable) {
        drop_cached_front();
    }
}

void EntryLog::drop_cached_front() {
    cache_bytes_ -= size_of(cache_[cache_head_]);
    cache_[cache_head_++].payload = Bytes();
    if (cache_head_ > 64 && cache_head_ * 2 > cache_.size()) {
        cache_.erase(cache_.begin(), cache_.begin() + static_cast<ptrdiff_t>(cache_head_));
        cache_head_ = 0;
    }
}

bool EntryLog::is_damaged(LogIndex index) const {
    return std::any_of(damaged_.begin(), damaged_.end(),
                       [&](const LogRange& range) { return range.first <= index && index <= range.last; });
}

void EntryLog::mark_damaged(LogIndex index) {
    if (index <= start_.index || index > last_.index || is_damaged(index)) return;
    while (is_cached(index)) drop_cached_front();
    const auto place =
        std::find_if(damaged_.begin(), damaged_.end(), [&](const LogRange& range) { return range.first > index; });
    damaged_.insert(place, {index, index});
}

void EntryLog::mark_repaired(LogIndex index) {
    for (size_t at = 0; at < damaged_.size(); ++at) {
        const LogRange range = damaged_[at];
        if (index < range.first || index > range.last) continue;
        damaged_.erase(damaged_.begin() + static_cast<ptrdiff_t>(at));
        const auto place = damaged_.begin() + static_cast<ptrdiff_t>(at);
        std::vector<LogRange> rest;
        if (range.first < index) rest.push_back({range.first, index.previous()});
        if (index < range.last) rest.push_back({index.next(), range.last});
        damaged_.insert(place, rest.begin(), rest.end());
        return;
    }
}

void EntryLog::add_to(Digest& digest) const {
    digest.add(start_).add(last_).add(damaged_).add(runs_.size()).add(cache_.size() - cache_head_);
    for (const Run& run : runs_) digest.add(run.first).add(run.ballot);
    for (size_t at = cache_head_; at < cache_.size(); ++at) digest.add(cache_[at]);
}

}  // namespace polis::consensus
