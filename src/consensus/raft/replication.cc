// The leader's side of replication: what is sent to whom, heartbeats, and what the answers tell (§3.5, §10.2.1).
#include <algorithm>
#include <utility>

#include "base/ensure.h"
#include "consensus/raft/participant.h"

namespace polis::consensus {

FollowerProgress* RaftParticipant::progress_of(NodeId node) {
    if (role_ != Role::Leader) return nullptr;
    for (FollowerProgress& progress : progress_) {
        if (progress.node == node) return &progress;
    }
    return nullptr;
}

void RaftParticipant::append_own(EntryKind kind, Bytes payload) {
    ENSURE(role_ == Role::Leader);
    busy();
    Entry entry{log_.last().index.next(), term_, kind, std::move(payload)};
    write_.entries.push_back(entry);
    log_.append(std::move(entry));
}

void RaftParticipant::replicate_to_all(Outputs& out) {
    for (FollowerProgress& progress : progress_) replicate_to(progress, out);
}

// Sends as much as the follower may be sent now.
void RaftParticipant::replicate_to(FollowerProgress& to, Outputs& out) {
    using State = FollowerProgress::State;
    if (to.out_of_space) return;
    if (to.state == State::Probe && !to.probing) send_append(to, out);
    while (to.state == State::Replicate && to.next <= log_.last().index && !to.fetching) {
        const bool full =
            to.window.count() >= options_.inflight_messages_max || to.window.bytes() >= options_.inflight_bytes_max;
        if (full || !send_append(to, out)) return;
    }
}

// Sends one message. Returns false if nothing was sent, or nothing more can be for now.
bool RaftParticipant::send_append(FollowerProgress& to, Outputs& out) {
    if (to.next < first_to_give()) {
        ask_for_snapshot(to, out);
        return false;
    }
    const bool probing = to.state == FollowerProgress::State::Probe;
    if (to.next <= log_.last().index && log_.is_cached(to.next)) {
        send_entries(to, log_.cached(to.next, log_.last().index, options_.message_bytes_max), out);
        return !probing;
    }
    if (probing) {
        send_entries(to, {}, out);
    } else if (to.next <= log_.last().index) {
        to.fetching = true;
        fetch(to.node, to.next, log_.last().index, out);
    }
    return false;
}

void RaftParticipant::send_entries(FollowerProgress& to, std::span<const Entry> entries, Outputs& out) {
    const LogIndex before = to.next.previous();
    Message message{.previous = {before, *log_.ballot_at(before)}, .committed = committed_};
    message.entries.assign(entries.begin(), entries.end());
    if (to.state == FollowerProgress::State::Probe) {
        to.probing = true;
    } else {
        ENSURE(!entries.empty());
        uint64_t bytes = 0;
        for (const Entry& entry : entries) bytes += size_of(entry);
        to.next = entries.back().index.next();
        to.window.push(entries.back().index, bytes);
        to.committed_told = std::max(to.committed_told, std::min(committed_, entries.back().index));
    }
    send(to.node, RaftKind::Append, std::move(message), out);
}

void RaftParticipant::broadcast_heartbeat(Outputs& out) {
    const uint64_t round = reads_.begin(now_);
    heartbeat_at_ = now_ + options_.heartbeat;
    const uint32_t priority = best_priority();
    for (FollowerProgress& to : progress_) {
        if (to.checked_round == 0) {
            to.checked_round = round;
            to.checked_next = to.next;
        }
        Message message{.committed = std::min(to.matched, committed_), .context = round, .priority = priority};
        send(to.node, RaftKind::Heartbeat, std::move(message), out);
    }
}

// Lets the followers deliver at once instead of with the next heartbeat.
void RaftParticipant::tell_committed(Outputs& out) {
    for (FollowerProgress& to : progress_) {
        const LogIndex committed = std::min(to.matched, committed_);
        if (to.state != FollowerProgress::State::Replicate || committed <= to.committed_told) continue;
        to.committed_told = committed;
        send(to.node, RaftKind::Heartbeat, {.committed = committed, .priority = best_priority()}, out);
    }
}

void RaftParticipant::on_append_reply(NodeId from, const Message& message, Outputs& out) {
    FollowerProgress* progress = progress_of(from);
    if (progress == nullptr) return;
    progress->heard_at = now_;
    if (message.rejected) return on_rejected_append(*progress, message, out);
    if (message.hint > log_.last().index) return;
    if (progress->state == FollowerProgress::State::Probe) progress->become_replicate();
    on_matched(*progress, message.hint, out);
}

void RaftParticipant::on_rejected_append(FollowerProgress& from, const Message& message, Outputs& out) {
    using State = FollowerProgress::State;
    const LogIndex previous = message.previous.index;
    // Answers may be late: only the one to what we believe now says anything.
    const bool stale = from.state == State::Replicate ? previous <= from.matched : previous.next() != from.next;
    if (from.state == State::Snapshot || stale || previous.value == 0) return;
    const LogIndex limit = std::min(message.hint, previous.previous());
    const LogIndex agreed = limit < log_.start().index ? limit : log_.last_at_most(limit, message.hint_ballot).index;
    from.become_probe(agreed.next());
    replicate_to(from, out);
}

void RaftParticipant::on_heartbeat_reply(NodeId from, const Message& message, Outputs& out) {
    FollowerProgress* progress = progress_of(from);
    if (progress == nullptr || message.context > reads_.newest()) return;
    progress->heard_at = now_;
    progress->priority = message.priority;
    progress->out_of_space = message.rejected;
    progress->confirmed_round = std::max(progress->confirmed_round, message.context);
    if (progress->checked_round != 0 && message.context >= progress->checked_round) {
        // All that we sent before the round should have come before it.
        const bool lost = message.previous.index.next() < progress->checked_next;
        progress->checked_round = 0;
        if (lost && progress->state == FollowerProgress::State::Replicate) {
            progress->become_probe(std::min(message.previous.index, log_.last().index).next());
        }
    }
    if (progress->state == FollowerProgress::State::Replicate && message.hint_ballot != term_) {
        // It has been restarted: what it was sent may be on its disk, but it does not know that it is ours.
        progress->become_probe(progress->matched.next());
    }
    progress->probing = false;
    if (message.hint > progress->matched && message.hint <= log_.last().index) {
        on_matched(*progress, message.hint, out);
    } else {
        replicate_to(*progress, out);
    }
    advance_reads(out);
}

// The follower holds our log up to `matched`, durably.
void RaftParticipant::on_matched(FollowerProgress& from, LogIndex matched, Outputs& out) {
    ENSURE(matched <= log_.last().index);
    const bool advanced = matched > from.matched;
    from.matched = std::max(from.matched, matched);
    if (from.state == FollowerProgress::State::Snapshot && from.matched.next() >= first_to_give()) {
        from.become_probe(from.matched.next());
    }
    from.window.confirm(from.matched);
    from.next = std::max(from.next, from.matched.next());
    if (advanced) advance_commit(out);
    replicate_to(from, out);
    if (advanced) {
        tell_committed(out);
        push_transfer(out);
    }
}

void RaftParticipant::on_damaged(NodeId from, const Message& message, Outputs& out) {
    FollowerProgress* progress = progress_of(from);
    if (progress == nullptr || progress->state == FollowerProgress::State::Snapshot) return;
    progress->heard_at = now_;
    if (message.hint >= log_.last().index) return;
    progress->matched = std::min(progress->matched, message.hint);
    progress->become_probe(message.hint.next());
    replicate_to(*progress, out);
}

void RaftParticipant::on(const Unreachable& unreachable, Outputs& out) {
    const bool concerns_us = unreachable.node == leader_ || progress_of(unreachable.node) != nullptr;
    if (concerns_us) wake(options_.self, out);
    FollowerProgress* progress = progress_of(unreachable.node);
    if (progress == nullptr || progress->state != FollowerProgress::State::Replicate) return;
    progress->become_probe(progress->matched.next());
}

bool RaftParticipant::hears_majority() const {
    ENSURE(role_ == Role::Leader);
    return majority(memberships_.current(), [&](NodeId node) {
        if (node == options_.self) return true;
        return std::any_of(progress_.begin(), progress_.end(), [&](const FollowerProgress& progress) {
            return progress.node == node && now_ < progress.heard_at + options_.election_timeout;
        });
    });
}

// Of the other voters that are up: who lags behind is given up anyway when votes are asked for.
uint32_t RaftParticipant::best_priority() const {
    uint32_t best = 0;
    for (const FollowerProgress& progress : progress_) {
        const bool up = now_ < progress.heard_at + options_.election_timeout;
        if (up && memberships_.current().votes(progress.node)) best = std::max(best, progress.priority);
    }
    return best;
}

}  // namespace polis::consensus
