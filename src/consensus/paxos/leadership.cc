// Who leads, and for how long: the master and its lease ("Paxos Made Live", §5.2), becoming leader and ceasing to be.
#include <algorithm>
#include <utility>

#include "base/ensure.h"
#include "consensus/paxos/participant.h"

namespace polis::consensus {

void PaxosParticipant::become_follower(Ballot newer, NodeId leader, Outputs& out) {
    ENSURE(newer >= ballot());
    const bool led = role_ == Role::Leader;
    quiet_ = false;
    role_ = Role::Follower;
    if (led && options_.quiesce_after > Duration::zero()) {
        // Who is quiet relies on our node, which lives: it must not.
        for (const AcceptorProgress& progress : progress_) send(progress.node, PaxosKind::Wake, {}, out);
    }
    if (led) lose_leadership(out);
    if (newer > ballot()) {
        acceptor_.promise(newer);
        given_promise_.reset();
        acked_ = LogIndex();
    }
    campaign_ = Campaign();
    proposer_ = Proposer();
    // A higher ballot alone earns nobody more patience: only a leader heard, or a promise given, does. Else a node that cannot
    // win could keep those who can from trying.
    if (led) draw_election_deadline(now_);
    know_leader(leader, out);
}

// A message of the leader of the promised ballot has come.
void PaxosParticipant::follow(NodeId leader, Outputs& out) {
    ENSURE(role_ != Role::Leader);
    if (role_ != Role::Follower || leader_ != leader) become_follower(ballot(), leader, out);
    heard_at_ = now_;
    draw_election_deadline(now_);
}

void PaxosParticipant::know_leader(NodeId leader, Outputs& out) {
    leader_ = leader;
    if (told_leader_ == leader && (told_ballot_ == ballot() || leader == NodeId::Nobody)) return;
    told_leader_ = leader;
    told_ballot_ = ballot();
    out.push_back(LeaderKnown{leader, ballot()});
    if (leader == NodeId::Nobody) return;
    end_transfer(leader, out);
    forwarded_context_ = 0;  // Whoever was asked before does not lead now.
    forward_reads(out);
}

// Each wait is drawn anew, so that proposers do not duel for ever. A node that knows of a better one leaves it the first try.
void PaxosParticipant::draw_election_deadline(Instant from) {
    const auto timeout = static_cast<uint64_t>(options_.election_timeout.count());
    Duration wait(static_cast<Duration::rep>(timeout + chance_.below(timeout)));
    if (options_.priority < best_priority_) wait += options_.election_timeout;
    election_deadline_ = from + wait;
}

// Who decides the next slot must be known: a membership that is decided and not delivered may be an orphan, or not.
bool PaxosParticipant::may_campaign() const {
    if (!is_voter() || acceptor_.stores().out_of_space()) return false;
    return !acceptor_.slots().has_membership({learner_.delivered().next(), known_to()});
}

// The promise that makes a leader's lease: whoever has heard it lately follows no other ("Paxos Made Live", §5.2). A
// leader that is merely in touch with us must not be disturbed either by somebody who cannot hear it.
bool PaxosParticipant::keeps_to_leader() const {
    return options_.check_quorum && (now_ < promises_from_ || hears_leader());
}

bool PaxosParticipant::hears_leader() const {
    if (role_ == Role::Leader || quiet_) return true;
    return leader_ != NodeId::Nobody && now_ < heard_at_ + options_.election_timeout;
}

bool PaxosParticipant::hears_majority() const {
    ENSURE(role_ == Role::Leader);
    const auto heard = [&](NodeId node) {
        if (node == options_.self) return true;
        return std::ranges::any_of(progress_, [&](const AcceptorProgress& progress) {
            return progress.node == node && now_ < progress.heard_at + options_.election_timeout;
        });
    };
    return majority(memberships_.current(), heard);
}

void PaxosParticipant::become_leader(Outputs& out) {
    ENSURE(role_ == Role::Preparing && proposer_.ballot() == ballot());
    ENSURE(waiting_.empty() && !coming_);
    role_ = Role::Leader;
    campaign_ = Campaign();
    ready_ = lease_broken_ = false;
    quorum_since_ = now_;
    busy();
    reads_ = ReadRounds();
    undecided_.clear();
    progress_.clear();
    refresh_progress();
    know_leader(options_.self, out);
    const LogIndex latest = memberships_.current_index();
    const bool settled = majority(memberships_.current(), [&](NodeId node) {
        return node == options_.self ? acceptor_.decided_durably() >= latest : proposer_.decided_at(node) >= latest;
    });
    if (!settled) {
        // Our predecessor fell while it waited for that.
        proposer_.hold();
        coming_ = ComingMembership{latest, memberships_.current(), {}, true, true};
    }
    propose_more(out);
    broadcast_heartbeat(out);
    for (const ForwardedRead& read : std::exchange(forwarded_, {})) {
        add_barrier({.id = read.id, .from = {}, .context = 0}, read.kind == ReadKind::Lease, out);
    }
}

void PaxosParticipant::lose_leadership(Outputs& out) {
    out.push_back(LeaderLost{ballot()});
    if (transfer_ && transfer_->id != 0) watched_transfer_ = transfer_;
    if (watched_transfer_) watched_transfer_->deadline = now_ + options_.election_timeout * 2;
    transfer_.reset();
    progress_.clear();
    undecided_.clear();
    acked_ = LogIndex();
    ready_ = false;
    pending_.cut_from(LogIndex(1));  // Others will decide what stands in those slots.
    for (const Proposal& proposal : std::exchange(waiting_, {})) {
        out.push_back(Rejected{proposal.id, Why::NoLeader, NodeId::Nobody});
    }
    waiting_bytes_ = 0;
    if (std::optional<ComingMembership> coming = std::exchange(coming_, std::nullopt);
        coming && coming->delivered && !coming->in_force) {
        bring_into_force(coming->slot, std::move(coming->membership), out);
        if (reconfigure_) {
            // It is decided, but we shall not learn whether enough of its members know.
            out.push_back(Abandoned{reconfigure_->id});
            reconfigure_.reset();
        }
    }
    keep_reads_for_next_leader();
}

// Tells those who live in the past that a higher ballot is promised; without it, a node that was cut off with pre_vote off
// could neither lead nor be led.
void PaxosParticipant::on_older_ballot(NodeId from, const Message& message, Outputs& out) {
    switch (static_cast<PaxosKind>(message.kind)) {
        case PaxosKind::Accept:
        case PaxosKind::Quiesce:
        case PaxosKind::Heartbeat: return send(from, PaxosKind::Accepted, {.rejected = true}, out);
        case PaxosKind::ReadRequest:
            return send(from, PaxosKind::ReadReply, {.rejected = true, .context = message.context}, out);
        // An acceptor that has promised less is favourable all the same; the context tells that it is this campaign's.
        case PaxosKind::ProbeReply: return on_probe_reply(from, message, out);
        default: return;
    }
}

// Returns false if the message is to be ignored.
bool PaxosParticipant::enter_newer_ballot(NodeId from, const Message& message, Outputs& out) {
    switch (static_cast<PaxosKind>(message.kind)) {
        case PaxosKind::Accept:
        case PaxosKind::Quiesce:
        case PaxosKind::Heartbeat:
            if (message.ballot.node != from) return false;
            become_follower(message.ballot, from, out);
            return true;
        case PaxosKind::ProbeReply:
        case PaxosKind::Promise:
        case PaxosKind::Accepted:
        case PaxosKind::HeartbeatReply:
        case PaxosKind::TimeoutNow:
        case PaxosKind::ReadRequest:
        case PaxosKind::Damaged:
        case PaxosKind::QuiesceReply:
        case PaxosKind::Wake: become_follower(message.ballot, NodeId::Nobody, out); return true;
        default: return false;
    }
}

}  // namespace polis::consensus
