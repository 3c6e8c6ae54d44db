// Snapshots and compaction: what the log no longer holds (§5.1, §5.3). The snapshot itself is the shell's to move.
#include <algorithm>
#include <utility>

#include "base/ensure.h"
#include "consensus/raft/participant.h"

namespace polis::consensus {

void RaftParticipant::on(const Compacted& compacted, Outputs&) {
    ENSURE(compacted.position.index <= applied_);
    if (compacted.position.index <= log_.start().index) return;
    ENSURE(log_.holds(compacted.position));
    log_.compact(compacted.position);
    memberships_.forget_before(compacted.position.index);
}

void RaftParticipant::ask_for_snapshot(FollowerProgress& to, Outputs& out) {
    if (now_ >= to.heard_at + options_.election_timeout) return;  // Not up: it is asked about again when it is.
    to.become_snapshot();
    out.push_back(NeedSnapshot{to.node, std::max(log_.start().index, unreadable_to_)});
}

void RaftParticipant::on(const SnapshotSent& sent, Outputs& out) {
    std::erase(repair_snapshots_, sent.to);
    FollowerProgress* to = progress_of(sent.to);
    if (to == nullptr || to->state != FollowerProgress::State::Snapshot) return;
    to->become_probe(sent.ok ? sent.position.index.next() : to->next);
    // After a failure the next heartbeat's answer tries again, not we at once.
    if (sent.ok) {
        replicate_to(*to, out);
    } else {
        to->probing = true;
    }
}

void RaftParticipant::on(SnapshotInstalled installed, Outputs& out) {
    const LogPosition position = installed.position;
    if (position.index <= applied_) return;
    wake(options_.self, out);
    for (const RequestId id : pending_.jump_to(position.index)) out.push_back(Abandoned{id});
    if (reconfigure_ && delivered_ < position.index && reconfigure_->position.index <= position.index) {
        out.push_back(Abandoned{reconfigure_->id});
        reconfigure_.reset();
    }
    if (log_.holds(position)) {
        // We have it all, and perhaps more that was acknowledged: only the log's beginning moves.
        log_.compact(position);
        memberships_.forget_before(position.index);
        stores_.raise(position.index);
    } else {
        ENSURE(committed_ < position.index);
        if (role_ != Role::Follower) become_follower(term_, NodeId::Nobody, out);
        pending_.cut_from(position.index.next());
        log_.reset(position);
        stores_.reset(position.index);
        memberships_ = MembershipHistory(position.index, installed.membership);
        write_.reset_to = position;
    }
    committed_ = std::max(committed_, position.index);
    applied_ = position.index;
    const bool jumped = delivered_ < position.index;
    delivered_ = std::max(delivered_, position.index);
    deliveries_.confirm(applied_);
    if (leader_ != NodeId::Nobody && leader_ != options_.self) verified_ = std::max(verified_, position.index);
    if (jumped) out.push_back(ConfigActive{position.index, std::move(installed.membership)});
    acknowledge(out);
}

}  // namespace polis::consensus
