// Delivering what is decided, in order, once; how requests end.
#include <algorithm>
#include <utility>

#include "base/ensure.h"
#include "consensus/paxos/participant.h"

namespace polis::consensus {
namespace {

// How many full Delivers may wait to be applied before no more are given.
constexpr uint64_t deliveries_max = 4;

}  // namespace

void PaxosParticipant::reject(RequestId id, Why why, Outputs& out) const { out.push_back(Rejected{id, why, leader_}); }

std::optional<Why> PaxosParticipant::refusal() const {
    if (role_ == Role::Leader) {
        if (acceptor_.stores().out_of_space()) return Why::NoSpace;
        if (transfer_) return Why::Busy;
        return std::nullopt;
    }
    if (leader_ != NodeId::Nobody) return Why::NotLeader;
    const Membership& membership = memberships_.current();
    return !membership.voters.empty() && !membership.contains(options_.self) ? Why::Removed : Why::NoLeader;
}

// Delivers what is decided *and* durable here: a state that was made durable is never ahead of the log it came from.
void PaxosParticipant::deliver(Outputs& out) {
    while (learner_.delivered() < decided() &&
           learner_.bytes_to_apply() < deliveries_max * options_.deliver_bytes_max) {
        const LogIndex first = learner_.delivered().next();
        if (!acceptor_.is_slot_durable(first) || stays_for(first)) return;
        const std::vector<Entry> entries = acceptor_.slots().cached({first, decided()}, options_.deliver_bytes_max);
        if (entries.empty()) return fetch({Purpose::Delivery, {}, {}}, {first, decided()}, out);
        deliver_batch(entries, out);
    }
}

// Delivers as many of `entries` as may be in one Deliver, and returns how many.
size_t PaxosParticipant::deliver_batch(std::span<const Entry> entries, Outputs& out) {
    ENSURE(!entries.empty() && entries.front().index == learner_.delivered().next());
    Deliver deliver;
    std::vector<RequestId> rejected;
    uint64_t bytes = 0;
    for (const Entry& stored : entries) {
        if (stored.index > decided() || !acceptor_.is_slot_durable(stored.index) || stays_for(stored.index)) break;
        if (!deliver.entries.empty() && bytes + size_of(stored) > options_.deliver_bytes_max) break;
        bytes += size_of(stored);
        Entry entry = learner_.deliver(stored);
        const bool own_start = role_ == Role::Leader && entry.index == proposer_.run_start();
        // Somebody else began after we did, in a lower slot: nothing of ours counts.
        if (own_start && is_void(entry)) pending_.cut_from(entry.index);
        deliver.ids.push_back(pending_.empty() ? 0 : pending_.take({entry.index, entry.ballot}, rejected));
        deliver.entries.push_back(std::move(entry));
        // What a membership or the start of a run brings about stands right behind it.
        if (deliver.entries.back().kind == EntryKind::Membership || own_start) break;
        if (coming_ && coming_->slot == stored.index) break;
    }
    if (deliver.entries.empty()) return 0;
    const size_t count = deliver.entries.size();
    const Entry last = deliver.entries.back();
    learner_.await_application(bytes);
    out.push_back(std::move(deliver));
    on_delivered(last, rejected, out);
    return count;
}

void PaxosParticipant::on_delivered(const Entry& last, const std::vector<RequestId>& rejected, Outputs& out) {
    for (const RequestId id : rejected) reject(id, leader_ == NodeId::Nobody ? Why::NoLeader : Why::NotLeader, out);
    finish_reconfigure({last.index, last.ballot}, out);
    if (last.kind == EntryKind::Membership) {
        on_membership(last.index, *decode_membership(last.payload.view()), out);
    } else if (coming_ && coming_->slot == last.index) {
        on_void_slot(last.index, out);
    }
    if (role_ != Role::Leader || ready_ || proposer_.run_start() == LogIndex()) return;
    if (last.index < proposer_.run_start()) return;
    if (last.index == proposer_.run_start() && is_void(last)) return become_follower(ballot(), NodeId::Nobody, out);
    ready_ = true;
    out.push_back(LeaderReady{ballot()});
    release_early_reads(out);
}

}  // namespace polis::consensus
