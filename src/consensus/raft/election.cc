// Elections: pre-vote, votes, leases of followers, becoming leader and ceasing to be (Ongaro 2014 §3.4, §4.2.3, §9.6).
#include <algorithm>
#include <utility>

#include "base/ensure.h"
#include "consensus/raft/participant.h"

namespace polis::consensus {

void RaftParticipant::become_follower(Ballot term, NodeId leader, Outputs& out) {
    ENSURE(term >= term_);
    const bool led = role_ == Role::Leader;
    quiet_ = false;
    role_ = Role::Follower;
    if (led &&
        options_.quiesce_after > Duration::zero()) {  // Who is quiet relies on our node, which lives: it must not.
        for (const FollowerProgress& progress : progress_) send(progress.node, RaftKind::Wake, {}, out);
    }
    if (led) lose_leadership(out);
    if (term > term_) {
        term_ = term;
        vote_ = NodeId::Nobody;
        hard_state_changed_ = true;
        granted_vote_.reset();
        verified_ = acked_ = LogIndex();
    }
    campaign_ = Campaign();
    // A newer term alone earns nobody more patience: only a leader heard, or a vote granted, does (§3.4). Else a node that cannot
    // win could keep those who can from trying.
    if (led) draw_election_deadline(now_);
    know_leader(leader, out);
}

// A message of the leader of our term has come.
void RaftParticipant::follow(NodeId leader, Outputs& out) {
    ENSURE(role_ != Role::Leader);
    if (role_ != Role::Follower || leader_ != leader) become_follower(term_, leader, out);
    heard_at_ = now_;
    draw_election_deadline(now_);
}

void RaftParticipant::know_leader(NodeId leader, Outputs& out) {
    leader_ = leader;
    if (told_leader_ == leader && (told_term_ == term_ || leader == NodeId::Nobody)) return;
    told_leader_ = leader;
    told_term_ = term_;
    out.push_back(LeaderKnown{leader, term_});
    if (leader == NodeId::Nobody) return;
    end_transfer(leader, out);
    forwarded_context_ = 0;  // Whoever was asked before does not lead now.
    forward_reads(out);
}

// Each wait is drawn anew, so that split votes end (§3.4). A node that knows of a better one leaves it the first try.
void RaftParticipant::draw_election_deadline(Instant from) {
    const auto timeout = static_cast<uint64_t>(options_.election_timeout.count());
    Duration wait(static_cast<Duration::rep>(timeout + chance_.below(timeout)));
    if (options_.priority < best_priority_) wait += options_.election_timeout;
    election_deadline_ = from + wait;
}

// A node that its newest membership leaves out still stands until that one is committed: its log may be the only one that a
// majority of the old membership can follow. Its own vote does not count then (§4.2.2).
bool RaftParticipant::may_campaign() const {
    return memberships_.may_be_needed(options_.self, committed_) && !log_.is_damaged() && !stores_.out_of_space();
}

// A leader that may be serving reads under a lease, or that is merely in touch with us, must not be disturbed by
// somebody who cannot hear it (§4.2.3, §6.4.1).
bool RaftParticipant::grants_no_vote() const { return options_.check_quorum && (now_ < votes_from_ || hears_leader()); }

bool RaftParticipant::hears_leader() const {
    if (role_ == Role::Leader || quiet_) return true;
    return leader_ != NodeId::Nobody && now_ < heard_at_ + options_.election_timeout;
}

void RaftParticipant::start_pre_vote(Outputs& out) {
    ENSURE(may_campaign() && role_ != Role::Leader && !quiet_);
    if (!options_.pre_vote) return start_election(false, out);
    role_ = Role::PreCandidate;
    know_leader(NodeId::Nobody, out);
    draw_election_deadline(now_);
    campaign_ = Campaign{.context = fresh_context()};
    Message message{.previous = log_.last(), .context = campaign_.context, .priority = options_.priority};
    for (const NodeId node : memberships_.current().everyone()) {
        if (node != options_.self && memberships_.current().votes(node)) send(node, RaftKind::PreVote, message, out);
    }
    count_vote(options_.self, out);
}

void RaftParticipant::start_election(bool forced, Outputs& out) {
    ENSURE(may_campaign() && role_ != Role::Leader);
    become_follower({term_.epoch + 1, NodeId::Nobody}, NodeId::Nobody, out);
    role_ = Role::Candidate;
    draw_election_deadline(now_);
    vote_ = options_.self;
    hard_state_changed_ = true;
    // The vote, and all of the log that the requests speak of, must survive a crash before anybody acts on them: else a restarted
    // candidate could stand again in the same term with a shorter log.
    campaign_ = Campaign{.vote_token = stores_.next_token(), .forced = forced};
}

void RaftParticipant::ask_for_votes(Outputs& out) {
    ENSURE(role_ == Role::Candidate && !campaign_.asked);
    campaign_.asked = true;
    Message message{.previous = log_.last(), .context = campaign_.forced ? 1u : 0u, .priority = options_.priority};
    for (const NodeId node : memberships_.current().everyone()) {
        if (node != options_.self && memberships_.current().votes(node)) send(node, RaftKind::Vote, message, out);
    }
    count_vote(options_.self, out);
}

void RaftParticipant::count_vote(NodeId from, Outputs& out) {
    auto& granted = campaign_.granted;
    if (std::find(granted.begin(), granted.end(), from) == granted.end()) granted.push_back(from);
    const bool won = majority(memberships_.current(), [&](NodeId node) {
        return std::find(granted.begin(), granted.end(), node) != granted.end();
    });
    if (!won) return;
    if (role_ == Role::PreCandidate) {
        // Our disk may have filled up, or lost an entry, since we asked.
        if (may_campaign()) start_election(false, out);
    } else {
        ENSURE(role_ == Role::Candidate && campaign_.asked);
        become_leader(out);
    }
}

void RaftParticipant::become_leader(Outputs& out) {
    ENSURE(role_ == Role::Candidate && vote_ == options_.self);
    role_ = Role::Leader;
    campaign_ = Campaign();
    ready_ = lease_broken_ = membership_settled_ = false;
    quorum_since_ = now_;
    busy();
    reads_ = ReadRounds();
    uncommitted_.clear();
    progress_.clear();
    refresh_progress();
    term_start_ = log_.last().index.next();
    know_leader(options_.self, out);
    append_own(EntryKind::Noop, Bytes());  // Commits what earlier terms left (§3.6.2), and opens the term for reads.
    replicate_to_all(out);
    broadcast_heartbeat(out);
    for (const ForwardedRead& read : std::exchange(forwarded_, {})) {
        add_barrier({.id = read.id, .from = {}, .context = 0}, read.kind == ReadKind::Lease, out);
    }
}

void RaftParticipant::lose_leadership(Outputs& out) {
    out.push_back(LeaderLost{term_});
    if (transfer_ && transfer_->id != 0) watched_transfer_ = transfer_;
    if (watched_transfer_) watched_transfer_->deadline = now_ + options_.election_timeout * 2;
    transfer_.reset();
    progress_.clear();
    uncommitted_.clear();
    verified_ = acked_ = LogIndex();
    ready_ = false;
    keep_reads_for_next_leader(out);
}

void RaftParticipant::on_pre_vote(NodeId from, const Message& message, Outputs& out) {
    // Its next term must be newer than ours. The request itself changes nothing here: that is its point.
    const bool newer = message.ballot >= term_;
    const bool granted = newer && !grants_no_vote() && !hears_leader() && is_up_to_date(message.previous);
    send(from, RaftKind::PreVoteReply, {.rejected = !granted, .context = message.context}, out);
}

void RaftParticipant::on_pre_vote_reply(NodeId from, const Message& message, Outputs& out) {
    if (role_ != Role::PreCandidate || message.rejected || message.context != campaign_.context) return;
    count_vote(from, out);
}

void RaftParticipant::on_vote(NodeId from, const Message& message, Outputs& out) {
    ENSURE(message.ballot == term_);
    const bool free = vote_ == NodeId::Nobody ? leader_ == NodeId::Nobody : vote_ == from;
    if (!free || role_ == Role::Leader || !is_up_to_date(message.previous)) {
        return send(from, RaftKind::VoteReply, {.rejected = true}, out);
    }
    if (vote_ == NodeId::Nobody) {
        vote_ = from;
        hard_state_changed_ = true;
        draw_election_deadline(now_);
    } else if (granted_vote_) {
        return;  // Asked twice; the answer is on its way.
    }
    // Everything up to the next Store, which holds the vote if it is new, must be durable before we say so.
    granted_vote_ = GrantedVote{from, hard_state_changed_ ? stores_.next_token() : stores_.next_token() - 1};
    if (stores_.is_durable(granted_vote_->token)) {
        granted_vote_.reset();
        send(from, RaftKind::VoteReply, {}, out);
    }
}

void RaftParticipant::on_vote_reply(NodeId from, const Message& message, Outputs& out) {
    if (role_ != Role::Candidate || !campaign_.asked || message.rejected) return;
    count_vote(from, out);
}

// Tells those who live in the past that time has moved on; without it, a node that was cut off under an older release or with
// pre_vote off could neither lead nor be led.
void RaftParticipant::on_older_term(NodeId from, const Message& message, Outputs& out) {
    switch (static_cast<RaftKind>(message.kind)) {
        case RaftKind::Append:
        case RaftKind::Quiesce:
        case RaftKind::Heartbeat: return send(from, RaftKind::AppendReply, {.rejected = true}, out);
        case RaftKind::Vote: return send(from, RaftKind::VoteReply, {.rejected = true}, out);
        case RaftKind::ReadRequest:
            return send(from, RaftKind::ReadReply, {.rejected = true, .context = message.context}, out);
        // A voter that has not heard of our term yet grants all the same; the context tells that it is this campaign's.
        case RaftKind::PreVoteReply: return on_pre_vote_reply(from, message, out);
        default: return;
    }
}

// Returns false if the message is to be ignored.
bool RaftParticipant::enter_newer_term(NodeId from, const Message& message, Outputs& out) {
    switch (static_cast<RaftKind>(message.kind)) {
        case RaftKind::Vote: {
            const bool forced = message.context == 1;
            if (!forced && grants_no_vote()) return false;
            become_follower(message.ballot, NodeId::Nobody, out);
            return true;
        }
        case RaftKind::Append:
        case RaftKind::Quiesce:
        case RaftKind::Heartbeat: become_follower(message.ballot, from, out); return true;
        case RaftKind::AppendReply:
        case RaftKind::HeartbeatReply:
        case RaftKind::PreVoteReply:
        case RaftKind::VoteReply:
        case RaftKind::TimeoutNow:
        case RaftKind::Damaged:
        case RaftKind::QuiesceReply:
        case RaftKind::Wake:
        case RaftKind::ReadRequest: become_follower(message.ballot, NodeId::Nobody, out); return true;
        default: return false;
    }
}

}  // namespace polis::consensus
