// An acceptor's side of phase 2: accepting, acknowledging what is durable, answering heartbeats, learning decisions.
#include <algorithm>
#include <utility>

#include "base/ensure.h"
#include "consensus/paxos/participant.h"

namespace polis::consensus {

void PaxosParticipant::on_accept(NodeId from, Message message, Outputs& out) {
    if (role_ == Role::Leader || message.ballot.node != from) return;
    follow(from, out);
    LogIndex expected = message.previous.index;
    for (const Entry& entry : message.entries) {
        expected = expected.next();
        if (entry.index != expected || entry.ballot != message.ballot) return;
    }
    if (message.entries.empty()) return;
    const bool has_news = std::ranges::any_of(message.entries, [&](const Entry& entry) { return takes(entry); });
    // Said at once, so that the leader sends nothing more until there is space.
    if (has_news && acceptor_.stores().out_of_space()) return answer_heartbeat(from, 0, out);
    if (message.entries.front().index > acceptor_.slots().last() + Acceptor::gap_max) {
        const LogIndex received = acceptor_.received_to(decided(), ballot());
        return send(
            from, PaxosKind::Accepted,
            {.rejected = true, .previous = {received, {}}, .committed = acceptor_.decided_durably(), .hint = held()},
            out);
    }
    for (Entry& entry : message.entries) {
        if (takes(entry)) acceptor_.accept(std::move(entry));
    }
    learn_from_leader(message.committed);
    // What was accepted just now is acknowledged when it is durable.
    if (!acceptor_.has_news()) acknowledge(out);
}

// What is decided and known, or accepted under this ballot already, is not written again.
bool PaxosParticipant::takes(const Entry& entry) const {
    const SlotLog& slots = acceptor_.slots();
    if (entry.index <= slots.start()) return false;
    if (!slots.holds(entry.index) || slots.is_lost(entry.index)) return true;
    return entry.index > decided() && slots.ballot_at(entry.index) != entry.ballot;
}

// What the leader knows to be decided is what was accepted under its ballot.
void PaxosParticipant::learn_from_leader(LogIndex decided_there) {
    learner_.decide_to(std::min(decided_there, acceptor_.received_to(decided(), ballot())));
}

void PaxosParticipant::acknowledge(Outputs& out) {
    if (leader_ == NodeId::Nobody || leader_ == options_.self) return;
    acked_ = held();
    send(leader_, PaxosKind::Accepted, {.committed = acceptor_.decided_durably(), .hint = acked_}, out);
}

// Slots behind a gap count as well ("Paxos Made Simple", §3): each is an instance of its own.
void PaxosParticipant::acknowledge_beyond(std::span<const Entry> durable, Outputs& out) {
    if (leader_ == NodeId::Nobody || leader_ == options_.self) return;
    const LogIndex received = acceptor_.received_to(decided(), ballot());
    SlotSet beyond;
    for (const Entry& entry : durable) {
        const bool counts = entry.index > received.next() && entry.ballot == ballot();
        if (counts && !acceptor_.slots().is_lost(entry.index)) beyond.add({entry.index, entry.index});
    }
    for (const LogRange& range : beyond.ranges()) {
        send(leader_, PaxosKind::Accepted,
             {.previous = {range.first, {}},
              .committed = acceptor_.decided_durably(),
              .hint = held(),
              .context = range.last.value},
             out);
    }
}

void PaxosParticipant::on_heartbeat(NodeId from, const Message& message, Outputs& out) {
    if (role_ == Role::Leader || message.ballot.node != from) return;
    best_priority_ = message.priority;
    follow(from, out);
    learn_from_leader(message.committed);
    if (message.context != 0) answer_heartbeat(from, message.context, out);
}

void PaxosParticipant::answer_heartbeat(NodeId to, uint64_t round, Outputs& out) {
    acked_ = held();
    Message reply{
        .rejected = acceptor_.stores().out_of_space(), .committed = acceptor_.decided_durably(), .hint = acked_};
    reply.previous.index = acceptor_.received_to(decided(), ballot());
    reply.context = round;
    reply.priority = options_.priority;
    send(to, PaxosKind::HeartbeatReply, std::move(reply), out);
}

void PaxosParticipant::report_damage(Outputs& out) {
    ENSURE(!acceptor_.slots().lost().empty());
    if (leader_ == NodeId::Nobody || leader_ == options_.self) return;
    send(leader_, PaxosKind::Damaged, {.hint = acceptor_.whole_to()}, out);
}

}  // namespace polis::consensus
