// Read barriers: the master's rounds and lease ("Paxos Made Live", §5.2), and forwarding from followers.
#include <algorithm>
#include <utility>

#include "base/ensure.h"
#include "consensus/paxos/participant.h"

namespace polis::consensus {

void PaxosParticipant::on(const ReadBarrier& barrier, Outputs& out) {
    ENSURE(barrier.id != 0);
    wake(options_.self, out);
    if (role_ == Role::Leader) {
        return add_barrier({.id = barrier.id, .from = {}, .context = 0}, barrier.kind == ReadKind::Lease, out);
    }
    if (leader_ == NodeId::Nobody) return reject(barrier.id, *refusal(), out);
    forwarded_.push_back({barrier.id, barrier.kind, now_ + options_.election_timeout * 2});
    forward_reads(out);
}

void PaxosParticipant::on_read_request(NodeId from, const Message& message, Outputs& out) {
    if (role_ != Role::Leader) {
        return send(from, PaxosKind::ReadReply, {.rejected = true, .context = message.context}, out);
    }
    add_barrier({.id = 0, .from = from, .context = message.context}, message.hint.value == 1, out);
}

void PaxosParticipant::add_barrier(ReadRounds::Barrier barrier, bool lease, Outputs& out) {
    ENSURE(role_ == Role::Leader);
    busy();
    // Until our own run has begun we do not know how far our predecessors had come.
    if (!ready_) return early_reads_.push_back(barrier);
    barrier.index = decided();
    if (lease && lease_holds()) return answer(barrier, out);
    reads_.add(barrier);
    start_round_if_wanted(out);
}

void PaxosParticipant::release_early_reads(Outputs& out) {
    ENSURE(role_ == Role::Leader && ready_);
    for (ReadRounds::Barrier& barrier : std::exchange(early_reads_, {})) {
        barrier.index = decided();
        reads_.add(barrier);
    }
    start_round_if_wanted(out);
}

void PaxosParticipant::start_round_if_wanted(Outputs& out) {
    while (reads_.wants_round()) {
        broadcast_heartbeat(out);
        const uint64_t confirmed = reads_.confirmed();
        advance_reads(out);
        if (reads_.confirmed() == confirmed) return;  // Others have to answer first.
    }
}

// What a majority has answered serves the barriers that waited for it.
void PaxosParticipant::advance_reads(Outputs& out) {
    if (role_ != Role::Leader) return;
    const auto confirmed = [&](NodeId node) {
        if (node == options_.self) return reads_.newest();
        const AcceptorProgress* progress = progress_of(node);
        return progress == nullptr ? uint64_t{0} : progress->confirmed_round;
    };
    uint64_t round = majority_value(memberships_.current(), confirmed);
    // Once a majority of the coming membership has learned of it, it may elect another leader, whoever we hear.
    if (coming_) round = std::min(round, majority_value(coming_->membership, confirmed));
    reads_.confirm(round);
    for (const ReadRounds::Barrier& barrier : reads_.take_confirmed()) answer(barrier, out);
    if (reads_.wants_round()) broadcast_heartbeat(out);
}

void PaxosParticipant::answer(const ReadRounds::Barrier& barrier, Outputs& out) {
    if (barrier.from == NodeId::Nobody) {
        out.push_back(ReadReady{barrier.id, barrier.index});
    } else {
        send(barrier.from, PaxosKind::ReadReply, {.hint = barrier.index, .context = barrier.context}, out);
    }
}

// Whoever confirmed our newest round promises nobody else for an election timeout after it came there, which was not before we sent it.
// Needs check_quorum on all nodes, and that no transfer was told: that one goes against the lease.
bool PaxosParticipant::lease_holds() const {
    if (!options_.check_quorum || lease_broken_) return false;
    if (!coming_ && memberships_.current().voters == std::vector<NodeId>{options_.self}) return true;
    const std::optional<Instant> sent_at = reads_.confirmed_sent_at();
    return sent_at && now_ < *sent_at + (options_.election_timeout - options_.clock_drift_max);
}

// One request at a time stands for all barriers that have come by then; the later ones share the next.
void PaxosParticipant::forward_reads(Outputs& out) {
    if (forwarded_context_ != 0 || forwarded_.empty()) return;
    if (leader_ == NodeId::Nobody || role_ == Role::Leader) return;
    forwarded_context_ = fresh_context();
    forwarded_count_ = forwarded_.size();
    forward_again_at_ = now_ + options_.heartbeat * 2;
    const bool lease = std::all_of(forwarded_.begin(), forwarded_.end(),
                                   [](const ForwardedRead& read) { return read.kind == ReadKind::Lease; });
    send(leader_, PaxosKind::ReadRequest, {.hint = LogIndex(lease ? 1 : 0), .context = forwarded_context_}, out);
}

void PaxosParticipant::on_read_reply(const Message& message, Outputs& out) {
    if (message.context == 0 || message.context != forwarded_context_) return;
    if (message.rejected) return;  // Asked again when a leader is known, or soon.
    forwarded_context_ = 0;
    ENSURE(forwarded_count_ <= forwarded_.size());
    const auto end = forwarded_.begin() + static_cast<ptrdiff_t>(forwarded_count_);
    for (auto read = forwarded_.begin(); read != end; ++read) out.push_back(ReadReady{read->id, message.hint});
    forwarded_.erase(forwarded_.begin(), end);
    forward_reads(out);
}

void PaxosParticipant::expire_forwarded_reads(Outputs& out) {
    if (forwarded_.empty()) return;
    size_t expired = 0;  // They came in order, so their deadlines ascend.
    while (expired < forwarded_.size() && forwarded_[expired].deadline <= now_) {
        reject(forwarded_[expired++].id, Why::NoLeader, out);
    }
    forwarded_.erase(forwarded_.begin(), forwarded_.begin() + static_cast<ptrdiff_t>(expired));
    forwarded_count_ -= std::min(forwarded_count_, expired);
    if (now_ < forward_again_at_) return;
    forwarded_context_ = 0;  // The request or its answer was lost.
    forward_reads(out);
}

// Barriers have no effect, so they are simply asked of whoever leads next.
void PaxosParticipant::keep_reads_for_next_leader() {
    std::vector<ReadRounds::Barrier> barriers = reads_.take_all();
    for (const ReadRounds::Barrier& early : std::exchange(early_reads_, {})) barriers.push_back(early);
    for (const ReadRounds::Barrier& barrier : barriers) {
        if (barrier.id == 0) continue;  // Another node's: it asks again by itself.
        forwarded_.push_back({barrier.id, ReadKind::Index, now_ + options_.election_timeout * 2});
    }
    forwarded_context_ = 0;
}

}  // namespace polis::consensus
