// Quiescence: a group that has nothing to do sends nothing. Liveness of nodes stands for the heartbeats that are not sent.
//
// Only the sending of heartbeats and the waiting for them stop; no promise is made or withdrawn, so what makes Paxos safe is untouched. A
// follower that is quiet goes on promising nobody else, as if it heard its leader; a lease simply runs out.
//
// Why nobody sleeps for ever: a leader is quiet only once every follower that is alive has agreed, holding the same slots, all of
// them decided. Whatever happens in the group then reaches somebody as a message, a request or a change of liveness, and wakes it; one that is woken by
// anything but its leader wakes the leader, whose heartbeats wake all. A leader whose node dies, restarts or loses its connection is told
// as dead, which wakes its followers for an election. A leader that ceases to lead says so (Wake, become_follower).
#include <algorithm>
#include <utility>

#include "base/ensure.h"
#include "consensus/paxos/participant.h"

namespace polis::consensus {

// Leader: nothing is under way that another message, store or answer would bring on.
bool PaxosParticipant::is_idle() const {
    ENSURE(role_ == Role::Leader);
    const LogIndex last = proposer_.next().previous();
    const bool all_done = ready_ && decided() == last && learner_.delivered() == last && acceptor_.stores().is_idle() &&
                          acceptor_.slots().last() == last && acceptor_.slots().lost().empty();
    const bool no_request = !transfer_ && !watched_transfer_ && !reconfigure_ && pending_.empty() &&
                            forwarded_.empty() && early_reads_.empty() && !reads_.is_waiting();
    if (!all_done || !no_request || coming_ || !waiting_.empty() || !is_voter()) return false;
    const bool all_follow = std::all_of(progress_.begin(), progress_.end(), [&](const AcceptorProgress& progress) {
        if (!is_alive(progress.node)) return true;
        return progress.state == AcceptorProgress::State::Replicate && progress.held == last && !progress.out_of_space;
    });
    return all_follow &&
           majority(memberships_.current(), [&](NodeId node) { return node == options_.self || is_alive(node); });
}

// Asks all to be quiet, once there was nothing to do for long enough.
void PaxosParticipant::try_to_quiesce(Outputs& out) {
    if (options_.quiesce_after == Duration::zero() || now_ < idle_since_ + options_.quiesce_after) return;
    if (!is_idle()) return busy();
    busy();  // If somebody does not agree, we ask again after a while.
    quiesce_context_ = fresh_context();
    quiesce_granted_.clear();
    // A heartbeat would wake those who have agreed before the others' answers are here.
    heartbeat_at_ = std::max(heartbeat_at_, now_ + options_.election_timeout / 2);
    for (const AcceptorProgress& to : progress_) {
        if (!is_alive(to.node)) continue;
        send(to.node, PaxosKind::Quiesce,
             {.previous = {decided(), {}}, .committed = decided(), .context = quiesce_context_}, out);
    }
    on_quiesce_reply(options_.self, {.context = quiesce_context_});
}

void PaxosParticipant::on_quiesce(NodeId from, const Message& message, Outputs& out) {
    if (role_ == Role::Leader || message.ballot.node != from) return;
    follow(from, out);
    learn_from_leader(message.committed);
    const LogIndex last = message.previous.index;
    const bool same = decided() == last && held() == last;  // What stands behind was never decided.
    const bool agrees =
        same && acceptor_.stores().is_idle() && forwarded_.empty() && !watched_transfer_ && is_alive(from);
    quiet_ = agrees;
    send(from, PaxosKind::QuiesceReply, {.rejected = !agrees, .context = message.context}, out);
}

void PaxosParticipant::on_quiesce_reply(NodeId from, const Message& message) {
    if (role_ != Role::Leader || quiet_ || quiesce_context_ == 0 || message.context != quiesce_context_) return;
    if (message.rejected || !is_idle()) return busy();
    quiesce_granted_.push_back(from);
    const auto granted = [&](NodeId node) {
        return std::find(quiesce_granted_.begin(), quiesce_granted_.end(), node) != quiesce_granted_.end();
    };
    quiet_ = std::all_of(progress_.begin(), progress_.end(), [&](const AcceptorProgress& progress) {
        return granted(progress.node) || !is_alive(progress.node);
    });
    if (quiet_) quiesce_context_ = 0;
}

// Only what belongs to falling asleep lets one sleep on.
bool PaxosParticipant::wakes(NodeId from, PaxosKind kind) const {
    if (!quiet_) return false;
    if (role_ == Role::Leader) return kind != PaxosKind::QuiesceReply && kind != PaxosKind::HeartbeatReply;
    return kind != PaxosKind::Quiesce || from != leader_;
}

// Something is to be done. `because_of`: whose message it was, or ourselves.
void PaxosParticipant::wake(NodeId because_of, Outputs& out) {
    if (!std::exchange(quiet_, false)) return;
    if (role_ == Role::Leader) {
        // All is as after an answer of everyone alive, and the check for a majority begins anew.
        quorum_since_ = heartbeat_at_ = now_;
        for (AcceptorProgress& progress : progress_) {
            if (is_alive(progress.node)) progress.heard_at = now_;
        }
        return busy();
    }
    ENSURE(role_ == Role::Follower);
    heard_at_ = now_;  // Through its node, which is alive.
    draw_election_deadline(now_);
    const bool tell = leader_ != NodeId::Nobody && because_of != leader_;
    if (tell) send(leader_, PaxosKind::Wake, {}, out);
}

// Our leader's node is gone. Its silence has lasted for an election timeout already, or its process has ended: we wait only as long
// as it takes not to stand all at once. heard_at_ stays what it was, so that a lease that may still hold is honoured.
void PaxosParticipant::wake_for_election() {
    if (!std::exchange(quiet_, false)) return;
    ENSURE(role_ == Role::Follower);
    draw_election_deadline(now_ - options_.election_timeout);
}

void PaxosParticipant::on(const Liveness& liveness, Outputs& out) {
    const bool was_alive = is_alive(liveness.node);
    if (was_alive == liveness.alive) return;
    if (liveness.alive) {
        std::erase(dead_, liveness.node);
    } else {
        dead_.push_back(liveness.node);
    }
    if (role_ == Role::Leader) {
        if (progress_of(liveness.node) == nullptr) return;
        quiesce_context_ = 0;
        wake(options_.self, out);
    } else if (!liveness.alive && liveness.node == leader_) {
        wake_for_election();
    }
}

}  // namespace polis::consensus
