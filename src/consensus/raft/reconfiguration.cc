// Changes of membership: joint consensus, learners, removal (Ongaro 2014 §4.2, §4.3).
#include <algorithm>
#include <utility>

#include "base/ensure.h"
#include "consensus/raft/participant.h"

namespace polis::consensus {
namespace {

bool has(const std::vector<NodeId>& nodes, NodeId node) { return std::binary_search(nodes.begin(), nodes.end(), node); }

std::vector<NodeId> in_order(std::vector<NodeId> nodes) {
    std::sort(nodes.begin(), nodes.end());
    return nodes;
}

// How many nodes are in one of the sets only.
size_t distance(const std::vector<NodeId>& a, const std::vector<NodeId>& b) {
    std::vector<NodeId> apart;
    std::set_symmetric_difference(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(apart));
    return apart.size();
}

}  // namespace

void RaftParticipant::on(const Reconfigure& reconfigure, Outputs& out) {
    ENSURE(reconfigure.id != 0);
    wake(options_.self, out);
    if (const std::optional<Why> why = refusal()) return reject(reconfigure.id, *why, out);
    Membership target{.voters = in_order(reconfigure.voters),
                      .outgoing = {},
                      .learners = in_order(reconfigure.learners),
                      .next_learners = {}};
    if (const std::optional<Why> why = objection_to(target)) return reject(reconfigure.id, *why, out);
    if (target == memberships_.current()) {
        out.push_back(Done{reconfigure.id});
        return;
    }
    append_membership(toward(target), out);
    reconfigure_ = PendingReconfigure{.id = reconfigure.id, .position = log_.last()};
}

std::optional<Why> RaftParticipant::objection_to(const Membership& target) const {
    if (!check(target)) return Why::Invalid;
    // One change at a time; and a leader changes nothing before it has committed in its term, or the changes of two leaders could
    // both take effect without overlapping majorities (Ongaro, raft-dev, 2015).
    const Membership& current = memberships_.current();
    if (current.joint() || memberships_.current_index() > committed_ || !has_committed_in_term()) return Why::Busy;
    if (reconfigure_) return Why::Busy;
    for (const FollowerProgress& progress : progress_) {
        const bool promoted = has(current.learners, progress.node) && has(target.voters, progress.node);
        if (!promoted) continue;
        const bool up = now_ < progress.heard_at + options_.election_timeout;
        const bool close = progress.matched + options_.catch_up_entries >= log_.last().index;
        if (!up || !close || progress.matched < term_start_) return Why::Lagging;
    }
    return std::nullopt;
}

// The first step: the target itself if at most one voter comes or goes (all majorities overlap then, §4.1), else both
// sets of voters at once (§4.3).
Membership RaftParticipant::toward(const Membership& target) const {
    const Membership& current = memberships_.current();
    ENSURE(!current.joint());
    if (distance(current.voters, target.voters) <= 1) return target;
    Membership joint{.voters = target.voters, .outgoing = current.voters, .learners = {}, .next_learners = {}};
    for (const NodeId node : target.learners) {
        (has(current.voters, node) ? joint.next_learners : joint.learners).push_back(node);
    }
    return joint;
}

void RaftParticipant::append_membership(const Membership& membership, Outputs& out) {
    ENSURE(check(membership).has_value());
    append_own(EntryKind::Membership, encode(membership));
    memberships_.append(log_.last().index, membership);
    membership_settled_ = false;
    refresh_progress();
    replicate_to_all(out);
}

// Makes progress_ follow the membership in force. Who is no longer in it is served until the change is committed, so that it
// learns of its removal.
void RaftParticipant::refresh_progress() {
    const Membership& membership = memberships_.current();
    for (FollowerProgress& progress : progress_) progress.departing = !membership.contains(progress.node);
    for (const NodeId node : membership.everyone()) {
        if (node == options_.self || progress_of(node) != nullptr) continue;
        FollowerProgress progress{.node = node, .next = log_.last().index.next(), .heard_at = now_};
        const auto place = std::lower_bound(progress_.begin(), progress_.end(), node,
                                            [](const FollowerProgress& a, NodeId b) { return a.node < b; });
        progress_.insert(place, std::move(progress));
    }
}

// Goes on once the membership in force is committed: from joint to final, and from final to leaving behind who is not in it.
void RaftParticipant::settle_membership(Outputs& out) {
    if (role_ != Role::Leader || membership_settled_) return;
    if (memberships_.current_index() > committed_ || !has_committed_in_term()) return;
    const Membership current = memberships_.current();
    if (current.joint()) {
        Membership final{.voters = current.voters, .outgoing = {}, .learners = current.learners, .next_learners = {}};
        final.learners.insert(final.learners.end(), current.next_learners.begin(), current.next_learners.end());
        final.learners = in_order(std::move(final.learners));
        return append_membership(final, out);
    }
    membership_settled_ = true;
    for (const FollowerProgress& progress : progress_) {
        if (!progress.departing) continue;
        const LogIndex committed = std::min(progress.matched, committed_);
        send(progress.node, RaftKind::Heartbeat, {.committed = committed}, out);
    }
    std::erase_if(progress_, [](const FollowerProgress& progress) { return progress.departing; });
    if (is_voter()) return;
    // We led without a vote until the change was safe; now somebody in it has to (§4.2.2).
    if (FollowerProgress* successor = best_successor()) hand_over(*successor, out);
    become_follower(term_, NodeId::Nobody, out);
}

// `delivered` tells how a Reconfigure of ours ended, if it did; `membership` is what it brought, if it is a change.
void RaftParticipant::finish_reconfigure(const LogPosition& delivered, const Membership* membership, Outputs& out) {
    if (!reconfigure_) return;
    if (!reconfigure_->committed) {
        if (delivered == reconfigure_->position) {
            reconfigure_->committed = true;
        } else if (delivered.ballot > reconfigure_->position.ballot ||
                   delivered.index == reconfigure_->position.index) {
            // The same reasoning as in PendingRequests.
            reject(reconfigure_->id, leader_ == NodeId::Nobody ? Why::NoLeader : Why::NotLeader, out);
            reconfigure_.reset();
            return;
        }
    }
    if (!reconfigure_->committed || membership == nullptr || membership->joint()) return;
    out.push_back(Done{reconfigure_->id});
    reconfigure_.reset();
}

}  // namespace polis::consensus
