// Snapshots and compaction: what the log no longer holds. The snapshot itself is the shell's to move.
#include <algorithm>
#include <utility>

#include "base/ensure.h"
#include "consensus/paxos/participant.h"

namespace polis::consensus {

void PaxosParticipant::on(const Compacted& compacted, Outputs&) {
    ENSURE(compacted.position.index <= learner_.applied());
    acceptor_.compact(compacted.position.index);
}

void PaxosParticipant::ask_for_snapshot(AcceptorProgress& to, Outputs& out) {
    if (now_ >= to.heard_at + options_.election_timeout) return;  // Not up: it is asked about again when it is.
    const bool leaves = coming_ && !coming_->in_force && !coming_->membership.votes(to.node);
    if (leaves) return;  // It must not learn of that yet, and our state may tell.
    to.await_snapshot();
    out.push_back(NeedSnapshot{to.node, first_to_give().previous()});
}

void PaxosParticipant::on(const SnapshotSent& sent, Outputs& out) {
    std::erase(repair_snapshots_, sent.to);
    AcceptorProgress* to = progress_of(sent.to);
    if (to == nullptr || to->state != AcceptorProgress::State::Snapshot) return;
    if (!sent.ok) return to->forget();  // Its next answer to a heartbeat tries again, not we at once.
    to->replicate_from(sent.position.index.next());
    replicate_to(*to, out);
}

void PaxosParticipant::on(SnapshotInstalled installed, Outputs& out) {
    const LogPosition position = installed.position;
    if (position.index <= learner_.applied()) return;
    wake(options_.self, out);
    for (const RequestId id : pending_.jump_to(position.index)) out.push_back(Abandoned{id});
    const bool jumped = learner_.delivered() < position.index;
    if (reconfigure_ && jumped && reconfigure_->position.index <= position.index) {
        out.push_back(Abandoned{reconfigure_->id});
        reconfigure_.reset();
    }
    if (jumped && role_ != Role::Follower) become_follower(ballot(), NodeId::Nobody, out);
    // Whoever led there has begun: a lower ballot could only propose orphans.
    const Ballot begun{position.ballot.epoch, NodeId::Nobody};
    if (begun > ballot()) become_follower(begun, NodeId::Nobody, out);
    acceptor_.jump_to(position, decided());
    learner_.jump_to(position);
    if (jumped) {
        memberships_ = MembershipHistory(position.index, installed.membership);
        out.push_back(ConfigActive{position.index, std::move(installed.membership)});
    }
    acknowledge(out);
}

}  // namespace polis::consensus
