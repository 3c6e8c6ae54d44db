// SlotStores: asynchronous completion, and merging of what a full disk refused.
#include "consensus/paxos/slot_stores.h"

#include <algorithm>
#include <utility>

#include "base/ensure.h"

namespace polis::consensus {

bool SlotStores::is_durable(StoreToken token) const {
    StoreToken open = next_;
    if (!pending_.empty()) open = std::min(open, pending_.front().covers_from);
    if (refused_) open = std::min(open, refused_->covers_from);
    return token < open;
}

std::optional<LogIndex> SlotStores::lowest_open(LogIndex start) const {
    std::optional<LogIndex> lowest;
    const auto look_at = [&](const LogWrite& write) {
        const auto first = std::ranges::upper_bound(write.entries, start, {}, &Entry::index);
        if (first != write.entries.end() && (!lowest || first->index < *lowest)) lowest = first->index;
    };
    for (const Pending& pending : pending_) look_at(pending.write);
    if (refused_) look_at(refused_->write);
    return lowest;
}

std::optional<Store> SlotStores::add(LogWrite write) {
    ENSURE(!write.empty());
    ENSURE(std::ranges::is_sorted(write.entries, {}, &Entry::index));
    Pending pending{.token = next_, .covers_from = next_, .write = std::move(write)};
    if (!out_of_space_) return give(std::move(pending));
    ++next_;
    absorb(std::move(pending));
    return std::nullopt;
}

Store SlotStores::give(Pending pending) {
    pending.token = next_++;
    ENSURE(pending_.empty() || pending_.back().token < pending.covers_from);
    pending_.push_back(std::move(pending));
    return {pending_.back().token, pending_.back().write};
}

std::vector<Entry> SlotStores::stored(StoreToken token) {
    ENSURE(token < next_);
    std::vector<Entry> entries;
    while (!pending_.empty() && pending_.front().token <= token) {
        std::vector<Entry>& more = pending_.front().write.entries;
        if (entries.empty()) {
            entries = std::move(more);
        } else {
            entries.insert(entries.end(), more.begin(), more.end());
        }
        pending_.pop_front();
        if (!refused_) out_of_space_ = false;
    }
    return entries;
}

void SlotStores::refused(StoreToken token) {
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
void SlotStores::absorb(Pending later) {
    if (!refused_) {
        refused_ = std::move(later);
        return;
    }
    Pending& all = *refused_;
    ENSURE(all.token < later.token);
    all.token = later.token;
    if (later.write.reset_to) {
        all.write = std::move(later.write);
        return;
    }
    std::vector<Entry> merged;
    merged.reserve(all.write.entries.size() + later.write.entries.size());
    // Of a slot that both write, the later one stands first, and stays.
    std::ranges::merge(later.write.entries, all.write.entries, std::back_inserter(merged), {}, &Entry::index,
                       &Entry::index);
    const auto repeated = std::ranges::unique(merged, {}, &Entry::index);
    merged.erase(repeated.begin(), repeated.end());
    all.write.entries = std::move(merged);
    if (later.write.hard_state) all.write.hard_state = later.write.hard_state;
}

std::optional<Store> SlotStores::retry(const HardState& hard_state) {
    if (!refused_ || !pending_.empty()) return std::nullopt;
    Pending pending = *std::exchange(refused_, std::nullopt);
    pending.write.hard_state = hard_state;
    return give(std::move(pending));
}

void SlotStores::add_to(Digest& digest) const {
    const auto add = [&](const Pending& pending) {
        digest.add(pending.token).add(pending.covers_from).add(pending.write.reset_to).add(pending.write.entries);
        if (pending.write.hard_state) digest.add(pending.write.hard_state->promised);
    };
    digest.add(next_).add(uint64_t{out_of_space_}).add(pending_.size());
    for (const Pending& pending : pending_) add(pending);
    if (refused_) add(*refused_);
}

}  // namespace polis::consensus
