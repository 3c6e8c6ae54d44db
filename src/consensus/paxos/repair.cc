// Lost slots: their decisions are learned again from whoever knows them (Alagappan et al., "Protocol-Aware Recovery", FAST 2018).
#include <algorithm>
#include <utility>

#include "base/ensure.h"
#include "consensus/paxos/participant.h"

namespace polis::consensus {

// What was accepted in a lost slot may have been decided, so a promise says that the slot is lost, never that it is empty. A leader
// proposes again what its other acceptors tell of it; if nobody leads, whoever knows the decision may tell it.
void PaxosParticipant::ask_for_repair(Outputs& out) {
    if (acceptor_.slots().lost().empty()) return;
    repair_at_ = now_ + options_.heartbeat * 2;
    if (leader_ != NodeId::Nobody && leader_ != options_.self) return report_damage(out);
    const LogRange range = acceptor_.slots().lost().ranges().front();
    for (const NodeId node : memberships_.current().everyone()) {
        if (node == options_.self) continue;
        send(node, PaxosKind::LearnRequest, {.previous = {range.first.previous(), {}}, .hint = range.last}, out);
    }
}

void PaxosParticipant::on_learn_request(NodeId from, const Message& message, Outputs& out) {
    const LogIndex first = message.previous.index.next();
    if (first > message.hint) return;
    if (first < first_to_give()) {
        // It is part of our state: a snapshot has it, whoever makes it.
        if (memberships_.current().contains(from)) offer_snapshot(from, first, out);
        return;
    }
    const LogIndex last = std::min(message.hint, known_to());
    if (first > last) return;
    const std::vector<Entry> entries = acceptor_.slots().cached({first, last}, options_.message_bytes_max);
    if (!entries.empty()) return send_decided(from, first, entries, out);
    if (memberships_.current().contains(from)) fetch({Purpose::Learning, from, {}}, {first, last}, out);
}

// Sends our state to a node that lacks `first`, unless it is on its way, or we lead: then it gets what it needs anyway.
void PaxosParticipant::offer_snapshot(NodeId to, LogIndex first, Outputs& out) {
    const bool under_way = std::ranges::find(repair_snapshots_, to) != repair_snapshots_.end();
    if (first > learner_.applied() || under_way || progress_of(to) != nullptr) return;
    repair_snapshots_.push_back(to);
    out.push_back(NeedSnapshot{to, first});
}

void PaxosParticipant::send_decided(NodeId to, LogIndex first, std::span<const Entry> entries, Outputs& out) {
    Message message{.previous = {first.previous(), {}}};
    uint64_t bytes = 0;
    for (const Entry& entry : entries) {
        bytes += size_of(entry);
        const bool full = !message.entries.empty() && bytes > options_.message_bytes_max;
        if (full || entry.index > known_to()) break;
        message.entries.push_back(entry);
    }
    if (!message.entries.empty()) send(to, PaxosKind::LearnReply, std::move(message), out);
}

void PaxosParticipant::on_learn_reply(const Message& message, Outputs& out) {
    if (acceptor_.stores().out_of_space() || role_ == Role::Leader) return;
    for (const Entry& entry : message.entries) {
        if (!acceptor_.slots().is_lost(entry.index) || entry.ballot == Ballot()) continue;
        if (entry.ballot > ballot()) become_follower(entry.ballot, NodeId::Nobody, out);
        acceptor_.restore(entry);
    }
}

// A slot that should be on our disk could not be read.
void PaxosParticipant::lose(LogIndex slot, Outputs& out) {
    wake(options_.self, out);
    acceptor_.lose(slot);
    if (role_ == Role::Leader) {
        if (AcceptorProgress* successor = best_successor()) hand_over(*successor, out);
    }
    if (role_ != Role::Follower) become_follower(ballot(), NodeId::Nobody, out);
    ask_for_repair(out);
}

}  // namespace polis::consensus
