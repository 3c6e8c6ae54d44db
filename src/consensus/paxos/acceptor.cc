// Acceptor: promising, accepting, and making both durable.
#include "consensus/paxos/acceptor.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/ensure.h"
#include "consensus/paxos/value.h"

namespace polis::consensus {

Acceptor::Acceptor(Recovered& recovered)
    : promised_(recovered.hard_state.promised),
      slots_(recovered.start, recovered.positions, std::move(recovered.tail), recovered.damaged,
             recovered.membership_entries),
      decided_stored_(recovered.hard_state.committed),
      decided_durably_(std::max(recovered.hard_state.committed, recovered.applied.index)) {
    const LogIndex applied = recovered.applied.index;
    if (slots_.last() < applied) {
        // A snapshot was installed, and the crash came before the log was told.
        reset(recovered.applied);
    }
    const Ballot seen = std::max(slots_.highest_ballot(), Ballot{recovered.applied.ballot.epoch, NodeId::Nobody});
    if (seen > promised_) promise(seen);
}

void Acceptor::promise(Ballot ballot) {
    ENSURE(ballot >= promised_);
    if (ballot == promised_) return;
    promised_ = ballot;
    hard_state_changed_ = true;
}

void Acceptor::accept(Entry entry) {
    ENSURE(entry.ballot == promised_);
    put(std::move(entry));
}

void Acceptor::restore(Entry entry) {
    ENSURE(slots_.is_lost(entry.index));
    entry.ballot = std::max(entry.ballot, slots_.ballot_at(entry.index));
    put(std::move(entry));
}

void Acceptor::put(Entry entry) {
    const LogIndex slot = entry.index;
    ENSURE(slot <= slots_.last() + (gap_max + 1));
    for (LogIndex at = slots_.last().next(); at < slot; at = at.next()) write_.entries.push_back(placeholder(at));
    write_.entries.push_back(entry);
    slots_.put(std::move(entry));
}

LogIndex Acceptor::received_to(LogIndex decided, Ballot ballot) const {
    return std::min(slots_.last_under(ballot, decided.next()), std::max(whole_to(), slots_.start()));
}

LogIndex Acceptor::held_to(LogIndex decided, Ballot ballot) const {
    LogIndex held = received_to(decided, ballot);
    if (const std::optional<LogIndex> open = lowest_open()) held = std::min(held, open->previous());
    return held;
}

// The lowest slot of which a write is not durable yet, given to the shell or not.
std::optional<LogIndex> Acceptor::lowest_open() const {
    std::optional<LogIndex> lowest = stores_.lowest_open(slots_.start());
    for (const Entry& entry : write_.entries) {
        if (entry.index > slots_.start()) lowest = lowest ? std::min(*lowest, entry.index) : entry.index;
    }
    return lowest;
}

LogIndex Acceptor::last_unreadable(LogIndex applied) const {
    for (LogIndex slot = std::min(applied, slots_.last()); slots_.holds(slot); slot = slot.previous()) {
        if (slots_.is_lost(slot) || slots_.ballot_at(slot) == Ballot()) return slot;
    }
    return {};
}

LogIndex Acceptor::whole_to() const {
    return slots_.lost().empty() ? slots_.last() : slots_.lost().ranges().front().first.previous();
}

bool Acceptor::is_slot_durable(LogIndex slot) const {
    if (slot <= slots_.start()) return true;
    if (slot > slots_.last() || slots_.is_lost(slot)) return false;
    const std::optional<LogIndex> open = lowest_open();
    return !open || slot < *open;
}

void Acceptor::jump_to(LogPosition position, LogIndex decided) {
    decided_durably_ = std::max(decided_durably_, position.index);
    if (position.index >= slots_.last()) return reset(position);
    // What was accepted behind it stays. Before it, what may differ from the decision must never be given to others: a slot that is
    // empty and applied says so after a restart.
    for (LogIndex slot = std::max(decided, slots_.start()).next(); slot <= position.index; slot = slot.next()) {
        write_.entries.push_back(placeholder(slot));
    }
    slots_.compact(position.index);
}

// A snapshot that reaches to the log's end or beyond was installed.
void Acceptor::reset(LogPosition position) {
    slots_.reset(position.index);
    write_.entries.clear();
    write_.reset_to = position;
}

void Acceptor::evict(uint64_t bytes_max) {
    const std::optional<LogIndex> open = lowest_open();
    slots_.evict(open ? open->previous() : slots_.last(), bytes_max);
}

std::optional<Store> Acceptor::flush(LogIndex decided) {
    // Who decides next must not be forgotten; the rest is a hint, and goes with what is written anyway.
    const bool has_room = !write_.entries.empty() || slots_.has_membership({decided_stored_.next(), decided});
    const bool decided_is_news = has_room && decided > decided_stored_;
    if (hard_state_changed_ || decided_is_news) {
        write_.hard_state = hard_state(decided);
        hard_state_changed_ = false;
        decided_stored_ = decided;
        decisions_under_way_.push_back({stores_.next_token(), decided});
    }
    if (write_.empty()) return std::nullopt;
    if (std::ranges::adjacent_find(write_.entries, std::ranges::greater_equal(), &Entry::index) !=
        write_.entries.end()) {
        // Of a slot that was written twice in the step, the later one stays.
        std::map<LogIndex, Entry> newest;
        for (Entry& entry : write_.entries) newest.insert_or_assign(entry.index, std::move(entry));
        write_.entries.clear();
        for (auto& [slot, entry] : newest) write_.entries.push_back(std::move(entry));
    }
    return stores_.add(std::exchange(write_, {}));
}

std::vector<Entry> Acceptor::stored(StoreToken token) {
    std::vector<Entry> entries = stores_.stored(token);
    while (!decisions_under_way_.empty() && stores_.is_durable(decisions_under_way_.front().first)) {
        decided_durably_ = std::max(decided_durably_, decisions_under_way_.front().second);
        decisions_under_way_.pop_front();
    }
    for (const Entry& entry : entries) {
        if (slots_.holds(entry.index) && slots_.ballot_at(entry.index) == entry.ballot) slots_.mark_found(entry.index);
    }
    return entries;
}

void Acceptor::add_to(Digest& digest) const {
    digest.add(promised_).add(uint64_t{hard_state_changed_}).add(decided_stored_).add(decided_durably_);
    for (const auto& [token, decided] : decisions_under_way_) digest.add(token).add(decided);
    slots_.add_to(digest);
    stores_.add_to(digest);
}

}  // namespace polis::consensus
