// PaxosParticipant: inputs, time, recovery, and what every step ends with.
#include "consensus/paxos/participant.h"

#include <algorithm>
#include <utility>

#include "base/ensure.h"
#include "consensus/paxos/paxos.h"

namespace polis::consensus {

std::unique_ptr<Log> make_paxos(Options options) { return std::make_unique<PaxosParticipant>(std::move(options)); }

PaxosParticipant::PaxosParticipant(Options options)
    : options_(std::move(options)), chance_(Chance(options_.seed).split("paxos")) {
    ENSURE(options_.self != NodeId::Nobody);
    ENSURE(options_.heartbeat > Duration::zero() && options_.heartbeat < options_.election_timeout);
    ENSURE(options_.clock_drift_max < options_.election_timeout);
    ENSURE(options_.inflight_messages_max > 0 && options_.message_bytes_max > 0);
}

void PaxosParticipant::step(Instant now, Input input, Outputs& out) {
    now_ = std::max(now_, now);
    const Ballot promised = ballot();
    const LogIndex before = decided();
    if (auto* first = std::get_if<Recovered>(&input)) {
        ENSURE(!recovered_);
        recovered_ = true;
        on(std::move(*first), out);
    } else {
        ENSURE(recovered_);
        std::visit(
            [&]<class T>(T&& event) {
                if constexpr (!std::is_same_v<std::remove_cvref_t<T>, Recovered>) on(std::forward<T>(event), out);
            },
            std::move(input));
    }
    finish_step(out);

    ENSURE(ballot() >= promised);
    ENSURE(decided() >= before && decided() <= acceptor_.slots().last());
    ENSURE(learner_.applied() <= learner_.delivered() && learner_.delivered() <= decided());
    ENSURE(role_ != Role::Leader || proposer_.ballot() == ballot());
}

void PaxosParticipant::finish_step(Outputs& out) {
    if (std::optional<Store> store = acceptor_.flush(decided_to_remember())) out.push_back(*std::move(store));
    deliver(out);
    push_membership(out);
    if (std::optional<Store> store = acceptor_.flush(decided_to_remember())) out.push_back(*std::move(store));
    acceptor_.evict(options_.cache_bytes_max);
}

void PaxosParticipant::on(Recovered from, Outputs& out) {
    ENSURE(from.start.index <= from.applied.index);
    const Ballot stored = from.hard_state.promised;
    acceptor_ = Acceptor(from);
    // Damage below what is applied costs us nothing but the ability to give those slots to others. So do slots that a snapshot
    // jumped over.
    unreadable_to_ = acceptor_.last_unreadable(from.applied.index);
    acceptor_.forgive_lost(from.applied.index);
    learner_ = Learner(from.applied, std::min(from.hard_state.committed, acceptor_.slots().last()));
    memberships_ = MembershipHistory(from.applied.index, std::move(from.membership));
    // Contexts name requests to others: answers to those of an earlier life must not be taken for ours. The same
    // instant after a boot does not come twice.
    context_ = Chance(options_.seed ^ static_cast<uint64_t>(now_.since_boot.count())).split("context").next() >> 1;
    if (stored.epoch > 0) promises_from_ = now_ + options_.election_timeout;
    draw_election_deadline(now_);
    out.push_back(ConfigActive{from.applied.index, memberships_.current()});
    ask_for_repair(out);
    // Nobody else can lead, or be heard: waiting would serve nothing.
    const bool alone = memberships_.current().voters == std::vector<NodeId>{options_.self};
    if (alone && may_campaign()) start_probing(out);
}

void PaxosParticipant::on(const Tick&, Outputs& out) {
    retry_refused(out);
    if (!acceptor_.slots().lost().empty() && now_ >= repair_at_) ask_for_repair(out);
    expire_forwarded_reads(out);
    expire_transfer(out);
    if (quiet_) return;
    if (role_ == Role::Leader) {
        if (options_.check_quorum && now_ >= quorum_since_ + options_.election_timeout && !hears_majority()) {
            return become_follower(ballot(), NodeId::Nobody, out);
        }
        try_to_quiesce(out);
        if (now_ >= heartbeat_at_) broadcast_heartbeat(out);
        return advance_reads(out);
    }
    if (now_ < election_deadline_) return;
    if (may_campaign()) return start_probing(out);
    role_ = Role::Follower;
    campaign_ = Campaign();
    know_leader(NodeId::Nobody, out);
    draw_election_deadline(now_);
}

namespace {

// True if the fields can have come from a correct participant, as far as that can be told before the kind is known.
bool is_possible(const Message& message) {
    const auto bounded = [](const Ballot& ballot) {
        return ballot.epoch <= epoch_max && ballot.node != NodeId{~uint64_t{0}};
    };
    if (!bounded(message.ballot) || message.previous.index.value > index_max) return false;
    if (message.hint.value > index_max || message.committed.value > index_max) return false;
    LogIndex before = message.previous.index;
    for (const Entry& entry : message.entries) {
        if (entry.index <= before || entry.index.value > index_max || entry.ballot > message.ballot) return false;
        before = entry.index;
        const std::optional<Entry> value = value_of(entry);
        if (!value) return false;
        if (entry.kind == EntryKind::Membership && !decode_membership(value->payload.view())) return false;
    }
    return true;
}

}  // namespace

void PaxosParticipant::on(Receive receive, Outputs& out) {
    const NodeId from = receive.from;
    Message& message = receive.message;
    if (from == options_.self || from == NodeId::Nobody || !is_possible(message)) return;
    const auto kind = static_cast<PaxosKind>(message.kind);
    if (wakes(from, kind)) wake(from, out);
    switch (kind) {  // These do not depend on the ballot, or decide about it themselves.
        case PaxosKind::Probe: return on_probe(from, message, out);
        case PaxosKind::Prepare: return on_prepare(from, message, out);
        case PaxosKind::ReadReply: return on_read_reply(message, out);
        case PaxosKind::LearnRequest: return on_learn_request(from, message, out);
        case PaxosKind::LearnReply: return on_learn_reply(message, out);
        default: break;
    }
    if (message.ballot < ballot()) return on_older_ballot(from, message, out);
    if (message.ballot > ballot() && !enter_newer_ballot(from, message, out)) return;
    switch (kind) {
        case PaxosKind::ProbeReply: return on_probe_reply(from, message, out);
        case PaxosKind::Promise: return on_promise(from, message, out);
        case PaxosKind::Accept: return on_accept(from, std::move(message), out);
        case PaxosKind::Accepted: return on_accepted(from, message, out);
        case PaxosKind::Heartbeat: return on_heartbeat(from, message, out);
        case PaxosKind::HeartbeatReply: return on_heartbeat_reply(from, message, out);
        case PaxosKind::TimeoutNow: return on_timeout_now(from, out);
        case PaxosKind::ReadRequest: return on_read_request(from, message, out);
        case PaxosKind::Damaged: return on_damaged(from, message, out);
        case PaxosKind::Quiesce: return on_quiesce(from, message, out);
        case PaxosKind::QuiesceReply: return on_quiesce_reply(from, message);
        default: return;  // Of a later release, or nonsense.
    }
}

void PaxosParticipant::on(const Applied& applied, Outputs&) { learner_.apply_to(applied.index); }

void PaxosParticipant::send(NodeId to, PaxosKind kind, Message message, Outputs& out) const {
    ENSURE(to != options_.self && to != NodeId::Nobody);
    message.kind = number_of(kind);
    message.ballot = ballot();
    out.push_back(Send{to, std::move(message)});
}

}  // namespace polis::consensus
