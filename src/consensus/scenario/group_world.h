// GroupWorld: one group of participants with disks, a network and clocks in memory, and the checks that hold for every
// protocol of consensus. For tests only; nothing but tests may include it.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"
#include "consensus/log.h"
#include "consensus/scenario/protocol.h"

namespace polis::consensus {

/// What a request came to. Each ends once.
enum class Ending : uint8_t { Open, Delivered, Done, ReadReady, Rejected, Abandoned };

/// What a node's disk holds, and the durable part of its state machine.
struct GroupDisk {
    HardState hard_state;
    LogPosition start;
    std::map<LogIndex, Entry> entries;  // Dense after `start`.
    std::set<LogIndex> damaged;
    LogPosition applied;  // Of the state that is durable.
    Membership membership;
};

/// One node: its participant while it runs, its disk always.
struct GroupNode {
    NodeId id{};
    Options options{};
    GroupDisk disk{};
    std::unique_ptr<Log> log;  // Null while crashed.
    bool paused = false;       // Stopped, as by SIGSTOP: hears nothing, and its clock goes on.
    bool disk_slow = false;    // Stores end only when asked to.
    bool disk_full = false;
    double clock_rate = 1.0;   // Of its clock against the world's.
    std::deque<Store> stores;  // Given, not answered.
    std::deque<LogRange> fetches;
    std::deque<Entry> to_apply;
    LogPosition delivered;
    LogPosition applied;
    Membership membership;                   // As of `applied`.
    std::map<LogIndex, Membership> changes;  // ConfigActive, not applied yet.
    // The other nodes as such, as the shell's connections would tell of them.
    std::map<NodeId, Instant> heard;  // When they could last be heard.
    std::set<NodeId> dead;            // As this node was told.
    std::set<NodeId> lost;            // Crashed since: their connections ended.
};

/// A message or a snapshot on its way.
struct GroupPacket {
    NodeId from{};
    NodeId to{};
    std::variant<Message, LogPosition> content;  // A position: a snapshot that covers it,
    Membership membership{};                     // with the membership there.
};

/// A request made of some node.
struct GroupRequest {
    NodeId node{};
    Ending ending = Ending::Open;
    Why why{};
    LogIndex index{};            // Where it was delivered, or what ReadReady said.
    LogIndex must_cover{};       // ReadBarrier: what was delivered anywhere when it was asked for.
    bool lost_in_crash = false;  // Its node crashed before it ended: nobody will tell.
};

/// The whole. Every step is followed by the checks; the first that fails is kept in violation(), and the world stands still.
///
/// Checked: at most one leader a ballot; index and ballot tell an entry on disk; where the protocol says so, they tell all before it, and a
/// leader holds everything delivered under earlier ballots; a leader that is ready has delivered all that; the same entry is delivered at an index everywhere, once, in order, durable where it is delivered and on a majority when it is first
/// delivered; every request ends at most once; no read barrier is served below what was delivered before it was asked for.
class GroupWorld {
public:
    GroupWorld(Protocol protocol, uint64_t seed);

    /// Adds a node with an empty disk, which takes `membership` for the group's first. It does not run yet.
    GroupNode& add(NodeId id, Membership membership, Options options);
    void start(NodeId id);
    /// What was not durable is gone. The newest `lost_applied` applied entries were not flushed.
    void crash(NodeId id, uint64_t lost_applied);

    RequestId propose(NodeId id, const std::vector<std::string>& commands);  // The first of consecutive ids.
    RequestId read(NodeId id, ReadKind kind);
    RequestId reconfigure(NodeId id, std::vector<NodeId> voters, std::vector<NodeId> learners);
    RequestId transfer(NodeId id, NodeId to);
    void compact(NodeId id, LogIndex index);
    void unreachable(NodeId id, NodeId other);
    void damage(NodeId id, LogIndex index);

    /// Cuts or restores the way from `from` to `to`. What is on it when it is cut is lost.
    void cut(NodeId from, NodeId to);
    void heal(NodeId from, NodeId to);
    void heal_all() { cuts_.clear(); }
    bool is_cut(NodeId from, NodeId to) const { return cuts_.contains({from, to}); }

