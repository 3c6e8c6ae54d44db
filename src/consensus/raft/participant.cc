// RaftParticipant: inputs, time, status, and what every step ends with.
#include "consensus/raft/participant.h"

#include <algorithm>
#include <utility>

#include "base/ensure.h"
#include "consensus/raft/raft.h"

namespace polis::consensus {

std::unique_ptr<Log> make_raft(Options options) { return std::make_unique<RaftParticipant>(std::move(options)); }

RaftParticipant::RaftParticipant(Options options)
    : options_(std::move(options)), chance_(Chance(options_.seed).split("raft")) {
    ENSURE(options_.self != NodeId::Nobody);
    ENSURE(options_.heartbeat > Duration::zero() && options_.heartbeat < options_.election_timeout);
    ENSURE(options_.clock_drift_max < options_.election_timeout);
    ENSURE(options_.inflight_messages_max > 0 && options_.message_bytes_max > 0);
}

void RaftParticipant::step(Instant now, Input input, Outputs& out) {
    now_ = std::max(now_, now);
    const Ballot term = term_;
    const LogIndex committed = committed_;
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

    ENSURE(term_ >= term);
    ENSURE(committed_ >= committed && committed_ <= log_.last().index);
    ENSURE(delivered_ <= committed_);
    ENSURE(delivered_ <= durable() || delivered_ == applied_);
}

void RaftParticipant::finish_step(Outputs& out) {
    settle_membership(out);
    flush_write(out);
    deliver(out);
    log_.evict(stores_.durable(), options_.cache_bytes_max);
    ENSURE(write_.empty() && repairs_.empty() && !hard_state_changed_);
}

void RaftParticipant::on(Recovered from, Outputs& out) {
    ENSURE(from.start.index <= from.applied.index);
    log_ = EntryLog(from.start, from.positions, std::move(from.tail), std::move(from.damaged));
    term_ = {from.hard_state.promised.epoch, NodeId::Nobody};
    vote_ = from.hard_state.voted_for;
    if (!log_.holds(from.applied)) {
        // A snapshot was installed, and the crash came before the log was told.
        log_.reset(from.applied);
        write_.reset_to = from.applied;
    }
    if (log_.last().ballot > term_) {
        term_ = log_.last().ballot;
        vote_ = NodeId::Nobody;
        hard_state_changed_ = true;
    }
    delivered_ = applied_ = from.applied.index;
    // Damage below what is applied costs us nothing but the ability to give those entries to others.
    while (log_.is_damaged() && log_.damaged().front().first <= applied_) {
        unreadable_to_ = log_.damaged().front().first;
        log_.mark_repaired(unreadable_to_);
    }
    stores_.raise(log_.last().index);
    committed_ = std::clamp(from.hard_state.committed, applied_, log_.last().index);
    committed_stored_ = from.hard_state.committed;
    memberships_ = MembershipHistory(from.applied.index, std::move(from.membership));
    for (const Entry& entry : from.membership_entries) {
        if (entry.index <= from.applied.index || !log_.holds({entry.index, entry.ballot})) continue;
        Result<Membership> membership = decode_membership(entry.payload.view());
        ENSURE(membership.has_value());
        memberships_.append(entry.index, *std::move(membership));
    }
    // Contexts name requests to others: answers to those of an earlier life must not be taken for ours. The same
    // instant after a boot does not come twice.
    context_ = Chance(options_.seed ^ static_cast<uint64_t>(now_.since_boot.count())).split("context").next() >> 1;
    if (term_.epoch > 0) votes_from_ = now_ + options_.election_timeout;
    draw_election_deadline(now_);
    out.push_back(ConfigActive{applied_, memberships_.at(applied_)});
    ask_for_repair(out);
    // Nobody else can lead, or be heard: waiting would serve nothing.
    const Membership& membership = memberships_.current();
    const bool alone = !membership.joint() && membership.voters == std::vector<NodeId>{options_.self};
    if (alone && may_campaign()) start_pre_vote(out);
}

void RaftParticipant::on(const Tick&, Outputs& out) {
    retry_refused(out);
    if (log_.is_damaged() && now_ >= repair_at_) ask_for_repair(out);
    expire_forwarded_reads(out);
    expire_transfer(out);
    if (quiet_) return;
    if (role_ == Role::Leader) {
        if (options_.check_quorum && now_ >= quorum_since_ + options_.election_timeout && !hears_majority()) {
            become_follower(term_, NodeId::Nobody, out);
            return;
        }
        try_to_quiesce(out);
        if (now_ >= heartbeat_at_) broadcast_heartbeat(out);
        advance_reads(out);
        return;
    }
    if (now_ >= election_deadline_) {
        if (may_campaign()) {
            start_pre_vote(out);
        } else {
            role_ = Role::Follower;
            campaign_ = Campaign();
            know_leader(NodeId::Nobody, out);
            draw_election_deadline(now_);
        }
    }
}

void RaftParticipant::on(Receive receive, Outputs& out) {
    const NodeId from = receive.from;
    Message& message = receive.message;
    if (from == options_.self || from == NodeId::Nobody) return;
    if (message.ballot.node != NodeId::Nobody || !is_plausible(message)) return;
    const auto kind = static_cast<RaftKind>(message.kind);
    if (wakes(from, kind)) wake(from, out);
    switch (kind) {  // These four do not depend on the term.
        case RaftKind::PreVote: return on_pre_vote(from, message, out);
        case RaftKind::ReadReply: return on_read_reply(from, message, out);
        case RaftKind::RepairRequest: return on_repair_request(from, message, out);
        case RaftKind::RepairReply: return on_repair_reply(message, out);
        default: break;
    }
    if (message.ballot < term_) return on_older_term(from, message, out);
    if (message.ballot > term_ && !enter_newer_term(from, message, out)) return;
    switch (kind) {
        case RaftKind::Append: return on_append(from, std::move(message), out);
        case RaftKind::AppendReply: return on_append_reply(from, message, out);
        case RaftKind::Heartbeat: return on_heartbeat(from, message, out);
        case RaftKind::HeartbeatReply: return on_heartbeat_reply(from, message, out);
        case RaftKind::PreVoteReply: return on_pre_vote_reply(from, message, out);
        case RaftKind::Vote: return on_vote(from, message, out);
        case RaftKind::VoteReply: return on_vote_reply(from, message, out);
        case RaftKind::TimeoutNow: return on_timeout_now(from, out);
        case RaftKind::ReadRequest: return on_read_request(from, message, out);
        case RaftKind::Damaged: return on_damaged(from, message, out);
        case RaftKind::Quiesce: return on_quiesce(from, message, out);
        case RaftKind::QuiesceReply: return on_quiesce_reply(from, message);
        default: return;  // Of a later release, or nonsense.
    }
}

void RaftParticipant::on(const Applied& applied, Outputs&) {
    ENSURE(applied.index <= delivered_);
    applied_ = std::max(applied_, applied.index);
    deliveries_.confirm(applied_);
}

void RaftParticipant::send(NodeId to, RaftKind kind, Message message, Outputs& out) const {
    ENSURE(to != options_.self && to != NodeId::Nobody);
    message.kind = number_of(kind);
    message.ballot = term_;
    out.push_back(Send{to, std::move(message)});
}

}  // namespace polis::consensus
