// Handing the leadership over on demand.
#include <algorithm>

#include "base/ensure.h"
#include "consensus/paxos/participant.h"

namespace polis::consensus {

void PaxosParticipant::on(const TransferLeadership& transfer, Outputs& out) {
    ENSURE(transfer.id != 0);
    wake(options_.self, out);
    busy();
    if (role_ != Role::Leader) return reject(transfer.id, *refusal(), out);
    if (transfer_) return reject(transfer.id, Why::Busy, out);
    if (transfer.to == options_.self) {
        out.push_back(Done{transfer.id});
        return;
    }
    AcceptorProgress* to = progress_of(transfer.to);
    if (to == nullptr || !memberships_.current().votes(transfer.to)) return reject(transfer.id, Why::Invalid, out);
    transfer_ = Transfer{.id = transfer.id, .to = transfer.to, .deadline = now_ + options_.election_timeout};
    replicate_to(*to, out);
    push_transfer(out);
}

// Tells the target as soon as it has accepted all that we proposed. New proposals wait elsewhere, so it will.
void PaxosParticipant::push_transfer(Outputs& out) {
    if (!transfer_ || transfer_->told || proposer_.is_held() || proposer_.has_found()) return;
    AcceptorProgress* to = progress_of(transfer_->to);
    if (to == nullptr || to->held.next() != proposer_.next()) return;
    transfer_->told = true;
    hand_over(*to, out);
}

void PaxosParticipant::hand_over(AcceptorProgress& to, Outputs& out) {
    ENSURE(role_ == Role::Leader);
    lease_broken_ = true;
    send(to.node, PaxosKind::TimeoutNow, {}, out);
}

void PaxosParticipant::expire_transfer(Outputs& out) {
    for (std::optional<Transfer>* transfer : {&transfer_, &watched_transfer_}) {
        if (!*transfer || now_ < (*transfer)->deadline) continue;
        if ((*transfer)->told) {
            out.push_back(Abandoned{(*transfer)->id});  // The target may still win.
        } else {
            reject((*transfer)->id, Why::Lagging, out);
        }
        transfer->reset();
    }
}

// Somebody is known to lead after us.
void PaxosParticipant::end_transfer(NodeId leader, Outputs& out) {
    if (!watched_transfer_) return;
    if (leader == watched_transfer_->to) {
        out.push_back(Done{watched_transfer_->id});
    } else {
        reject(watched_transfer_->id, Why::NotLeader, out);
    }
    watched_transfer_.reset();
}

void PaxosParticipant::on_timeout_now(NodeId from, Outputs& out) {
    if (role_ == Role::Leader || from != leader_ || !may_campaign()) return;
    start_preparing(true, out);
}

// The voter that has accepted most of what we proposed, if it is up and can go on from there.
AcceptorProgress* PaxosParticipant::best_successor() {
    AcceptorProgress* best = nullptr;
    for (AcceptorProgress& progress : progress_) {
        const bool able = memberships_.current().votes(progress.node) && !progress.out_of_space &&
                          now_ < progress.heard_at + options_.election_timeout && progress.held >= decided();
        if (able && (best == nullptr || progress.held > best->held)) best = &progress;
    }
    return best;
}

}  // namespace polis::consensus
