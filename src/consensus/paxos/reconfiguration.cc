// Changes of membership: decided in a slot, in force from the next one on (Lamport, Malkhi and Zhou, "Reconfiguring a State
// Machine", 2010, with a window of one slot for memberships only).
//
// Nothing is proposed behind a membership until a majority of it has learned that it was decided, and hence all before it, and has
// promised our ballot. So those who leave can go as soon as it is in force, any set of voters may follow any other, and no slot is
// ever counted by two of them.
#include <algorithm>
#include <utility>

#include "base/ensure.h"
#include "consensus/paxos/participant.h"

namespace polis::consensus {
namespace {

bool has(const std::vector<NodeId>& nodes, NodeId node) { return std::binary_search(nodes.begin(), nodes.end(), node); }

std::vector<NodeId> in_order(std::vector<NodeId> nodes) {
    std::sort(nodes.begin(), nodes.end());
    return nodes;
}

}  // namespace

void PaxosParticipant::on(const Reconfigure& reconfigure, Outputs& out) {
    ENSURE(reconfigure.id != 0);
    wake(options_.self, out);
    if (const std::optional<Why> why = refusal()) return reject(reconfigure.id, *why, out);
    const Membership target{.voters = in_order(reconfigure.voters),
                            .outgoing = {},
                            .learners = in_order(reconfigure.learners),
                            .next_learners = {}};
    if (const std::optional<Why> why = objection_to(target)) return reject(reconfigure.id, *why, out);
    if (target == memberships_.current()) {
        out.push_back(Done{reconfigure.id});
        return;
    }
    const LogIndex slot = proposer_.claim();
    reconfigure_ = PendingReconfigure{reconfigure.id, {slot, ballot()}};
    accept_own({slot, ballot(), EntryKind::Membership, with_origin(encode(target), ballot())});
    await_membership(slot, target, ballot(), out);
    replicate_to_all(out);
}

std::optional<Why> PaxosParticipant::objection_to(const Membership& target) const {
    if (!check(target)) return Why::Invalid;
    if (coming_ || reconfigure_ || !ready_) return Why::Busy;
    const LogIndex last = proposer_.next().previous();
    for (const AcceptorProgress& progress : progress_) {
        const bool promoted = has(memberships_.current().learners, progress.node) && has(target.voters, progress.node);
        if (!promoted) continue;
        const bool up = now_ < progress.heard_at + options_.election_timeout;
        const bool close = progress.held + options_.catch_up_entries >= last;
        if (!up || !close || progress.held < proposer_.run_start()) return Why::Lagging;
    }
    return std::nullopt;
}

// A membership was proposed by us, for the first time or again.
void PaxosParticipant::await_membership(LogIndex slot, Membership membership, Ballot origin, Outputs& out) {
    ENSURE(role_ == Role::Leader && !coming_);
    proposer_.hold();
    coming_ = ComingMembership{.slot = slot, .membership = std::move(membership), .origin = origin};
    refresh_progress();
    broadcast_heartbeat(out);  // Who is new says what it has, and is asked for its promise.
}

// We shall have no vote in what is coming.
bool PaxosParticipant::is_leaving() const {
    return role_ == Role::Leader && coming_ && !coming_->in_force && !coming_->membership.votes(options_.self);
}

// Until enough of those who come have learned of the membership, nobody who leaves may remember it, ourselves least of all: after a restart
// we could not lead any more, and they not yet. So it is not delivered, nor its decision stored. (An orphan is: it changes nothing.)
bool PaxosParticipant::stays_for(LogIndex slot) const {
    if (!is_leaving() || coming_->slot != slot || coming_->origin != learner_.delivered_ballot()) return false;
    return !is_learned_by_majority(*coming_);
}

LogIndex PaxosParticipant::decided_to_remember() const {
    return is_leaving() ? std::min(decided(), coming_->slot.previous()) : decided();
}

// A membership was delivered.
void PaxosParticipant::on_membership(LogIndex slot, Membership membership, Outputs& out) {
    if (role_ != Role::Leader) return bring_into_force(slot, std::move(membership), out);
    ENSURE(coming_ && coming_->slot == slot);
    coming_->delivered = true;
}

// The membership that we proposed again was an orphan: nothing changes.
void PaxosParticipant::on_void_slot(LogIndex slot, Outputs& out) {
    ENSURE(role_ == Role::Leader && coming_->slot == slot);
    coming_.reset();
    proposer_.release();
    refresh_progress();
    let_go_departing(out);
    propose_more(out);
}

bool PaxosParticipant::is_learned_by_majority(const ComingMembership& coming) const {
    return majority(coming.membership, [&](NodeId node) {
        if (node == options_.self) return acceptor_.decided_durably() >= coming.slot;
        return std::ranges::any_of(progress_, [&](const AcceptorProgress& progress) {
            return progress.node == node && progress.decided >= coming.slot;
        });
    });
}

// Goes on once the coming membership may be acted upon.
void PaxosParticipant::push_membership(Outputs& out) {
    if (role_ != Role::Leader || !coming_ || !coming_->delivered || !is_learned_by_majority(*coming_)) return;
    if (!coming_->in_force) {
        coming_->in_force = true;
        bring_into_force(coming_->slot, coming_->membership, out);
        if (reconfigure_) {
            out.push_back(Done{reconfigure_->id});
            reconfigure_.reset();
        }
        let_go_departing(out);
        if (role_ != Role::Leader) return;
    }
    if (!proposer_.is_prepared(memberships_.current())) return;
    coming_.reset();
    proposer_.release();
    propose_more(out);
}

void PaxosParticipant::bring_into_force(LogIndex slot, Membership membership, Outputs& out) {
    memberships_.append(slot, membership);
    memberships_.forget_before(slot);
    out.push_back(ConfigActive{slot, std::move(membership)});
    if (role_ == Role::Leader) {
        refresh_progress();
    } else if (role_ != Role::Follower) {
        become_follower(ballot(), NodeId::Nobody, out);  // Others have to be asked.
    }
}

// Makes progress_ follow the memberships in force and coming.
void PaxosParticipant::refresh_progress() {
    std::vector<NodeId> members = memberships_.current().everyone();
    if (coming_) {
        const std::vector<NodeId> more = coming_->membership.everyone();
        members.insert(members.end(), more.begin(), more.end());
    }
    members = in_order(std::move(members));
    members.erase(std::unique(members.begin(), members.end()), members.end());
    for (AcceptorProgress& progress : progress_) progress.departing = !has(members, progress.node);
    for (const NodeId node : members) {
        if (node == options_.self || progress_of(node) != nullptr) continue;
        AcceptorProgress progress{.node = node, .next = proposer_.next(), .heard_at = now_};
        if (proposer_.has_report(node)) {
            progress.held = progress.decided = proposer_.decided_at(node);
            progress.replicate_from(progress.held.next());
        }
        progress_.insert(std::ranges::upper_bound(progress_, node, {}, &AcceptorProgress::node), std::move(progress));
    }
}

// Leaves behind who is in no membership any more, ourselves included.
void PaxosParticipant::let_go_departing(Outputs& out) {
    for (const AcceptorProgress& progress : progress_) {
        if (progress.departing) send(progress.node, PaxosKind::Heartbeat, {.committed = decided()}, out);
    }
    std::erase_if(progress_, [](const AcceptorProgress& progress) { return progress.departing; });
    if (is_voter()) return;
    // We led until the change was safe; now somebody in it has to.
    if (AcceptorProgress* successor = best_successor()) hand_over(*successor, out);
    become_follower(ballot(), NodeId::Nobody, out);
}

// `delivered` tells how a Reconfigure of ours ended, if it did.
void PaxosParticipant::finish_reconfigure(const LogPosition& delivered, Outputs& out) {
    if (!reconfigure_) return;
    const LogPosition& ours = reconfigure_->position;
    if (delivered == ours) {
        if (role_ == Role::Leader) return;  // Done when it is in force.
        out.push_back(
            Abandoned{reconfigure_->id});  // Decided; but whether enough of its members know, we shall not learn.
    } else if (delivered.ballot > ours.ballot || delivered.index == ours.index) {
        // The same reasoning as in PendingRequests.
        reject(reconfigure_->id, leader_ == NodeId::Nobody ? Why::NoLeader : Why::NotLeader, out);
    } else {
        return;
    }
    reconfigure_.reset();
}

}  // namespace polis::consensus
