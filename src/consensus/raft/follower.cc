// A follower's side of replication: taking entries, acknowledging what is durable, answering heartbeats (§3.5).
#include <algorithm>
#include <utility>

#include "base/ensure.h"
#include "consensus/raft/participant.h"

namespace polis::consensus {

void RaftParticipant::on_append(NodeId from, Message message, Outputs& out) {
    if (role_ == Role::Leader) return;  // Two leaders of one term: a broken peer.
    follow(from, out);
    if (message.previous.index < log_.start().index) {
        // What lies below our start is committed, hence the same: begin where our log begins.
        const uint64_t known = std::min<uint64_t>(log_.start().index - message.previous.index, message.entries.size());
        message.entries.erase(message.entries.begin(), message.entries.begin() + static_cast<ptrdiff_t>(known));
        if (message.entries.empty()) return acknowledge(out);
        message.previous = log_.start();
    }
    if (!log_.holds(message.previous)) return reject_append(from, message, out);
    if (message.previous.index > log_.whole_to()) return report_damage(out);

    const LogIndex sent_to = message.previous.index + message.entries.size();
    if (!accept_entries(std::move(message.entries))) {
        // Said at once: until the leader knows, it would find by probing that our logs agree, send all again, and so on.
        if (stores_.out_of_space()) answer_heartbeat(from, 0, out);
        return;
    }
    verified_ = std::max(verified_, std::min(sent_to, log_.last().index));
    commit_to(std::min(message.committed, verified_), out);
    // What was appended or repaired just now is acknowledged when it is durable.
    if (write_.entries.empty() && repairs_.empty()) acknowledge(out);
}

void RaftParticipant::reject_append(NodeId to, const Message& message, Outputs& out) {
    ENSURE(message.previous.index >= log_.start().index);
    // The leader may go back to the last position here whose ballot does not exceed that of its own entry: everything between
    // conflicts, whole terms at once (§3.5).
    const LogIndex before = message.previous.index.value > 0 ? message.previous.index.previous() : LogIndex();
    const LogPosition agreed = log_.last_at_most(std::min(log_.last().index, before), message.previous.ballot);
    Message reply{.rejected = true, .hint = agreed.index, .hint_ballot = agreed.ballot};
    reply.previous.index = message.previous.index;
    send(to, RaftKind::AppendReply, std::move(reply), out);
}

// Makes our log hold these entries, which follow one that both logs hold. False if they cannot come from a correct leader,
// or there is no space for them.
bool RaftParticipant::accept_entries(std::vector<Entry> entries) {
    size_t known = 0;
    for (; known < entries.size() && entries[known].index <= log_.last().index; ++known) {
        const Entry& entry = entries[known];
        if (*log_.ballot_at(entry.index) != entry.ballot) break;
    }
    const bool grows = known < entries.size();
    if (grows && (stores_.out_of_space() || entries[known].index <= std::max(committed_, verified_))) return false;
    for (size_t at = known; at < entries.size(); ++at) {
        if (entries[at].kind == EntryKind::Membership && !decode_membership(entries[at].payload.view())) return false;
    }
    if (log_.is_damaged() && !stores_.out_of_space()) {
        for (size_t at = 0; at < known; ++at) repair(entries[at]);
    }
    if (!grows) return true;
    if (entries[known].index <= log_.last().index) overwrite_from(entries[known].index);
    entries.erase(entries.begin(), entries.begin() + static_cast<ptrdiff_t>(known));
    append_from_leader(std::move(entries));
    return true;
}

void RaftParticipant::append_from_leader(std::vector<Entry> entries) {
    for (const Entry& entry : entries) {
        log_.append(entry);
        if (entry.kind != EntryKind::Membership) continue;
        memberships_.append(entry.index, *decode_membership(entry.payload.view()));
    }
    ENSURE(write_.entries.empty());
    write_.entries = std::move(entries);
}

// The leader has other entries from `index` on: ours are not committed.
void RaftParticipant::overwrite_from(LogIndex index) {
    ENSURE(index > committed_);
    ENSURE(index > verified_);
    log_.truncate_from(index);
    stores_.truncate_from(index);
    memberships_.truncate_from(index);
    pending_.cut_from(index);
    write_.truncate_from = index;
}

void RaftParticipant::acknowledge(Outputs& out) {
    if (leader_ == NodeId::Nobody || leader_ == options_.self) return;
    acked_ = acknowledged();
    send(leader_, RaftKind::AppendReply, {.hint = acked_}, out);
}

void RaftParticipant::on_heartbeat(NodeId from, const Message& message, Outputs& out) {
    if (role_ == Role::Leader) return;
    best_priority_ = message.priority;
    follow(from, out);
    // The leader names nothing that we have not acknowledged to it in this term, so our log holds it as it is.
    commit_to(std::min(message.committed, log_.last().index), out);
    if (message.context != 0) answer_heartbeat(from, message.context, out);
}

void RaftParticipant::answer_heartbeat(NodeId to, uint64_t round, Outputs& out) {
    acked_ = acknowledged();
    Message reply{.rejected = stores_.out_of_space(), .previous = log_.last(), .hint = acked_};
    if (verified_.value > 0) reply.hint_ballot = term_;
    reply.context = round;
    reply.priority = options_.priority;
    send(to, RaftKind::HeartbeatReply, std::move(reply), out);
}

void RaftParticipant::report_damage(Outputs& out) {
    ENSURE(log_.is_damaged());
    if (leader_ == NodeId::Nobody || leader_ == options_.self) return;
    send(leader_, RaftKind::Damaged, {.hint = log_.whole_to()}, out);
}

}  // namespace polis::consensus
