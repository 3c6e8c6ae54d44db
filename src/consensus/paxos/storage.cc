// What the disk answers: Stores that became durable or were refused, slots read back.
#include <algorithm>
#include <utility>

#include "base/ensure.h"
#include "consensus/paxos/participant.h"

namespace polis::consensus {
namespace {

constexpr uint64_t fetch_entries_max = 4096;  // Of one Fetch; its bytes are the shell's to bound.

}  // namespace

void PaxosParticipant::on(const Stored& stored, Outputs& out) {
    const LogIndex known = acceptor_.decided_durably();
    const std::vector<Entry> durable = acceptor_.stored(stored.token);
    tell_promise(out);
    if (role_ == Role::Leader) return count_accepted(out);
    // The leader waits for those who have learned of a membership.
    const bool learned = acceptor_.slots().has_membership({known.next(), acceptor_.decided_durably()});
    if (learned || held() > acked_) acknowledge(out);
    acknowledge_beyond(durable, out);
}

void PaxosParticipant::on(const StoreRefused& refused, Outputs& out) {
    const bool refused_again = acceptor_.stores().out_of_space();
    acceptor_.refused(refused.token);
    retry_at_ = now_ + options_.election_timeout;
    // Disks that hold the same fill at the same time: by the first retry the others have said whether they are full. If
    // nobody has room, we stay: reads go on, and proposals are refused.
    if (!refused_again || role_ != Role::Leader || transfer_) return;
    if (AcceptorProgress* successor = best_successor()) hand_over(*successor, out);
}

void PaxosParticipant::retry_refused(Outputs& out) {
    if (!acceptor_.stores().out_of_space() || now_ < retry_at_) return;
    retry_at_ = now_ + options_.election_timeout;
    if (std::optional<Store> store = acceptor_.retry(decided_to_remember())) out.push_back(*std::move(store));
}

void PaxosParticipant::fetch(Reader reader, LogRange range, Outputs& out) {
    ENSURE(range.first <= range.last);
    const auto same = [&](const Reader& other) { return other.purpose == reader.purpose && other.node == reader.node; };
    for (FetchUnderWay& under_way : fetches_) {
        if (under_way.range.first != range.first) continue;
        if (std::ranges::none_of(under_way.readers, same)) under_way.readers.push_back(reader);
        return;
    }
    range.last = std::min(range.last, range.first + (fetch_entries_max - 1));
    out.push_back(Fetch{range});
    fetches_.push_back({range, {reader}});
}

void PaxosParticipant::on(Fetched fetched, Outputs& out) {
    const auto under_way = std::ranges::find(fetches_, fetched.range, &FetchUnderWay::range);
    if (under_way == fetches_.end()) return;
    const std::vector<Reader> readers = std::move(under_way->readers);
    fetches_.erase(under_way);
    // Slots may have been written anew while the disk was read: what is not there any more is not used.
    const SlotLog& slots = acceptor_.slots();
    size_t good = 0;
    LogIndex expected = fetched.range.first;
    while (good < fetched.entries.size() && fetched.entries[good].index == expected && slots.holds(expected) &&
           !slots.is_lost(expected) && slots.ballot_at(expected) == fetched.entries[good].ballot) {
        expected = expected.next();
        ++good;
    }
    const bool is_stale = good == 0 && !fetched.entries.empty();
    fetched.entries.resize(good);
    for (const Reader& reader : readers) {
        if (is_stale) {
            // The next attempt finds what was written meanwhile.
            if (reader.purpose == Purpose::Report) report(reader.node, reader.after, {}, out);
            if (reader.purpose == Purpose::Replication) send_fetched(reader.node, {}, {}, out);
        } else {
            give_fetched(reader, fetched.range.first, fetched.entries, out);
        }
    }
}

void PaxosParticipant::give_fetched(const Reader& reader, LogIndex first, std::vector<Entry> entries, Outputs& out) {
    switch (reader.purpose) {
        case Purpose::Delivery: return deliver_fetched(first, entries, out);
        case Purpose::Replication: return send_fetched(reader.node, first, std::move(entries), out);
        case Purpose::Learning: return send_decided(reader.node, first, entries, out);
        case Purpose::Report:
            if (entries.empty() && acceptor_.slots().holds(first)) lose(first, out);
            return report(reader.node, reader.after, entries, out);
    }
}

void PaxosParticipant::deliver_fetched(LogIndex first, std::span<const Entry> entries, Outputs& out) {
    const bool is_due = first == learner_.delivered().next() && first <= decided() && acceptor_.is_slot_durable(first);
    if (!is_due) return;
    // Neither compacted nor written anew, and yet not readable: it is damaged, and others have it.
    if (entries.empty()) return lose(first, out);
    while (!entries.empty() && entries.front().index == learner_.delivered().next()) {
        const size_t count = deliver_batch(entries, out);
        if (count == 0) return;
        entries = entries.subspan(count);
    }
}

void PaxosParticipant::send_fetched(NodeId node, LogIndex first, std::vector<Entry> entries, Outputs& out) {
    AcceptorProgress* to = progress_of(node);
    if (to == nullptr || !std::exchange(to->fetching, false)) return;
    if (to->state != AcceptorProgress::State::Replicate || to->next != first) return replicate_to(*to, out);
    if (entries.empty()) {
        if (first > learner_.applied()) return lose(first, out);
        unreadable_to_ = std::max(unreadable_to_, first);
        return ask_for_snapshot(*to, out);
    }
    std::span<const Entry> rest = entries;
    while (!rest.empty()) {
        uint64_t bytes = 0;
        size_t count = 0;
        while (count < rest.size() && (count == 0 || bytes + size_of(rest[count]) <= options_.message_bytes_max)) {
            bytes += size_of(rest[count++]);
        }
        send_slots(*to, {rest.begin(), rest.begin() + static_cast<ptrdiff_t>(count)}, out);
        rest = rest.subspan(count);
    }
    replicate_to(*to, out);
}

}  // namespace polis::consensus
