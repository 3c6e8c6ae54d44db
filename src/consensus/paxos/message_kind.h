// The messages of Multi-Paxos, and what each field of consensus::Message means in each of them.
#pragma once

#include <cstdint>

namespace polis::consensus {

/// `Message::kind` of Multi-Paxos. Stable: peers of the release before and after speak it. In all of them `ballot` is the highest
/// that the sender has promised; in those of a leader, or of who wants to be one, it is that one's own, and its node is
/// the sender. Fields not named are zero and ignored.
enum class PaxosKind : uint8_t {
    /// To voters, before a higher ballot is tried. `previous.index`: up to where the sender knows the decisions. `context`: its campaign.
    Probe = 1,
    /// `rejected`: a Prepare would not be answered with a promise now. `context` echoed.
    ProbeReply = 2,
    /// Phase 1a, for all slots after `previous.index` at once. `context`: 1 if the leader itself asked for it (transfer), so
    /// that the acceptor's lease does not stand against it; else 0. With the same ballot again: asks for the part of the
    /// promise that begins there.
    Prepare = 3,
    /// Phase 1b; a promise is durable before it is told. Tells what was accepted in the slots after `previous.index` up to `hint`: in
    /// `entries`, ascending, each with the ballot under which it was accepted; ballot zero if it can no longer be read. `context`: the
    /// last slot in which the sender accepted something; the promise is complete if that is not above `hint`. `committed`: up to there the
    /// entries are decided, and the sender knows it durably. `rejected`: a higher ballot is promised, and nothing else counts.
    Promise = 4,
    /// Phase 2a, for the slots after `previous.index`: `entries`, dense, all of `ballot`. `committed`: up to where slots are decided.
    Accept = 5,
    /// Phase 2b; what is accepted is durable before it is told. `hint`: up to here every slot is decided and known, or accepted under
    /// `ballot`. Besides, if `context` is not 0, the slots from `previous.index` to `context`. `committed`: up to where the
    /// decisions are known, durably. `rejected`: slots before those that came are missing (then `previous.index` is the last one before
    /// the first that is missing), or a higher ballot is promised.
    Accepted = 6,
    /// Leader to everybody. `context`: the round, unique within the ballot, ascending; zero asks for no answer (a mere
    /// notice that `committed` rose). `priority`: the best among the other voters that are up.
    Heartbeat = 7,
    /// Answer to Heartbeat. `context`: its round. `hint`, `committed`: as in Accepted. `previous.index`: as `hint`, durable or
    /// not (tells the leader what was lost on the way). `priority`: the sender's. `rejected`: the disk is full; then also said of
    /// itself, of round 0, to an Accept.
    HeartbeatReply = 8,
    /// Leader to the node that is to lead.
    TimeoutNow = 9,
    /// Follower to leader. `context`: names the request. `hint`: 1 if the leader's lease is good enough.
    ReadRequest = 10,
    /// `context` echoed. `hint`: the read index; or `rejected`: not the leader, ask again.
    ReadReply = 11,
    /// Follower to leader: slots from `hint` + 1 on cannot be read here any more, whatever was acknowledged; send them again.
    Damaged = 12,
    /// To any node: what was decided in the slots after `previous.index` up to `hint`?
    LearnRequest = 13,
    /// Some of what LearnRequest asked for: `entries`, dense after `previous.index`. Decided, so it may come from anyone.
    LearnReply = 14,
    /// Leader to follower: nothing is under way. All up to `previous.index` is decided. Who has all that too, and needs nothing,
    /// is quiet from now on: no heartbeat will come, and the leader's node stands for it. `context`: names the attempt.
    Quiesce = 15,
    /// `context` echoed; `rejected`: not quiet. The leader is quiet once all have agreed.
    QuiesceReply = 16,
    /// From one that was quiet, and is not any more: be awake, too. (Any other message does as well.)
    Wake = 17,
};

constexpr uint8_t number_of(PaxosKind kind) { return static_cast<uint8_t>(kind); }

}  // namespace polis::consensus
