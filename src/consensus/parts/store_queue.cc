// StoreQueue: asynchronous completion, and merging of what a full disk refused.
#include "consensus/parts/store_queue.h"

#include <algorithm>
#include <utility>

#include "base/ensure.h"

namespace polis::consensus {

bool StoreQueue::is_durable(StoreToken token) const {
    StoreToken open = next_;
    if (!pending_.empty()) open = std::min(open, pending_.front().covers_from);
    if (refused_) open = std::min(open, refused_->covers_from);
    return token < open;
}

std::optional<Store> StoreQueue::add(LogWrite write, std::vector<Entry> repairs, const EntryLog& log) {
    ENSURE(!write.empty() || !repairs.empty());
    Pending pending{.token = next_, .covers_from = next_};
    pending.truncate_from = write.truncate_from;
    pending.reset_to = write.reset_to;
    if (!write.entries.empty()) {
        pending.first = write.entries.front().index;
        pending.durable_to = log.last().index;
    }
    if (!repairs.empty()) {
        write.entries.insert(write.entries.begin(), repairs.begin(), repairs.end());
        pending.repaired = std::move(repairs);
    }
    if (out_of_space_) {
        ++next_;
        absorb(std::move(pending));
        return std::nullopt;
    }
    return give(std::move(pending), std::move(write));
}

Store StoreQueue::give(Pending pending, LogWrite write) {
    pending.token = next_++;
    ENSURE(pending_.empty() || pending_.back().token < pending.covers_from);
    pending_.push_back(std::move(pending));
    return {pending_.back().token, std::move(write)};
}

void StoreQueue::truncate_from(LogIndex index) {
    const LogIndex last = index.previous();
    durable_ = std::min(durable_, last);
    for (Pending& pending : pending_) pending.durable_to = std::min(pending.durable_to, last);
    if (refused_) refused_->durable_to = std::min(refused_->durable_to, last);
}

void StoreQueue::reset(LogIndex start) {
    for (Pending& pending : pending_) pending.durable_to = LogIndex();
    if (refused_) refused_->durable_to = LogIndex();
    durable_ = start;
}

std::vector<LogPosition> StoreQueue::stored(StoreToken token) {
    ENSURE(token < next_);
    std::vector<LogPosition> repaired;
    while (!pending_.empty() && pending_.front().token <= token) {
        durable_ = std::max(durable_, pending_.front().durable_to);
        for (const Entry& entry : pending_.front().repaired) repaired.push_back({entry.index, entry.ballot});
        pending_.pop_front();
        if (!refused_) out_of_space_ = false;
    }
    return repaired;
}

void StoreQueue::refused(StoreToken token) {
    ENSURE(token < next_);
    if (pending_.empty() || pending_.back().token < token) return;  // Refused already, with an earlier one.
    const auto first =
        std::find_if(pending_.begin(), pending_.end(), [&](const Pending& pending) { return pending.token >= token; });
    std::optional<Pending> after = std::exchange(refused_, std::nullopt);
    for (auto at = first; at != pending_.end(); ++at) absorb(std::move(*at));
    if (after) absorb(*std::move(after));
    pending_.erase(first, pending_.end());
    out_of_space_ = true;
}

// Merges a refused write into those refused before it, so that one Store does the work of all.
void StoreQueue::absorb(Pending later) {
    if (!refused_) {
        refused_ = std::move(later);
        return;
    }
    Pending& all = *refused_;
    ENSURE(all.token < later.token);
    const auto lower = [](std::optional<LogIndex> a, std::optional<LogIndex> b) {
        return a && b ? std::min(a, b) : a ? a : b;
    };
    all.token = later.token;
    if (later.reset_to) {
        all = Pending{.token = later.token, .covers_from = all.covers_from, .reset_to = later.reset_to};
    }
    all.durable_to = std::max(all.durable_to, later.durable_to);
    all.truncate_from = lower(all.truncate_from, later.truncate_from);
    all.first = lower(all.first, later.first);
    for (Entry& entry : later.repaired) all.repaired.push_back(std::move(entry));
}

std::optional<Store> StoreQueue::retry(const EntryLog& log, const HardState& hard_state) {
    if (!refused_ || !pending_.empty()) return std::nullopt;
    Pending pending = *std::exchange(refused_, std::nullopt);
    LogWrite write;
    write.reset_to = pending.reset_to;
    write.truncate_from = pending.truncate_from;
    if (pending.first && *pending.first <= log.start().index) {
        // A snapshot has overtaken it: what lies below is neither in memory nor needed.
        pending.first = log.start().index.next();
        pending.truncate_from.reset();
        pending.reset_to = write.reset_to = log.start();
        write.truncate_from.reset();
    }
    // A repaired slot that was cut afterwards has new content, which is among the appended.
    std::erase_if(pending.repaired, [&](const Entry& entry) {
        return entry.index <= log.start().index || !log.is_damaged(entry.index) ||
               !log.holds({entry.index, entry.ballot});
    });
    write.entries = pending.repaired;
    if (pending.first && *pending.first <= log.last().index) {
        const auto appended = log.cached(*pending.first, log.last().index, UINT64_MAX);
        write.entries.insert(write.entries.end(), appended.begin(), appended.end());
    }
    write.hard_state = hard_state;
    return give(std::move(pending), std::move(write));
}

void StoreQueue::add_to(Digest& digest) const {
    const auto add = [&](const Pending& pending) {
        digest.add(pending.token).add(pending.covers_from).add(pending.durable_to).add(pending.truncate_from);
        digest.add(pending.reset_to).add(pending.first).add(pending.repaired);
    };
    digest.add(next_).add(durable_).add(uint64_t{out_of_space_}).add(pending_.size());
    for (const Pending& pending : pending_) add(pending);
    if (refused_) add(*refused_);
}

}  // namespace polis::consensus
