// Phase 1: asking whether a higher ballot would be promised, preparing it, promising ("Paxos Made Simple", §2.2 and §3).
#include <algorithm>
#include <utility>

#include "base/ensure.h"
#include "consensus/paxos/participant.h"

namespace polis::consensus {

// A node that cannot win raises no ballot: it asks first.
void PaxosParticipant::start_probing(Outputs& out) {
    ENSURE(may_campaign() && role_ != Role::Leader && !quiet_);
    if (!options_.pre_vote) return start_preparing(false, out);
    role_ = Role::Probing;
    know_leader(NodeId::Nobody, out);
    draw_election_deadline(now_);
    campaign_ = Campaign{.context = fresh_context()};
    const Message message{.previous = {known_to(), {}}, .context = campaign_.context, .priority = options_.priority};
    for (const NodeId node : memberships_.current().voters) {
        if (node != options_.self) send(node, PaxosKind::Probe, message, out);
    }
    on_probe_reply(options_.self, message, out);
}

void PaxosParticipant::on_probe(NodeId from, const Message& message, Outputs& out) {
    // The request itself changes nothing here: that is its point.
    const bool higher = Ballot{message.ballot.epoch + 1, from} > ballot();
    const bool favourable =
        higher && !keeps_to_leader() && !hears_leader() && !is_too_far_behind(message.previous.index);
    send(from, PaxosKind::ProbeReply, {.rejected = !favourable, .context = message.context}, out);
}

// Who would need what we no longer have, or very much, should leave the lead to others.
bool PaxosParticipant::is_too_far_behind(LogIndex known) const {
    return known.next() < first_to_give() || known + options_.catch_up_entries < decided();
}

void PaxosParticipant::on_probe_reply(NodeId from, const Message& message, Outputs& out) {
    if (role_ != Role::Probing || message.rejected || message.context != campaign_.context) return;
    auto& favourable = campaign_.favourable;
    if (std::ranges::find(favourable, from) == favourable.end()) favourable.push_back(from);
    const bool enough = majority(memberships_.current(),
                                 [&](NodeId node) { return std::ranges::find(favourable, node) != favourable.end(); });
    // Our disk may have filled up since we asked, or a membership been decided.
    if (enough && may_campaign()) start_preparing(false, out);
}

void PaxosParticipant::start_preparing(bool forced, Outputs& out) {
    ENSURE(may_campaign() && role_ != Role::Leader);
    become_follower({ballot().epoch + 1, options_.self}, NodeId::Nobody, out);
    role_ = Role::Preparing;
    draw_election_deadline(now_);
    // Our own promise must survive a crash before anybody hears of the ballot: else a later life could use it again, and
    // propose another value under it.
    campaign_ = Campaign{.promise_token = acceptor_.promise_token(), .forced = forced};
}

void PaxosParticipant::ask_for_promises(const Membership& membership, Outputs& out) {
    for (const NodeId node : membership.voters) {
        if (!proposer_.has_report(node)) ask_for_promise(node, out);
    }
}

void PaxosParticipant::ask_for_promise(NodeId node, Outputs& out) {
    const LogIndex after = proposer_.reported_to(node);
    if (node == options_.self) return report(node, after, {}, out);
    send(node, PaxosKind::Prepare, {.previous = {after, {}}, .context = campaign_.forced ? 1u : 0u}, out);
}

void PaxosParticipant::on_prepare(NodeId from, const Message& message, Outputs& out) {
    if (message.ballot.node != from) return;
    if (message.ballot < ballot()) return send(from, PaxosKind::Promise, {.rejected = true}, out);
    // Who asks for what is gone here needs our state first. It may lead by an older membership, and wait for nothing but us.
    if (message.previous.index.next() < first_to_give())
        return offer_snapshot(from, message.previous.index.next(), out);
    if (message.ballot > ballot()) {
        if (is_too_far_behind(message.previous.index)) return;
        const bool forced = message.context == 1;
        if (!forced && keeps_to_leader()) return;
        become_follower(message.ballot, NodeId::Nobody, out);
    }
    draw_election_deadline(now_);
    given_promise_ = GivenPromise{from, message.previous.index, acceptor_.promise_token()};
    tell_promise(out);
}

// What was promised, and all that was accepted before, is told once it is durable.
void PaxosParticipant::tell_promise(Outputs& out) {
    if (role_ == Role::Preparing && !campaign_.asked && acceptor_.is_durable(campaign_.promise_token)) {
        campaign_.asked = true;
        proposer_ = Proposer(ballot(), known_to());
        ask_for_promises(memberships_.current(), out);
    }
    if (!given_promise_ || !acceptor_.is_durable(given_promise_->token)) return;
    const GivenPromise given = *std::exchange(given_promise_, std::nullopt);
    report(given.to, given.after, {}, out);
}

// Tells `to`, which may be ourselves, what was accepted in the slots after `after`, as far as it fits a message; `fetched` was read from
// there for that, if anything had to be.
void PaxosParticipant::report(NodeId to, LogIndex after, std::span<const Entry> fetched, Outputs& out) {
    const SlotLog& slots = acceptor_.slots();
    Message part{.previous = {after, {}},
                 .committed = acceptor_.decided_durably(),
                 .hint = after,
                 .context = slots.last().value};
    uint64_t bytes = 0;
    for (LogIndex slot = after.next(); slot <= slots.last(); slot = slot.next()) {
        if (slot <= slots.start()) return;  // It asked for what is gone.
        const bool is_lost = slots.is_lost(slot);
        if (is_lost || slots.ballot_at(slot) == Ballot()) {
            if (is_lost) part.entries.push_back(placeholder(slot));
            part.hint = slot;
            continue;
        }
        const auto read = std::ranges::lower_bound(fetched, slot, {}, &Entry::index);
        const Entry* entry = read != fetched.end() && read->index == slot ? &*read : slots.cached(slot);
        if (entry == nullptr && part.hint == after) {
            return fetch({Purpose::Report, to, after}, {slot, slots.last()}, out);
        }
        bytes += entry == nullptr ? 0 : size_of(*entry);
        const bool full = !part.entries.empty() && bytes > options_.message_bytes_max;
        if (entry == nullptr || full) break;
        part.entries.push_back(*entry);
        part.hint = slot;
    }
    tell_report(to, std::move(part), out);
}

void PaxosParticipant::tell_report(NodeId to, Message part, Outputs& out) {
    if (to != options_.self) return send(to, PaxosKind::Promise, std::move(part), out);
    part.ballot = ballot();
    on_promise(to, part, out);
}

void PaxosParticipant::on_promise(NodeId from, const Message& message, Outputs& out) {
    const bool asked = (role_ == Role::Preparing && campaign_.asked) || role_ == Role::Leader;
    if (!asked || message.rejected || message.ballot != proposer_.ballot()) return;
    const bool complete = message.hint.value >= message.context;
    const bool is_news = proposer_.take(from, {.after = message.previous.index,
                                               .to = message.hint,
                                               .complete = complete,
                                               .decided = message.committed,
                                               .accepted = message.entries});
    if (!is_news) return;
    if (role_ == Role::Preparing) draw_election_deadline(now_);
    if (!complete) return ask_for_promise(from, out);
    if (role_ == Role::Preparing && proposer_.is_prepared(memberships_.current())) become_leader(out);
}

}  // namespace polis::consensus
