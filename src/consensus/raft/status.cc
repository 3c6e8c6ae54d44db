// What a participant says of itself: status, the next deadline, the digest.
#include <algorithm>

#include "consensus/parts/digest.h"
#include "consensus/raft/participant.h"

namespace polis::consensus {

Status RaftParticipant::status() const {
    const Membership& membership = memberships_.current();
    Status status;
    switch (role_) {
        case Role::Leader: status.role = Status::Role::Leader; break;
        case Role::PreCandidate:
        case Role::Candidate: status.role = Status::Role::Candidate; break;
        case Role::Follower:
            status.role =
                is_voter() || !membership.contains(options_.self) ? Status::Role::Follower : Status::Role::Learner;
            break;
    }
    status.ready = ready_;
    status.quiet = quiet_;
    status.leader = leader_;
    status.ballot = term_;
    status.first = first_to_give();
    status.last = log_.last().index;
    status.committed = committed_;
    status.applied = applied_;
    status.membership = membership;
    if (role_ != Role::Leader) return status;
    for (const FollowerProgress& progress : progress_) {
        status.progress.push_back(
            {.node = progress.node,
             .matched = progress.matched,
             .active = quiet_ ? is_alive(progress.node) : now_ < progress.heard_at + options_.election_timeout,
             .snapshotting = progress.state == FollowerProgress::State::Snapshot,
             .priority = progress.priority});
    }
    return status;
}

Instant RaftParticipant::next_deadline() const {
    if (!recovered_) return Instant::never();
    Instant next = Instant::never();
    const auto at = [&](Instant deadline) { next = std::min(next, deadline); };
    if (role_ == Role::Leader) {
        if (!quiet_) at(heartbeat_at_);
        if (transfer_) at(transfer_->deadline);
    } else if (!quiet_) {
        at(election_deadline_);
    }
    if (watched_transfer_) at(watched_transfer_->deadline);
    if (stores_.out_of_space()) at(retry_at_);
    if (log_.is_damaged()) at(repair_at_);
    if (!forwarded_.empty()) at(std::min(forwarded_.front().deadline, forward_again_at_));
    return next;
}

uint64_t RaftParticipant::digest() const {
    Digest digest;
    digest.add(options_.self).add(chance_.split("digest").next()).add(now_).add(uint64_t{recovered_});
    digest.add(static_cast<uint64_t>(role_)).add(term_).add(vote_).add(leader_).add(told_leader_).add(told_term_);
    digest.add(heard_at_).add(votes_from_).add(election_deadline_).add(uint64_t{best_priority_});
    digest.add(campaign_.context).add(campaign_.vote_token).add(uint64_t{campaign_.asked});
    digest.add(uint64_t{campaign_.forced}).add(campaign_.granted);
    if (granted_vote_) digest.add(granted_vote_->to).add(granted_vote_->token);
    log_.add_to(digest);
    stores_.add_to(digest);
    memberships_.add_to(digest);
    digest.add(committed_).add(committed_stored_).add(delivered_).add(applied_).add(unreadable_to_);
    deliveries_.add_to(digest);
    digest.add(retry_at_).add(repair_at_).add(fetches_.size()).add(repair_readers_.size());
    for (const FetchUnderWay& fetch : fetches_) digest.add(fetch.range).add(fetch.readers);
    for (const RepairReader& reader : repair_readers_) digest.add(reader.node).add(reader.first);
    digest.add(repair_snapshots_).add(verified_).add(acked_).add(progress_.size());
    for (const FollowerProgress& progress : progress_) progress.add_to(digest);
    digest.add(uint64_t{membership_settled_}).add(term_start_).add(uint64_t{ready_}).add(heartbeat_at_);
    digest.add(quorum_since_).add(uint64_t{lease_broken_});
    digest.add(uint64_t{quiet_}).add(dead_).add(idle_since_).add(quiesce_context_).add(quiesce_granted_);
    uncommitted_.add_to(digest);
    for (const auto* transfer : {&transfer_, &watched_transfer_}) {
        if (*transfer) digest.add((*transfer)->id).add((*transfer)->to).add((*transfer)->deadline);
        if (*transfer) digest.add(uint64_t{(*transfer)->told});
    }
    reads_.add_to(digest);
    for (const ReadRounds::Barrier& barrier : early_reads_) {
        digest.add(barrier.id).add(barrier.from).add(barrier.context);
    }
    pending_.add_to(digest);
    if (reconfigure_) digest.add(reconfigure_->id).add(reconfigure_->position).add(uint64_t{reconfigure_->committed});
    for (const ForwardedRead& read : forwarded_) {
        digest.add(read.id).add(static_cast<uint64_t>(read.kind)).add(read.deadline);
    }
    digest.add(forwarded_context_).add(uint64_t{forwarded_count_}).add(forward_again_at_).add(context_);
    return digest.value();
}

}  // namespace polis::consensus