    /// One unit of progress, if there is any: the packet at `place` arrives (or is lost, or stays and arrives as a copy).
    size_t packets() const { return packets_.size(); }
    /// How many messages were ever sent.
    uint64_t sent() const { return sent_; }
    const GroupPacket& packet(size_t place) const { return packets_[place]; }
    void arrive(size_t place);
    void lose(size_t place);
    void duplicate(size_t place) { packets_.push_back(packets_[place]); }
    /// Answers the oldest Store, Fetch, or applies what was delivered. False if there was nothing of that kind.
    bool finish_store(NodeId id);
    bool finish_fetch(NodeId id);
    bool apply(NodeId id, uint64_t entries_max);
    /// Time passes for all; whoever is due is given a Tick, and is told whose node it can hear no more, or again.
    void advance(Duration span);
    void tick(NodeId id);
    /// Time passes, and nobody is told.
    void pass(Duration span) { now_ = now_ + span; }

    /// All messages, stores, fetches and applications that can happen without time passing, happen.
    void settle();
    /// As `settle`, while time passes.
    void run(Duration span);

    const Protocol& protocol() const { return protocol_; }
    const std::map<NodeId, GroupNode>& nodes() const { return nodes_; }
    GroupNode& node(NodeId id) { return nodes_.at(id); }
    const std::map<RequestId, GroupRequest>& requests() const { return requests_; }
    /// The entries that were delivered anywhere.
    const std::map<LogIndex, Entry>& decided() const { return decided_; }
    /// The running node that leads the highest term, or Nobody.
    NodeId leader() const;
    Instant now() const { return now_; }
    Instant clock_of(const GroupNode& node) const;
    const std::string& violation() const { return violation_; }
    /// What happened last, oldest first; empty unless recorded.
    std::string story() const;
    void record_story() { recording_ = true; }

private:
    void step(GroupNode& node, Input input);
    void listen(GroupNode& node);
    void do_output(GroupNode& node, Output output);
    void write(GroupNode& node, const LogWrite& write);
    void deliver(GroupNode& node, const Deliver& deliver);
    void send_snapshot(GroupNode& node, const NeedSnapshot& need);
    void install_snapshot(GroupNode& node, const GroupPacket& packet);
    RequestId request(NodeId id);
    void end(RequestId id, const GroupNode& node, Ending ending, Why why, LogIndex index);
    void decide(const GroupNode& node, const Entry& entry);
    void check_leader(const GroupNode& node);
    void check_ready(const GroupNode& node, const LeaderReady& ready);
    void check_chain(const GroupNode& node, const Entry& entry);
    bool held_by_majority(const Entry& stored) const;
    void violate(const std::string& what);
    void tell(std::string line);
    template <class Event>
    void give(NodeId id, Event event) {
        step(node(id), Input(std::move(event)));
    }

    Protocol protocol_;
    uint64_t seed_;
    Instant now_{std::chrono::seconds(1)};
    std::map<NodeId, GroupNode> nodes_;
    std::deque<GroupPacket> packets_;
    uint64_t sent_ = 0;
    std::set<std::pair<NodeId, NodeId>> cuts_;
    std::map<RequestId, GroupRequest> requests_;
    RequestId next_request_ = 1;
    std::map<LogIndex, Entry> decided_;
    std::map<LogIndex, Ballot> decided_by_;  // The ballot of whoever delivered it first: it was committed by then.
    std::map<Ballot, NodeId> leaders_;
    struct Link {  // What an entry is, and what stands before it, wherever it is stored.
        Entry entry;
        std::optional<Ballot> before;
    };
    std::map<std::pair<LogIndex, Ballot>, Link> chain_;
    std::vector<Membership> memberships_;  // All that were ever written or counted by, and the first.
    std::string violation_;
    std::deque<std::string> story_;
    bool recording_ = false;
};

}  // namespace polis::consensus
