// Phase 2: proposing a value for each slot in turn, sending it to the acceptors, counting who accepted it.
#include <algorithm>
#include <utility>

#include "base/ensure.h"
#include "consensus/paxos/participant.h"

namespace polis::consensus {

void PaxosParticipant::on(Propose propose, Outputs& out) {
    wake(options_.self, out);
    std::optional<Why> why = refusal();
    if (propose.ballot && (role_ != Role::Leader || *propose.ballot != ballot())) why = Why::StaleBallot;
    uint64_t bytes = 0;
    for (Proposal& proposal : propose.proposals) {
        ENSURE(proposal.id != 0);
        if (!why && undecided_.bytes() + waiting_bytes_ >= options_.uncommitted_bytes_max) why = Why::Overloaded;
        if (why) {
            reject(proposal.id, *why, out);
            continue;
        }
        bytes += proposal.command.size() + sizeof(Entry);
        waiting_bytes_ += proposal.command.size() + sizeof(Entry);
        waiting_.push_back(std::move(proposal));
    }
    if (bytes > 0) propose_more(out);
}

// Goes on until nothing is left to propose, or a membership must be in force first. What was found under lower ballots comes before our
// own values, and a Noop begins those: once it is decided, all before it is.
void PaxosParticipant::propose_more(Outputs& out) {
    ENSURE(role_ == Role::Leader);
    uint64_t bytes = 0;
    while (!proposer_.is_held() &&
           (proposer_.has_found() || proposer_.run_start() == LogIndex() || !waiting_.empty())) {
        if (proposer_.has_found()) {
            Entry entry = proposer_.propose_found();
            accept_own(entry);
            if (entry.kind != EntryKind::Membership) continue;
            const Entry value = *value_of(entry);
            await_membership(entry.index, *decode_membership(value.payload.view()), value.ballot, out);
        } else if (proposer_.run_start() == LogIndex()) {
            accept_own({proposer_.claim(), ballot(), EntryKind::Noop, with_origin({}, ballot())});
        } else {
            const Proposal proposal = std::move(waiting_.front());
            waiting_.pop_front();
            bytes += proposal.command.size() + sizeof(Entry);
            const LogIndex slot = proposer_.claim();
            accept_own({slot, ballot(), EntryKind::Command, with_origin(proposal.command, ballot())});
            pending_.add({slot, ballot()}, proposal.id);
        }
    }
    waiting_bytes_ -= bytes;
    if (bytes > 0) undecided_.push(proposer_.next().previous(), bytes);
    replicate_to_all(out);
}

// We are an acceptor, too.
void PaxosParticipant::accept_own(Entry entry) {
    ENSURE(role_ == Role::Leader && entry.ballot == proposer_.ballot());
    busy();
    acceptor_.accept(std::move(entry));
}

AcceptorProgress* PaxosParticipant::progress_of(NodeId node) {
    if (role_ != Role::Leader) return nullptr;
    const auto found = std::ranges::find(progress_, node, &AcceptorProgress::node);
    return found == progress_.end() ? nullptr : &*found;
}

void PaxosParticipant::replicate_to_all(Outputs& out) {
    for (AcceptorProgress& progress : progress_) replicate_to(progress, out);
}

// Sends as much as the node may be sent now.
void PaxosParticipant::replicate_to(AcceptorProgress& to, Outputs& out) {
    while (to.state == AcceptorProgress::State::Replicate && !to.out_of_space && !to.fetching) {
        if (const LogRange* there = to.beyond.range_of(to.next)) to.next = there->last.next();
        const bool full =
            to.window.count() >= options_.inflight_messages_max || to.window.bytes() >= options_.inflight_bytes_max;
        if (full || to.next >= proposer_.next() || !send_next(to, out)) return;
    }
}

// Sends one message. Returns false if nothing more can be sent for now.
bool PaxosParticipant::send_next(AcceptorProgress& to, Outputs& out) {
    if (to.next < first_to_give()) {
        ask_for_snapshot(to, out);
        return false;
    }
    const LogIndex last = proposer_.next().previous();
    std::vector<Entry> entries = acceptor_.slots().cached({to.next, last}, options_.message_bytes_max);
    if (entries.empty()) {
        to.fetching = true;
        fetch({Purpose::Replication, to.node, {}}, {to.next, last}, out);
        return false;
    }
    send_slots(to, std::move(entries), out);
    return true;
}

void PaxosParticipant::send_slots(AcceptorProgress& to, std::vector<Entry> entries, Outputs& out) {
    ENSURE(!entries.empty() && entries.front().index == to.next);
    uint64_t bytes = 0;
    for (const Entry& entry : entries) bytes += size_of(entry);
    to.next = entries.back().index.next();
    to.window.push(entries.back().index, bytes);
    send_accept(to, std::move(entries), out);
}

// What was decided before our time is proposed again under our ballot, which changes nothing but says that it is the decision.
void PaxosParticipant::send_accept(AcceptorProgress& to, std::vector<Entry> entries, Outputs& out) {
    ENSURE(!entries.empty());
    for (Entry& entry : entries) {
        ENSURE(entry.ballot == ballot() || entry.index <= decided());
        entry.ballot = ballot();
    }
    Message message{.previous = {entries.front().index.previous(), {}}, .committed = decided_for(to)};
    to.told = std::max(to.told, std::min(message.committed, entries.back().index));
    message.entries = std::move(entries);
    send(to.node, PaxosKind::Accept, std::move(message), out);
}

void PaxosParticipant::broadcast_heartbeat(Outputs& out) {
    const uint64_t round = reads_.begin(now_);
    heartbeat_at_ = now_ + options_.heartbeat;
    const uint32_t priority = best_priority();
    for (AcceptorProgress& to : progress_) {
        if (to.checked_round == 0) {
            to.checked_round = round;
            to.checked_next = to.next;
        }
        send(to.node, PaxosKind::Heartbeat, {.committed = decided_for(to), .context = round, .priority = priority},
             out);
    }
    if (proposer_.is_held()) ask_for_promises(coming_->membership, out);
}

// Who has no vote in the membership that is coming must not learn that it was decided before enough of those who do have: it might
// go for good.
LogIndex PaxosParticipant::decided_for(const AcceptorProgress& to) const {
    if (!coming_ || coming_->in_force || coming_->membership.votes(to.node)) return decided();
    return std::min(decided(), coming_->slot.previous());
}

// Lets the others deliver at once instead of with the next heartbeat.
void PaxosParticipant::tell_decided(Outputs& out) {
    for (AcceptorProgress& to : progress_) {
        const LogIndex told = std::min(to.held, decided_for(to));
        if (to.state != AcceptorProgress::State::Replicate || told <= to.told) continue;
        to.told = told;
        send(to.node, PaxosKind::Heartbeat, {.committed = decided_for(to), .priority = best_priority()}, out);
    }
}

void PaxosParticipant::on_accepted(NodeId from, const Message& message, Outputs& out) {
    AcceptorProgress* progress = progress_of(from);
    if (progress == nullptr) return;
    progress->heard_at = now_;
    const LogRange beyond{message.previous.index, LogIndex(message.context)};
    const bool has_gap = !message.rejected && beyond.first > progress->held && beyond.last < proposer_.next();
    if (has_gap) progress->beyond.add(beyond);
    on_held(*progress, message, out);
    if (has_gap) resend_gap(*progress, out);
    const bool rewinds = message.rejected && progress->state == AcceptorProgress::State::Replicate;
    if (rewinds && message.previous.index < progress->next) progress->replicate_from(message.previous.index.next());
    if (rewinds) replicate_to(*progress, out);
}

// Messages come in the order in which they were sent, or not at all: what is missing before the others was lost. It is sent again once; if
// that is lost, too, a heartbeat finds it.
void PaxosParticipant::resend_gap(AcceptorProgress& to, Outputs& out) {
    if (to.state != AcceptorProgress::State::Replicate || to.beyond.empty()) return;
    const LogRange gap{to.held.next(), to.beyond.ranges().front().first.previous()};
    if (gap.first > gap.last || gap.first <= to.resent_to || gap.first < first_to_give()) return;
    std::vector<Entry> entries = acceptor_.slots().cached(gap, options_.message_bytes_max);
    if (entries.empty()) return;
    to.resent_to = to.next.previous();
    send_accept(to, std::move(entries), out);
}

void PaxosParticipant::on_heartbeat_reply(NodeId from, const Message& message, Outputs& out) {
    AcceptorProgress* progress = progress_of(from);
    if (progress == nullptr || message.context > reads_.newest()) return;
    using State = AcceptorProgress::State;
    const LogIndex received = std::min(message.previous.index, proposer_.next().previous());
    progress->heard_at = now_;
    progress->priority = message.priority;
    progress->out_of_space = message.rejected;
    progress->confirmed_round = std::max(progress->confirmed_round, message.context);
    if (progress->checked_round != 0 && message.context >= progress->checked_round) {
        // All that we sent before the round should have come before it.
        const bool lost = received.next() < progress->checked_next;
        progress->checked_round = 0;
        if (lost && progress->state == State::Replicate) progress->go_back_to(received);
    }
    if (progress->state == State::Unknown) progress->go_back_to(received);
    on_held(*progress, message, out);
    advance_reads(out);
}

// Takes note of what an answer says that its sender has.
void PaxosParticipant::on_held(AcceptorProgress& from, const Message& message, Outputs& out) {
    const LogIndex held = from.held;
    // It may know decisions that we are about to propose again.
    from.hold_to(std::min(message.hint, proposer_.next().previous()));
    from.decided = std::max(from.decided, message.committed);
    if (from.state == AcceptorProgress::State::Snapshot && from.held.next() >= first_to_give()) {
        from.replicate_from(from.held.next());
    }
    count_accepted(out);
    replicate_to(from, out);
    if (from.held > held) {
        tell_decided(out);
        push_transfer(out);
    }
}

void PaxosParticipant::on_damaged(NodeId from, const Message& message, Outputs& out) {
    AcceptorProgress* progress = progress_of(from);
    if (progress == nullptr || progress->state == AcceptorProgress::State::Snapshot) return;
    progress->heard_at = now_;
    if (message.hint >= proposer_.next().previous()) return;
    progress->go_back_to(message.hint);
    replicate_to(*progress, out);
}

void PaxosParticipant::on(const Unreachable& unreachable, Outputs& out) {
    AcceptorProgress* progress = progress_of(unreachable.node);
    if (unreachable.node == leader_ || progress != nullptr) wake(options_.self, out);
    if (progress != nullptr && progress->state == AcceptorProgress::State::Replicate) progress->forget();
}

// A slot is decided once a majority has accepted it under our ballot, and all slots before it are decided.
void PaxosParticipant::count_accepted(Outputs& out) {
    if (role_ != Role::Leader) return;
    const Membership& membership = memberships_.current();
    const LogIndex own = held();
    LogIndex reached = majority_value(membership, [&](NodeId node) {
        if (node == options_.self) return own;
        const AcceptorProgress* progress = progress_of(node);
        return progress == nullptr ? LogIndex() : progress->held;
    });
    reached = std::max(decided(), std::min(reached, proposer_.next().previous()));
    const bool has_gaps = std::ranges::any_of(progress_, [](const auto& other) { return !other.beyond.empty(); });
    const auto holds_next = [&](NodeId node) {
        if (node == options_.self) return reached.next() <= own;
        const AcceptorProgress* progress = progress_of(node);
        return progress != nullptr && progress->holds(reached.next());
    };
    while (has_gaps && reached.next() < proposer_.next() && majority(membership, holds_next)) reached = reached.next();
    if (reached <= decided()) return;
    learner_.decide_to(reached);
    undecided_.confirm(reached);
    // A membership waits until enough have answered that they know.
    if (coming_ && !coming_->in_force && reached >= coming_->slot) return broadcast_heartbeat(out);
    tell_decided(out);
}

// Of the other voters that are up: who lags behind is given up anyway when promises are asked for.
uint32_t PaxosParticipant::best_priority() const {
    uint32_t best = 0;
    for (const AcceptorProgress& progress : progress_) {
        const bool up = now_ < progress.heard_at + options_.election_timeout;
        if (up && memberships_.current().votes(progress.node)) best = std::max(best, progress.priority);
    }
    return best;
}

}  // namespace polis::consensus
