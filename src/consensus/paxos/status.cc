// What a participant says of itself: status, the next deadline, the digest.
#include <algorithm>

#include "consensus/parts/digest.h"
#include "consensus/paxos/participant.h"

namespace polis::consensus {

Status PaxosParticipant::status() const {
    const Membership& membership = memberships_.current();
    Status status;
    switch (role_) {
        case Role::Leader: status.role = Status::Role::Leader; break;
        case Role::Probing:
        case Role::Preparing: status.role = Status::Role::Candidate; break;
        case Role::Follower:
            status.role =
                is_voter() || !membership.contains(options_.self) ? Status::Role::Follower : Status::Role::Learner;
            break;
    }
    status.ready = ready_;
    status.quiet = quiet_;
    status.leader = leader_;
    status.ballot = ballot();
    status.first = first_to_give();
    status.last = acceptor_.slots().last();
    status.committed = decided();
    status.applied = learner_.applied();
    status.membership = membership;
    if (role_ != Role::Leader) return status;
    for (const AcceptorProgress& progress : progress_) {
        status.progress.push_back(
            {.node = progress.node,
             .matched = progress.held,
             .active = quiet_ ? is_alive(progress.node) : now_ < progress.heard_at + options_.election_timeout,
             .snapshotting = progress.state == AcceptorProgress::State::Snapshot,
             .priority = progress.priority});
    }
    return status;
}

Instant PaxosParticipant::next_deadline() const {
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
    if (acceptor_.stores().out_of_space()) at(retry_at_);
    if (!acceptor_.slots().lost().empty()) at(repair_at_);
    if (!forwarded_.empty()) at(std::min(forwarded_.front().deadline, forward_again_at_));
    return next;
}

uint64_t PaxosParticipant::digest() const {
    Digest digest;
    digest.add(options_.self).add(chance_.split("digest").next()).add(now_).add(uint64_t{recovered_});
    acceptor_.add_to(digest);
    learner_.add_to(digest);
    proposer_.add_to(digest);
    digest.add(static_cast<uint64_t>(role_)).add(leader_).add(told_leader_).add(told_ballot_).add(heard_at_);
    digest.add(promises_from_).add(election_deadline_).add(uint64_t{best_priority_});
    digest.add(campaign_.context).add(campaign_.promise_token).add(uint64_t{campaign_.asked});
    digest.add(uint64_t{campaign_.forced}).add(campaign_.favourable);
    if (given_promise_) digest.add(given_promise_->to).add(given_promise_->after).add(given_promise_->token);
    memberships_.add_to(digest);
    digest.add(unreadable_to_).add(retry_at_).add(repair_at_).add(fetches_.size());
    for (const FetchUnderWay& fetch : fetches_) {
        digest.add(fetch.range).add(fetch.readers.size());
        for (const Reader& reader : fetch.readers) {
            digest.add(static_cast<uint64_t>(reader.purpose)).add(reader.node).add(reader.after);
        }
    }
    digest.add(repair_snapshots_).add(acked_).add(progress_.size());
    for (const AcceptorProgress& progress : progress_) progress.add_to(digest);
    if (coming_) {
        digest.add(coming_->slot).add(coming_->membership);
        digest.add(uint64_t{coming_->delivered}).add(uint64_t{coming_->in_force});
    }
    for (const Proposal& proposal : waiting_) digest.add(proposal.id);
    digest.add(uint64_t{ready_}).add(heartbeat_at_).add(quorum_since_).add(waiting_bytes_).add(uint64_t{lease_broken_});
    undecided_.add_to(digest);
    digest.add(uint64_t{quiet_}).add(dead_).add(idle_since_).add(quiesce_context_).add(quiesce_granted_);
    for (const auto* transfer : {&transfer_, &watched_transfer_}) {
        if (*transfer) digest.add((*transfer)->id).add((*transfer)->to).add((*transfer)->deadline);
        if (*transfer) digest.add(uint64_t{(*transfer)->told});
    }
    reads_.add_to(digest);
    for (const ReadRounds::Barrier& barrier : early_reads_) {
        digest.add(barrier.id).add(barrier.from).add(barrier.context);
    }
    pending_.add_to(digest);
    if (reconfigure_) digest.add(reconfigure_->id).add(reconfigure_->position);
    for (const ForwardedRead& read : forwarded_) {
        digest.add(read.id).add(static_cast<uint64_t>(read.kind)).add(read.deadline);
    }
    digest.add(forwarded_context_).add(uint64_t{forwarded_count_}).add(forward_again_at_).add(context_);
    return digest.value();
}

}  // namespace polis::consensus
