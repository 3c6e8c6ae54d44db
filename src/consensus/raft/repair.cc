// Damaged entries: fetched back from whoever has them (Alagappan et al., "Protocol-Aware Recovery", FAST 2018).
#include <algorithm>
#include <utility>

#include "base/ensure.h"
#include "consensus/raft/participant.h"

namespace polis::consensus {

// A damaged entry was acknowledged once and may be committed, so it still counts where logs are compared for votes; it does not
// count as held: it is not acknowledged, delivered or led with until its content is back.
void RaftParticipant::ask_for_repair(Outputs& out) {
    if (!log_.is_damaged()) return;
    repair_at_ = now_ + options_.heartbeat * 2;
    if (leader_ != NodeId::Nobody && leader_ != options_.self) return report_damage(out);
    // Nobody leads, perhaps for want of what is damaged here. Whoever has an entry of that index and term has that entry.
    const LogRange range = log_.damaged().front();
    const LogIndex before = range.first.previous();
    Message message{.previous = {before, *log_.ballot_at(before)}, .hint = range.last};
    message.hint_ballot = *log_.ballot_at(range.last);
    for (const NodeId node : memberships_.everyone_known()) {
        if (node != options_.self) send(node, RaftKind::RepairRequest, message, out);
    }
}

void RaftParticipant::on_repair_request(NodeId from, const Message& message, Outputs& out) {
    const LogIndex first = message.previous.index.next();
    const LogIndex last = message.hint;
    if (first > last) return;
    if (first < first_to_give()) {
        // It is part of our state: a snapshot has it, whoever makes it.
        auto& receivers = repair_snapshots_;
        const bool under_way = std::find(receivers.begin(), receivers.end(), from) != receivers.end();
        if (first > applied_ || under_way || progress_of(from) != nullptr) return;
        if (!memberships_.current().contains(from)) return;
        receivers.push_back(from);
        out.push_back(NeedSnapshot{from, first});
        return;
    }
    if (first > durable() || !log_.holds({last, message.hint_ballot})) return;
    const LogIndex until = std::min(last, durable());
    if (log_.is_cached(first)) {
        return send_repair(from, log_.cached(first, until, options_.message_bytes_max), out);
    }
    const bool asked = std::any_of(repair_readers_.begin(), repair_readers_.end(),
                                   [&](const RepairReader& reader) { return reader.node == from; });
    if (asked || repair_readers_.size() > memberships_.current().everyone().size()) return;
    fetch_for_repair({from, first}, until, out);
}

void RaftParticipant::send_repair(NodeId to, std::span<const Entry> entries, Outputs& out) {
    if (entries.empty() || entries.front().index <= log_.start().index) return;
    size_t count = 0;
    uint64_t bytes = 0;
    while (count < entries.size() && (count == 0 || bytes + size_of(entries[count]) <= options_.message_bytes_max)) {
        bytes += size_of(entries[count++]);
    }
    const LogIndex before = entries.front().index.previous();
    Message message{.previous = {before, *log_.ballot_at(before)}};
    message.hint_ballot = entries[count - 1].ballot;
    message.entries.assign(entries.begin(), entries.begin() + static_cast<ptrdiff_t>(count));
    send(to, RaftKind::RepairReply, std::move(message), out);
}

void RaftParticipant::on_repair_reply(const Message& message, Outputs&) {
    if (!log_.is_damaged() || stores_.out_of_space()) return;
    for (const Entry& entry : message.entries) {
        if (log_.holds({entry.index, entry.ballot})) repair(entry);
    }
}

// The content of a damaged entry has come: it counts as held once it is durable.
void RaftParticipant::repair(const Entry& entry) {
    ENSURE(log_.holds({entry.index, entry.ballot}));
    if (!log_.is_damaged(entry.index)) return;
    if (entry.kind == EntryKind::Membership) {
        // It was in force all the time; nothing that depends on it is done while anything is damaged.
        Result<Membership> membership = decode_membership(entry.payload.view());
        if (!membership) return;
        memberships_.restore(entry.index, *std::move(membership));
    }
    repairs_.push_back(entry);
}

// An entry that should be on our disk could not be read.
void RaftParticipant::lose(LogIndex index, Outputs& out) {
    wake(options_.self, out);
    log_.mark_damaged(index);
    if (role_ == Role::Leader) {
        if (FollowerProgress* successor = best_successor()) hand_over(*successor, out);
        become_follower(term_, NodeId::Nobody, out);
    } else if (role_ != Role::Follower) {
        become_follower(term_, NodeId::Nobody, out);
    }
    ask_for_repair(out);
}

}  // namespace polis::consensus
