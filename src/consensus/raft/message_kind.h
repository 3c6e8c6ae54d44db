// The messages of Raft, and what each field of consensus::Message means in each of them.
#pragma once

#include <cstdint>

namespace polis::consensus {

/// `Message::kind` of Raft. Stable: peers of the release before and after speak it. In all of them `ballot` is the
/// sender's current term (its node is Nobody). Fields not named are zero and ignored.
enum class RaftKind : uint8_t {
    /// Leader to follower (AppendEntries, Ongaro 2014 §3.5). `previous`: what `entries` follow. `committed`: the
    /// leader's commit index. Empty `entries` ask only whether `previous` matches.
    Append = 1,
    /// Answer to Append. Accepted: `hint` is the last index known to equal the leader's log *and* to be durable here.
    /// Rejected: `previous.index` is that of the Append; `hint`, `hint_ballot` the last position here that can still
    /// equal the leader's (§3.5, "conflict"); or the sender's term is newer, and nothing else counts.
    AppendReply = 2,
    /// Leader to follower. `context`: the round, unique within the term, ascending; zero asks for no answer (a mere
    /// notice that `committed` rose). `committed`: never above what the follower is known to hold. `priority`: the
    /// best among the other voters that are up.
    Heartbeat = 3,
    /// Answer to Heartbeat. `context`: its round. `hint`: as in AppendReply. `previous`: the end of the log, durable or
    /// not (tells the leader what was lost on the way). `hint_ballot`: the term, if the sender has found its log to agree
    /// with the leader's in this life and term; else zero, and the leader asks again. `priority`: the sender's. `rejected`: the disk is full; then also said of itself, of round 0, to an
    /// Append.
    HeartbeatReply = 4,
    /// Candidate to voter, before it takes a new term (§9.6). `previous`: the end of its log. `context`: its campaign.
    PreVote = 5,
    /// `rejected` or not; `context` echoed.
    PreVoteReply = 6,
    /// Candidate to voter (RequestVote, §3.4). `previous`: the end of its log. `context`: 1 if the leader itself asked
    /// for this election (transfer), so that the voter's lease does not stand against it; else 0.
    Vote = 7,
    /// `rejected` or not, for the term `ballot`.
    VoteReply = 8,
    /// Leader to the follower that is to lead (§3.10).
    TimeoutNow = 9,
    /// Follower to leader (§6.4). `context`: names the request. `hint`: 1 if the leader's lease is good enough.
    ReadRequest = 10,
    /// `context` echoed. `hint`: the read index; or `rejected`: not the leader, ask again.
    ReadReply = 11,
    /// Follower to leader, instead of AppendReply: entries from `hint` + 1 on cannot be read here any more, whatever was
    /// acknowledged; send them again.
    Damaged = 12,
    /// To any member: the entries after `previous` up to `hint` cannot be read here; whoever has the same ones
    /// (`hint_ballot` is that of the last) may send them.
    RepairRequest = 13,
    /// `previous` and `entries`: some of what RepairRequest asked for. A term and an index name one entry for ever
    /// (Log Matching), so they may come from anyone. `hint_ballot`: highest ballot among them.
    RepairReply = 14,
    /// Leader to follower: nothing is under way. `previous` is the end of the log, and committed. Who has all that too, and needs
    /// nothing, is quiet from now on: no heartbeat will come, and the leader's node stands for it. `context`: names the attempt.
    Quiesce = 15,
    /// `context` echoed; `rejected`: not quiet. The leader is quiet once all have agreed.
    QuiesceReply = 16,
    /// From one that was quiet, and is not any more: be awake, too. (Any other message does as well.)
    Wake = 17,
};

constexpr uint8_t number_of(RaftKind kind) { return static_cast<uint8_t>(kind); }

}  // namespace polis::consensus
