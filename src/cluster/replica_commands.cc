// The part of GroupReplica that takes commands and read barriers from clients to the leader and back.
#include <algorithm>
#include <iterator>
#include <utility>

#include "base/log.h"
#include "cluster/envelope.h"
#include "cluster/replica.h"

namespace polis::cluster {
namespace {

using consensus::Why;

constexpr size_t forward_bytes_max = 1u << 20;  // Of envelopes in one frame; a larger one goes alone.

Error error_of(Why why, bool was_sent) {
    switch (why) {
        case Why::Overloaded: return {Code::Overloaded, "too many commands are under way: slow down and try again"};
        case Why::NoSpace: return {Code::NoSpace, "the leader's disk is full: free space there; reads go on"};
        case Why::StaleBallot: return {Code::Stale, "the leadership that this was for is over"};
        case Why::Busy: return {Code::Unavailable, "another membership change or transfer is under way: try again"};
        case Why::Invalid: return {Code::Invalid, "the change makes no sense for the present members"};
        case Why::Lagging: return {Code::Stale, "the learner has not caught up with the leader yet: try again later"};
        case Why::NotLeader: return {Code::NotLeader, "this node does not lead"};
        case Why::Removed: return {Code::Unavailable, "this node is no longer a member"};
        case Why::NoLeader: break;
    }
    if (was_sent) return {Code::Unknown, "the leader was lost while the command was under way"};
    return {Code::Unavailable, "there is no leader now: a majority of nodes must be up and connected"};
}

}  // namespace

// ---- Commands ----

runtime::Task<Bytes> GroupReplica::propose(const Caller& caller, Bytes command) {
    if (stopping_) return propose_and_wait(nullptr);
    if (command.size() > command_bytes_max) return refuse_too_large(command.size());
    if (pending_.size() >= options_.pending_max) {
        ++counters_.proposals_failed;
        return propose_and_wait(nullptr);
    }
    auto pending = pending_.add(caller, std::move(command), world_.reactor.now());
    unsent_.push_back(pending);
    world_.reactor.at_turn_end(*this);
    return propose_and_wait(std::move(pending));
}

runtime::Task<Bytes> GroupReplica::propose_as_leader(Ballot ballot, Bytes command) {
    if (stopping_) return propose_and_wait(nullptr);
    auto pending = pending_.add({}, std::move(command), world_.reactor.now());
    pending->ballot = ballot;
    unsent_.push_back(pending);
    world_.reactor.at_turn_end(*this);
    return propose_and_wait(std::move(pending));
}

runtime::Task<Bytes> GroupReplica::refuse_too_large(size_t bytes) {
    ++counters_.proposals_failed;
    co_return fail(Code::Invalid, "a command of " + std::to_string(bytes) + " octets is more than a group takes (" +
                                      std::to_string(command_bytes_max) + ")");
}

runtime::Task<Bytes> GroupReplica::propose_and_wait(std::shared_ptr<PendingCommand> pending) {
    if (!pending) co_return std::unexpected(error_of(stopping_ ? Why::NoLeader : Why::Overloaded, false));
    Result<Bytes> answer = co_await pending->answer.wait();
    // Given up by the caller: if it reached the log it may still happen, once.
    pending_.forget(pending->sequence);
    const bool given_up = !answer && (answer.error().code == Code::Timeout || answer.error().code == Code::Canceled);
    if (given_up && pending->was_sent) {
        co_return fail(Code::Unknown, "given up while the command was under way: it may still happen");
    }
    co_return answer;
}

Bytes GroupReplica::envelope_of(const PendingCommand& pending, WallTime leader_time) const {
    Envelope envelope;
    envelope.tenant = pending.caller.tenant;
    envelope.principal = pending.caller.principal;
    envelope.auth_revision = pending.caller.auth_revision;
    envelope.leader_time = leader_time;
    envelope.origin = options_.self;
    envelope.sequence = pending.sequence;
    envelope.outstanding_from = pending_.outstanding_from();
    envelope.trace = pending.caller.trace;
    envelope.command = pending.command;
    return encode(envelope);
}

WallTime GroupReplica::next_leader_time() {
    last_leader_time_ = std::max(last_leader_time_, world_.reactor.wall_now());
    return last_leader_time_;
}

void GroupReplica::send_commands() {
    if (unsent_.empty() && forwarded_.empty()) return;
    const NodeId leader = leadership_.leader;
    if (leader == options_.self) {
        propose_unsent(std::exchange(unsent_, {}));
    } else {
        for (auto& [from, envelope] : std::exchange(forwarded_, {})) {
            peers_.send(from.origin,
                        ForwardRefused{options_.group, static_cast<uint8_t>(Why::NotLeader), {from.sequence}});
        }
        if (leader != NodeId::Nobody) forward_unsent(leader, std::exchange(unsent_, {}));
    }
}

void GroupReplica::propose_unsent(std::vector<std::shared_ptr<PendingCommand>> unsent) {
    const WallTime leader_time = next_leader_time();
    const Instant now = world_.reactor.now();
    consensus::Propose propose;
    for (auto& [from, octets] : std::exchange(forwarded_, {})) {
        Result<Envelope> envelope = decode_envelope(octets);
        if (!envelope) {
            log::warn("forwarded_command_invalid", {"from", from.origin}, {"why", envelope.error().what});
            continue;
        }
        envelope->leader_time = leader_time;
        const consensus::RequestId id = next_request_++;
        proposed_.add(id, from);
        propose.proposals.push_back({id, encode(*envelope)});
    }
    for (const auto& pending : unsent) {
        if (pending->answer.completed()) continue;
        const consensus::RequestId id = next_request_++;
        proposed_.add(id, FromOrigin{options_.self, pending->sequence});
        pending->sent = pending->was_sent = true;
        pending->sent_at = now;
        ++pending->copies;
        consensus::Proposal proposal{id, envelope_of(*pending, leader_time)};
        if (pending->ballot) {
            feed(consensus::Propose{pending->ballot, {std::move(proposal)}});
        } else {
            propose.proposals.push_back(std::move(proposal));
        }
    }
    if (!propose.proposals.empty()) feed(std::move(propose));
}

void GroupReplica::forward_unsent(NodeId leader, const std::vector<std::shared_ptr<PendingCommand>>& unsent) {
    Forward forward{.group = options_.group, .envelopes = {}};
    size_t bytes = 0;
    for (const auto& pending : unsent) {
        if (pending->answer.completed()) continue;
        if (pending->ballot) {
            pending_.answer(pending->sequence, std::unexpected(error_of(Why::StaleBallot, false)));
            continue;
        }
        pending->sent = pending->was_sent = true;
        pending->sent_at = world_.reactor.now();
        ++pending->copies;
        Bytes envelope = envelope_of(*pending, {});
        if (bytes > 0 && bytes + envelope.size() > forward_bytes_max) {
            peers_.send(leader, forward);
            forward.envelopes.clear();
            bytes = 0;
        }
        bytes += envelope.size();
        forward.envelopes.push_back(std::move(envelope));
    }
    if (!forward.envelopes.empty()) peers_.send(leader, forward);
}

void GroupReplica::receive(NodeId from, Forward forward) {
    for (Bytes& octets : forward.envelopes) {
        const Result<Envelope> envelope = decode_envelope(octets);
        if (!envelope || envelope->origin != from) {
            log::warn("forwarded_command_invalid", {"from", from});
            continue;
        }
        if (envelope->command.size() > command_bytes_max) {
            peers_.send(from, ForwardRefused{options_.group, static_cast<uint8_t>(Why::Invalid), {envelope->sequence}});
            continue;
        }
        forwarded_.emplace_back(FromOrigin{from, envelope->sequence}, std::move(octets));
    }
    world_.reactor.at_turn_end(*this);
}

void GroupReplica::receive(const ForwardRefused& refused) {
    for (const uint64_t sequence : refused.sequences) refuse(sequence, static_cast<Why>(refused.why));
}

// A log did not take one copy of a command of ours. What waits for a leader is sent again when there is one; being applied
// once is the state machine's promise (applied_once.h), so sending again is always safe.
void GroupReplica::refuse(uint64_t sequence, Why why) {
    const auto pending = pending_.find(sequence);
    if (!pending) return;
    if (pending->copies > 0) --pending->copies;
    const bool wait_for_leader = why == Why::NoLeader || why == Why::NotLeader || why == Why::Busy ||
                                 (why == Why::StaleBallot && !pending->ballot);
    if (wait_for_leader && (!pending->ballot || why == Why::Busy)) {
        // The next sweep (or the news of a leader) sends it.
        pending->sent = false;
        return;
    }
    // Another copy may be in a log: what becomes of that one, or the end of the wait, is the answer.
    if (pending->copies > 0) return;
    ++counters_.proposals_failed;
    pending_.answer(sequence, std::unexpected(error_of(why, false)));
}

// A copy may be in the log or not, nobody knows. Sent again, the command is applied once in either case.
void GroupReplica::lose(uint64_t sequence) {
    const auto pending = pending_.find(sequence);
    if (!pending) return;
    pending->sent = false;
    if (!pending->ballot) return;
    ++counters_.proposals_failed;
    pending_.answer(sequence, std::unexpected(error_of(Why::NoLeader, true)));
}

void GroupReplica::perform(consensus::Rejected& rejected) {
    if (const auto origin = proposed_.take(rejected.id)) {
        if (origin->origin == options_.self) {
            refuse(origin->sequence, rejected.why);
        } else {
            peers_.send(origin->origin,
                        ForwardRefused{options_.group, static_cast<uint8_t>(rejected.why), {origin->sequence}});
        }
    } else if (const auto round = barriers_.find(rejected.id); round != barriers_.end()) {
        BarrierRound waiting = std::move(round->second);
        barriers_.erase(round);
        retry_barrier(std::move(waiting));
    } else if (const auto request = requests_.find(rejected.id); request != requests_.end()) {
        request->second->complete(std::unexpected(error_of(rejected.why, false)));
    }
}

void GroupReplica::perform(consensus::Abandoned& abandoned) {
    if (const auto origin = proposed_.take(abandoned.id)) {
        if (origin->origin == options_.self) lose(origin->sequence);
    } else if (const auto round = barriers_.find(abandoned.id); round != barriers_.end()) {
        BarrierRound waiting = std::move(round->second);
        barriers_.erase(round);
        retry_barrier(std::move(waiting));
    } else if (const auto request = requests_.find(abandoned.id); request != requests_.end()) {
        request->second->complete(fail(Code::Unknown, "the leader was lost before the change was certain"));
    }
}

void GroupReplica::resend_all() {
    for (auto& waiter : std::exchange(barriers_to_retry_, {})) barrier_waiters_.push_back(std::move(waiter));
    unsent_.clear();
    for (const auto& pending : pending_.all()) {
        if (pending->ballot && pending->was_sent) continue;
        pending->sent = false;
        unsent_.push_back(pending);
    }
    world_.reactor.at_turn_end(*this);
}

void GroupReplica::sweep() {
    const Instant now = world_.reactor.now();
    next_sweep_ = now + options_.sweep_interval;
    for (auto& waiter : std::exchange(barriers_to_retry_, {})) barrier_waiters_.push_back(std::move(waiter));
    forget_given_up_reads();
    std::vector<std::shared_ptr<PendingCommand>> late;
    unsent_.clear();
    for (const auto& pending : pending_.all()) {
        if (now - pending->accepted_at > options_.propose_timeout) {
            late.push_back(pending);
        } else if (!pending->sent || (now - pending->sent_at > options_.resend_after && !pending->ballot)) {
            unsent_.push_back(pending);
        }
    }
    for (const auto& pending : late) {
        ++counters_.proposals_failed;
        pending_.answer(pending->sequence, std::unexpected(error_of(Why::NoLeader, pending->was_sent)));
    }
    world_.reactor.at_turn_end(*this);
}

// ---- Read barriers ----

runtime::Task<void> GroupReplica::read_barrier() {
    if (stopping_) co_return fail(Code::Unavailable, "the node is stopping");
    const auto waiter = std::make_shared<runtime::Completion<void>>();
    barrier_waiters_.push_back(waiter);
    world_.reactor.at_turn_end(*this);
    const Instant give_up = world_.reactor.now() + options_.propose_timeout;
    Result<void> reached = co_await runtime::with_deadline(
        give_up, [](auto one) -> runtime::Task<void> { co_return co_await one->wait(); }(waiter));
    if (!reached && reached.error().code == Code::Timeout && world_.reactor.now() >= give_up) {
        co_return fail(Code::Unavailable, "no leader confirmed the read: a majority of nodes must be up and connected");
    }
    co_return reached;
}

void GroupReplica::issue_barriers() {
    if (barrier_waiters_.empty() || barriers_.size() >= options_.barriers_max) return;
    if (leadership_.leader == NodeId::Nobody) return;  // Issued when one is known.
    const consensus::RequestId id = next_request_++;
    barriers_.emplace(id, BarrierRound{std::exchange(barrier_waiters_, {})});
    feed(consensus::ReadBarrier{id, options_.lease_reads ? consensus::ReadKind::Lease : consensus::ReadKind::Index});
}

void GroupReplica::retry_barrier(BarrierRound round) {
    // Not in this turn, or a refusal that stays would be repeated for ever: with the next sweep or the next leader.
    barriers_to_retry_.insert(barriers_to_retry_.end(), round.waiters.begin(), round.waiters.end());
}

// A reader whose time is over has its answer; without a leader nothing else would ever remove it.
void GroupReplica::forget_given_up_reads() {
    const auto forget = [](std::vector<std::shared_ptr<runtime::Completion<void>>>& waiters) {
        std::erase_if(waiters, [](const auto& waiter) { return waiter->completed(); });
        return waiters.empty();
    };
    forget(barrier_waiters_);
    for (auto& [id, round] : barriers_) forget(round.waiters);
    for (auto round = reads_waiting_to_apply_.begin(); round != reads_waiting_to_apply_.end();) {
        round = forget(round->second.waiters) ? reads_waiting_to_apply_.erase(round) : std::next(round);
    }
}

size_t GroupReplica::reads_waiting() const {
    size_t count = barrier_waiters_.size() + barriers_to_retry_.size();
    for (const auto& [id, round] : barriers_) count += round.waiters.size();
    for (const auto& [index, round] : reads_waiting_to_apply_) count += round.waiters.size();
    return count;
}

// ---- Questions ----

runtime::Task<Bytes> GroupReplica::ask_leader(Bytes question) {
    const NodeId leader = leadership_.leader;
    if (leader == NodeId::Nobody) co_return std::unexpected(error_of(Why::NoLeader, false));
    if (leader != options_.self) {
        co_return co_await peers_.request(leader, options_.group, static_cast<uint8_t>(ReplicaRequest::Ask),
                                          std::move(question));
    }
    if (!question_) co_return fail(Code::Unavailable, "nobody answers questions here yet");
    co_return co_await question_(std::move(question));
}

runtime::Task<Bytes> GroupReplica::on_request(NodeId from, uint8_t kind, Bytes body) {
    switch (static_cast<ReplicaRequest>(kind)) {
        case ReplicaRequest::Ask:
            if (leadership_.leader != options_.self) co_return std::unexpected(error_of(Why::NotLeader, false));
            co_return co_await ask_leader(std::move(body));
        case ReplicaRequest::Snapshot: co_return co_await receive_snapshot(from, std::move(body));
    }
    co_return fail(Code::Invalid, "a request of unknown kind");
}

}  // namespace polis::cluster
