// GroupWorld: doing what participants ask for, and letting time and faults happen.
#include "consensus/scenario/group_world.h"

#include <algorithm>
#include <sstream>
#include <utility>

#include "base/ensure.h"

namespace polis::consensus {
namespace {

constexpr size_t story_lines_max = 40000;
constexpr size_t arrivals_at_once_max = 100'000;  // In no time at all: beyond it, answers cause each other for ever.

}  // namespace

GroupWorld::GroupWorld(Protocol protocol, uint64_t seed) : protocol_(protocol), seed_(seed) {}

GroupNode& GroupWorld::add(NodeId id, Membership membership, Options options) {
    GroupNode node;
    node.id = id;
    options.self = id;
    options.seed = seed_ ^ number_of(id) << 32;
    node.options = options;
    if (!membership.voters.empty()) memberships_.push_back(membership);
    node.disk.membership = std::move(membership);
    return nodes_.insert_or_assign(id, std::move(node)).first->second;
}

void GroupWorld::start(NodeId id) {
    GroupNode& node = nodes_.at(id);
    ENSURE(node.log == nullptr);
    const GroupDisk& disk = node.disk;
    Recovered recovered;
    recovered.hard_state = disk.hard_state;
    recovered.start = disk.start;
    for (const auto& [index, entry] : disk.entries) {
        recovered.positions.push_back({index, entry.ballot});
        const bool readable = !disk.damaged.contains(index);
        if (entry.kind == EntryKind::Membership && readable) recovered.membership_entries.push_back(entry);
    }
    uint64_t bytes = 0;
    for (auto at = disk.entries.rbegin(); at != disk.entries.rend() && !disk.damaged.contains(at->first); ++at) {
        bytes += at->second.payload.size() + sizeof(Entry);
        if (bytes > node.options.cache_bytes_max) break;
        recovered.tail.insert(recovered.tail.begin(), at->second);
    }
    for (const LogIndex index : disk.damaged) recovered.damaged.push_back({index, index});
    recovered.applied = disk.applied;
    recovered.membership = disk.membership;
    node.delivered = node.applied = disk.applied;
    node.membership = disk.membership;
    node.log = protocol_.make(node.options);
    node.paused = false;
    node.heard.clear();
    node.dead.clear();
    node.lost.clear();
    step(node, std::move(recovered));
}

void GroupWorld::crash(NodeId id, uint64_t lost_applied) {
    GroupNode& node = nodes_.at(id);
    ENSURE(node.log != nullptr);
    tell("crash of " + std::to_string(number_of(id)));
    node.log.reset();
    for (auto& [other_id, other] : nodes_) other.lost.insert(id);
    node.stores.clear();
    node.fetches.clear();
    node.to_apply.clear();
    node.changes.clear();
    for (auto& [request_id, request] : requests_) {
        if (request.node == id && request.ending == Ending::Open) request.lost_in_crash = true;
    }
    // The state machine's flush covers some earlier applied position that the log still reaches back to.
    const LogIndex oldest = std::max(node.disk.start.index, node.disk.applied.index);
    const uint64_t back =
        std::min<uint64_t>(lost_applied, node.applied.index.value - std::min(oldest, node.applied.index).value);
    const LogIndex flushed(node.applied.index.value - back);
    if (flushed <= node.disk.applied.index) return;
    for (LogIndex at = node.disk.applied.index.next(); at <= flushed; at = at.next()) {
        const Entry& entry = decided_.at(at);
        node.disk.applied = {entry.index, entry.ballot};
        if (entry.kind == EntryKind::Membership) node.disk.membership = *decode_membership(entry.payload.view());
    }
}

RequestId GroupWorld::request(NodeId id) {
    requests_[next_request_] = GroupRequest{.node = id};
    return next_request_++;
}

RequestId GroupWorld::propose(NodeId id, const std::vector<std::string>& commands) {
    Propose propose{.ballot = std::nullopt, .proposals = {}};
    for (const std::string& command : commands) propose.proposals.push_back({request(id), Bytes::copy(command)});
    const RequestId first = propose.proposals.front().id;
    give(id, std::move(propose));
    return first;
}

RequestId GroupWorld::read(NodeId id, ReadKind kind) {
    const RequestId made = request(id);
    if (!decided_.empty()) requests_.at(made).must_cover = decided_.rbegin()->first;
    give(id, ReadBarrier{made, kind});
    return made;
}

RequestId GroupWorld::reconfigure(NodeId id, std::vector<NodeId> voters, std::vector<NodeId> learners) {
    const RequestId made = request(id);
    give(id, Reconfigure{made, std::move(voters), std::move(learners)});
    return made;
}

RequestId GroupWorld::transfer(NodeId id, NodeId to) {
    const RequestId made = request(id);
    give(id, TransferLeadership{made, to});
    return made;
}

void GroupWorld::compact(NodeId id, LogIndex index) {
    GroupNode& node = nodes_.at(id);
    index = std::min(index, node.applied.index);
    if (index <= node.disk.start.index) return;
    // The state is flushed before the log is cut, as the shell does.
    for (LogIndex at = node.disk.applied.index.next(); at <= index; at = at.next()) {
        const Entry& entry = decided_.at(at);
        node.disk.applied = {entry.index, entry.ballot};
        if (entry.kind == EntryKind::Membership) node.disk.membership = *decode_membership(entry.payload.view());
    }
    const LogPosition position{index, decided_.at(index).ballot};
    auto& entries = node.disk.entries;
    entries.erase(entries.begin(), entries.upper_bound(index));
    std::erase_if(node.disk.damaged, [&](LogIndex at) { return at <= index; });
    node.disk.start = position;
    give(id, Compacted{position});
}

void GroupWorld::unreachable(NodeId id, NodeId other) { give(id, Unreachable{other}); }

void GroupWorld::damage(NodeId id, LogIndex index) {
    GroupNode& node = nodes_.at(id);
    ENSURE(node.log == nullptr);
    if (node.disk.entries.contains(index)) node.disk.damaged.insert(index);
}

void GroupWorld::cut(NodeId from, NodeId to) {
    cuts_.insert({from, to});
    for (size_t at = packets_.size(); at-- > 0;) {
        if (packets_[at].from == from && packets_[at].to == to) lose(at);
    }
}

void GroupWorld::heal(NodeId from, NodeId to) { cuts_.erase({from, to}); }

void GroupWorld::arrive(size_t place) {
    GroupPacket packet = std::move(packets_[place]);
    packets_.erase(packets_.begin() + static_cast<ptrdiff_t>(place));
    const auto to = nodes_.find(packet.to);
    const bool heard = to != nodes_.end() && to->second.log != nullptr && !is_cut(packet.from, packet.to);
    if (std::holds_alternative<LogPosition>(packet.content)) {
        if (heard) install_snapshot(to->second, packet);
        const auto from = nodes_.find(packet.from);
        if (from != nodes_.end() && from->second.log != nullptr) {
            step(from->second, SnapshotSent{packet.to, std::get<LogPosition>(packet.content), heard});
        }
        return;
    }
    if (heard) step(to->second, Receive{packet.from, std::get<Message>(std::move(packet.content))});
}

void GroupWorld::lose(size_t place) {
    const GroupPacket packet = std::move(packets_[place]);
    packets_.erase(packets_.begin() + static_cast<ptrdiff_t>(place));
    if (!std::holds_alternative<LogPosition>(packet.content)) return;
    const auto from = nodes_.find(packet.from);
    if (from == nodes_.end() || from->second.log == nullptr) return;
    step(from->second, SnapshotSent{packet.to, std::get<LogPosition>(packet.content), false});
}

bool GroupWorld::finish_store(NodeId id) {
    GroupNode& node = nodes_.at(id);
    if (node.log == nullptr || node.stores.empty()) return false;
    if (node.disk_full) {
        const StoreToken token = node.stores.front().token;
        node.stores.clear();
        step(node, StoreRefused{token});
        return true;
    }
    const Store store = std::move(node.stores.front());
    node.stores.pop_front();
    write(node, store.write);
    step(node, Stored{store.token});
    return true;
}

bool GroupWorld::finish_fetch(NodeId id) {
    GroupNode& node = nodes_.at(id);
    if (node.log == nullptr || node.fetches.empty()) return false;
    Fetched fetched{node.fetches.front(), {}};
    node.fetches.pop_front();
    uint64_t bytes = 0;
    for (LogIndex at = fetched.range.first; at <= fetched.range.last; at = at.next()) {
        const auto entry = node.disk.entries.find(at);
        if (entry == node.disk.entries.end() || node.disk.damaged.contains(at)) break;
        bytes += entry->second.payload.size() + sizeof(Entry);
        if (!fetched.entries.empty() && bytes > node.options.fetch_bytes_max) break;
        fetched.entries.push_back(entry->second);
    }
    step(node, std::move(fetched));
    return true;
}

bool GroupWorld::apply(NodeId id, uint64_t entries_max) {
    GroupNode& node = nodes_.at(id);
    if (node.log == nullptr || node.to_apply.empty()) return false;
    for (uint64_t count = 0; count < entries_max && !node.to_apply.empty(); ++count) {
        const Entry entry = std::move(node.to_apply.front());
        node.to_apply.pop_front();
        node.applied = {entry.index, entry.ballot};
        if (entry.kind == EntryKind::Membership) node.membership = *decode_membership(entry.payload.view());
    }
    step(node, Applied{node.applied.index});
    return true;
}

Instant GroupWorld::clock_of(const GroupNode& node) const {
    return {Duration(static_cast<Duration::rep>(static_cast<double>(now_.since_boot.count()) * node.clock_rate))};
}

void GroupWorld::tick(NodeId id) { give(id, Tick{}); }

// Tells the node of the changes among the nodes that it can hear.
void GroupWorld::listen(GroupNode& node) {
    for (const auto& [id, other] : nodes_) {
        if (id == node.id) continue;
        const bool audible = other.log != nullptr && !other.paused && !is_cut(id, node.id);
        const bool ended = node.lost.erase(id) > 0;
        Instant& heard = node.heard.try_emplace(id, now_).first->second;
        if (audible) heard = now_;
        if (node.dead.contains(id)) {
            if (!audible || ended) continue;
            node.dead.erase(id);
            step(node, Liveness{id, true});
        } else if (ended || now_ >= heard + node.options.election_timeout) {
            node.dead.insert(id);
            step(node, Liveness{id, false});
        }
    }
}

void GroupWorld::advance(Duration span) {
    now_ = now_ + span;
    for (auto& [id, node] : nodes_) {
        if (node.log != nullptr && !node.paused) listen(node);
    }
    for (auto& [id, node] : nodes_) {
        if (node.log != nullptr && !node.paused && clock_of(node) >= node.log->next_deadline()) step(node, Tick{});
    }
}

void GroupWorld::settle() {
    size_t arrivals = 0;
    for (bool busy = true; busy && violation_.empty();) {
        busy = false;
        for (auto& [id, node] : nodes_) {
            if (node.paused) continue;
            while (!node.disk_slow && violation_.empty() && finish_store(id)) busy = true;
            while (violation_.empty() && finish_fetch(id)) busy = true;
            while (violation_.empty() && apply(id, UINT64_MAX)) busy = true;
        }
        for (size_t at = 0; at < packets_.size() && violation_.empty();) {
            const auto to = nodes_.find(packets_[at].to);
            if (to != nodes_.end() && to->second.paused) {
                ++at;
                continue;
            }
            arrive(at);
            busy = true;
            if (++arrivals > arrivals_at_once_max) return violate("messages cause each other without end");
        }
    }
}

void GroupWorld::run(Duration span) {
    constexpr Duration stride = std::chrono::milliseconds(5);
    settle();
    for (Duration passed{0}; passed < span && violation_.empty(); passed += stride) {
        advance(std::min(stride, span - passed));
        settle();
    }
}

NodeId GroupWorld::leader() const {
    NodeId leader{};
    Ballot ballot;
    for (const auto& [id, node] : nodes_) {
        if (node.log == nullptr) continue;
        const Status status = node.log->status();
        if (status.role != Status::Role::Leader || (leader != NodeId::Nobody && status.ballot < ballot)) continue;
        leader = id;
        ballot = status.ballot;
    }
    return leader;
}

std::string GroupWorld::story() const {
    std::string text;
    for (const std::string& line : story_) text += line + "\n";
    return text;
}

void GroupWorld::tell(std::string line) {
    story_.push_back(std::move(line));
    if (story_.size() > story_lines_max) story_.pop_front();
}

}  // namespace polis::consensus
