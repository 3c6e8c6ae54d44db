// Proposing, committing by counting, delivering in order (§3.6).
#include <algorithm>
#include <utility>

#include "base/ensure.h"
#include "consensus/raft/participant.h"

namespace polis::consensus {
namespace {

// How many full Delivers may wait to be applied before no more are given.
constexpr uint64_t deliveries_max = 4;

}  // namespace

void RaftParticipant::reject(RequestId id, Why why, Outputs& out) const { out.push_back(Rejected{id, why, leader_}); }

std::optional<Why> RaftParticipant::refusal() const {
    if (role_ == Role::Leader) {
        if (stores_.out_of_space()) return Why::NoSpace;
        if (transfer_) return Why::Busy;
        return std::nullopt;
    }
    if (leader_ != NodeId::Nobody) return Why::NotLeader;
    const Membership& membership = memberships_.current();
    return !membership.voters.empty() && !membership.contains(options_.self) ? Why::Removed : Why::NoLeader;
}

void RaftParticipant::on(Propose propose, Outputs& out) {
    wake(options_.self, out);
    std::optional<Why> why = refusal();
    if (propose.ballot && (role_ != Role::Leader || *propose.ballot != term_)) why = Why::StaleBallot;
    uint64_t bytes = 0;
    for (Proposal& proposal : propose.proposals) {
        ENSURE(proposal.id != 0);
        if (!why && uncommitted_.bytes() + bytes >= options_.uncommitted_bytes_max) why = Why::Overloaded;
        if (why) {
            reject(proposal.id, *why, out);
            continue;
        }
        bytes += proposal.command.size() + sizeof(Entry);
        append_own(EntryKind::Command, std::move(proposal.command));
        pending_.add(log_.last(), proposal.id);
    }
    if (bytes == 0) return;
    uncommitted_.push(log_.last().index, bytes);
    replicate_to_all(out);
}

// Only entries of our own term are committed by counting; the earlier ones are with them (§3.6.2, Fig. 3.7).
void RaftParticipant::advance_commit(Outputs& out) {
    if (role_ != Role::Leader) return;
    const LogIndex index = majority_value(memberships_.current(), [&](NodeId node) {
        if (node == options_.self) return durable();
        const FollowerProgress* progress = progress_of(node);
        return progress == nullptr ? LogIndex() : progress->matched;
    });
    if (index <= committed_ || index < term_start_) return;
    commit_to(index, out);
    uncommitted_.confirm(committed_);
    tell_committed(out);
    release_early_reads(out);
}

void RaftParticipant::commit_to(LogIndex index, Outputs&) {
    ENSURE(index <= log_.last().index);
    committed_ = std::max(committed_, index);
}

// Delivers what is committed *and* durable here: a state that was made durable is never ahead of the log it came from.
void RaftParticipant::deliver(Outputs& out) {
    const LogIndex limit = std::min(committed_, durable());
    while (delivered_ < limit && deliveries_.bytes() < deliveries_max * options_.deliver_bytes_max) {
        const LogIndex first = delivered_.next();
        if (!log_.is_cached(first)) return fetch(NodeId::Nobody, first, limit, out);
        deliver_batch(log_.cached(first, limit, options_.deliver_bytes_max), out);
    }
}

void RaftParticipant::deliver_batch(std::span<const Entry> entries, Outputs& out) {
    ENSURE(!entries.empty() && entries.front().index == delivered_.next());
    ENSURE(entries.back().index <= committed_);
    // ConfigActive stands right behind the entry that brings it.
    const auto change = std::find_if(entries.begin(), entries.end(),
                                     [](const Entry& entry) { return entry.kind == EntryKind::Membership; });
    if (change != entries.end()) entries = entries.first(static_cast<size_t>(change - entries.begin()) + 1);

    Deliver deliver{.entries = {entries.begin(), entries.end()}, .ids = {}};
    deliver.ids.reserve(entries.size());
    std::vector<RequestId> rejected;
    uint64_t bytes = 0;
    for (const Entry& entry : entries) {
        deliver.ids.push_back(pending_.empty() ? 0 : pending_.take({entry.index, entry.ballot}, rejected));
        bytes += size_of(entry);
    }
    const Entry& last = deliver.entries.back();
    const LogPosition end{last.index, last.ballot};
    const bool is_change = last.kind == EntryKind::Membership;
    delivered_ = end.index;
    deliveries_.push(delivered_, bytes);
    out.push_back(std::move(deliver));
    for (const RequestId id : rejected) reject(id, leader_ == NodeId::Nobody ? Why::NoLeader : Why::NotLeader, out);

    const Membership* membership = is_change ? &memberships_.at(end.index) : nullptr;
    if (membership != nullptr) out.push_back(ConfigActive{end.index, *membership});
    finish_reconfigure(end, membership, out);
    if (is_change) memberships_.forget_before(end.index);
    if (role_ == Role::Leader && !ready_ && delivered_ >= term_start_) {
        ready_ = true;
        out.push_back(LeaderReady{term_});
    }
}

}  // namespace polis::consensus
