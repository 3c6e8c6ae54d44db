// GroupWorld: the outputs of participants, and the checks on them.
#include <algorithm>
#include <sstream>
#include <utility>

#include "base/ensure.h"
#include "consensus/scenario/describe.h"
#include "consensus/scenario/group_world.h"

namespace polis::consensus {
namespace {

template <class T>
std::string text_of(const T& value) {
    std::ostringstream text;
    text << value;
    return text.str();
}

}  // namespace

void GroupWorld::step(GroupNode& node, Input input) {
    if (!violation_.empty() || node.log == nullptr) return;
    if (recording_) tell(text_of(node.id) + " <- " + describe(input));
    Outputs outputs;
    node.log->step(clock_of(node), std::move(input), outputs);
    for (Output& output : outputs) {
        if (recording_) tell("    " + describe(output));
        do_output(node, std::move(output));
    }
    check_leader(node);
}

void GroupWorld::do_output(GroupNode& node, Output output) {
    if (auto* send = std::get_if<Send>(&output)) {
        ++sent_;
        if (!is_cut(node.id, send->to)) packets_.push_back({node.id, send->to, std::move(send->message), {}});
    } else if (auto* store = std::get_if<Store>(&output)) {
        node.stores.push_back(std::move(*store));
    } else if (const auto* fetch = std::get_if<Fetch>(&output)) {
        node.fetches.push_back(fetch->range);
    } else if (const auto* delivered = std::get_if<Deliver>(&output)) {
        deliver(node, *delivered);
    } else if (const auto* ready = std::get_if<ReadReady>(&output)) {
        end(ready->id, node, Ending::ReadReady, {}, ready->index);
    } else if (const auto* rejected = std::get_if<Rejected>(&output)) {
        end(rejected->id, node, Ending::Rejected, rejected->why, {});
    } else if (const auto* abandoned = std::get_if<Abandoned>(&output)) {
        end(abandoned->id, node, Ending::Abandoned, {}, {});
    } else if (const auto* done = std::get_if<Done>(&output)) {
        end(done->id, node, Ending::Done, {}, {});
    } else if (const auto* need = std::get_if<NeedSnapshot>(&output)) {
        send_snapshot(node, *need);
    } else if (const auto* active = std::get_if<ConfigActive>(&output)) {
        if (active->index > node.delivered.index) violate("a membership came before the entries it follows");
    } else if (const auto* leads = std::get_if<LeaderReady>(&output)) {
        check_ready(node, *leads);
    }
}

void GroupWorld::check_ready(const GroupNode& node, const LeaderReady& ready) {
    for (auto decided = decided_.upper_bound(node.delivered.index); decided != decided_.end(); ++decided) {
        if (decided_by_.at(decided->first) < ready.ballot) violate("ready before all was delivered that was committed");
    }
    if (node.delivered.index.value == 0) violate("leader ready before anything was delivered");
}

void GroupWorld::write(GroupNode& node, const LogWrite& write) {
    GroupDisk& disk = node.disk;
    if (write.reset_to) {
        disk.start = *write.reset_to;
        disk.entries.clear();
        disk.damaged.clear();
    }
    if (write.truncate_from) {
        disk.entries.erase(disk.entries.lower_bound(*write.truncate_from), disk.entries.end());
        disk.damaged.erase(disk.damaged.lower_bound(*write.truncate_from), disk.damaged.end());
    }
    for (const Entry& entry : write.entries) {
        if (entry.index <= disk.start.index) continue;  // Compacted since it was given.
        const LogIndex last = disk.entries.empty() ? disk.start.index : disk.entries.rbegin()->first;
        if (entry.index > last.next()) violate("a gap in the log on disk of " + text_of(node.id));
        disk.entries[entry.index] = entry;
        disk.damaged.erase(entry.index);
        check_chain(node, entry);
    }
    if (!write.hard_state) return;
    const HardState& old = disk.hard_state;
    if (write.hard_state->promised < old.promised) violate("the term fell on disk of " + text_of(node.id));
    disk.hard_state = *write.hard_state;
}

// Index and ballot tell the entry; with Log Matching, also the one before it.
void GroupWorld::check_chain(const GroupNode& node, const Entry& entry) {
    const LogIndex index_before = entry.index.previous();
    std::optional<Ballot> before;
    if (index_before == node.disk.start.index) {
        before = node.disk.start.ballot;
    } else if (const auto found = node.disk.entries.find(index_before); found != node.disk.entries.end()) {
        before = found->second.ballot;
    }
    const auto [link, is_new] = chain_.try_emplace({entry.index, entry.ballot}, Link{entry, before});
    if (is_new && entry.kind == EntryKind::Membership) {
        memberships_.push_back(*decode_membership(protocol_.meant_by(entry).payload.view()));
    }
    if (is_new) return;
    if (link->second.entry != entry) violate("two entries of one index and ballot: " + text_of(entry.index));
    if (protocol_.logs_match && before && link->second.before && *before != *link->second.before) {
        violate("logs differ before equal entries at " + text_of(entry.index));
    }
}

void GroupWorld::deliver(GroupNode& node, const Deliver& deliver) {
    if (deliver.entries.empty() || deliver.ids.size() != deliver.entries.size()) violate("a Deliver is malformed");
    for (size_t at = 0; at < deliver.entries.size() && violation_.empty(); ++at) {
        const Entry& entry = deliver.entries[at];
        if (entry.index != node.delivered.index.next()) violate("delivered out of order: " + text_of(entry.index));
        node.delivered = {entry.index, entry.ballot};
        node.to_apply.push_back(entry);
        decide(node, entry);
        if (deliver.ids[at] != 0) end(deliver.ids[at], node, Ending::Delivered, {}, entry.index);
    }
}

void GroupWorld::decide(const GroupNode& node, const Entry& entry) {
    const auto [decided, is_new] = decided_.try_emplace(entry.index, entry);
    if (is_new) decided_by_.emplace(entry.index, node.log->status().ballot);
    if (decided->second != entry) {
        return violate("different entries delivered at " + text_of(entry.index));
    }
    if (entry.index <= node.disk.start.index) return;
    const auto stored = node.disk.entries.find(entry.index);
    if (stored == node.disk.entries.end() || node.disk.damaged.contains(entry.index)) {
        return violate("delivered before it was durable here: " + text_of(entry.index));
    }
    const bool is_orphan = protocol_.drops_orphans && entry.kind == EntryKind::Noop && entry.payload.empty();
    if (!is_orphan && protocol_.meant_by(stored->second) != entry)
        violate("another is on disk: " + text_of(entry.index));
    if (is_new && !held_by_majority(stored->second))
        violate("delivered before a majority had it: " + text_of(entry.index));
}

bool GroupWorld::held_by_majority(const Entry& entry) const {
    const Entry meant = protocol_.meant_by(entry);
    const auto holds = [&](NodeId id) {
        const auto node = nodes_.find(id);
        if (node == nodes_.end()) return false;
        const auto stored = node->second.disk.entries.find(entry.index);
        return entry.index <= node->second.disk.start.index ||
               (stored != node->second.disk.entries.end() && stored->second.ballot != Ballot() &&
                protocol_.meant_by(stored->second) == meant);
    };
    // Which membership was in force for the leader that committed it is the protocol's to know; one of them was.
    return std::any_of(memberships_.begin(), memberships_.end(),
                       [&](const Membership& membership) { return majority(membership, holds); }) ||
           std::any_of(nodes_.begin(), nodes_.end(), [&](const auto& node) {
               return node.second.log != nullptr && majority(node.second.log->status().membership, holds);
           });
}

// Election Safety, and Leader Completeness: what was committed up to some ballot is in the logs of all leaders of later ones. (A candidate
// that hears its votes late may become the leader of a ballot that is long over; it commits nothing.)
void GroupWorld::check_leader(const GroupNode& node) {
    const Status status = node.log->status();
    if (status.role != Status::Role::Leader) return;
    // It counts by this one from now on, though its entry may never reach a disk: one change less, all majorities overlap.
    if (!status.membership.voters.empty() && std::ranges::find(memberships_, status.membership) == memberships_.end()) {
        memberships_.push_back(status.membership);
    }
    const auto [leader, is_new] = leaders_.try_emplace(status.ballot, node.id);
    if (leader->second != node.id) violate("two leaders of ballot " + text_of(status.ballot));
    if (!is_new || !protocol_.logs_match) return;
    for (const auto& [index, entry] : decided_) {
        if (index <= node.disk.start.index || index <= node.applied.index) continue;
        if (decided_by_.at(index) >= status.ballot) continue;
        const auto stored = node.disk.entries.find(index);
        if (stored == node.disk.entries.end() || stored->second != entry) {
            return violate("leader of ballot " + text_of(status.ballot) + " lacks " + text_of(index));
        }
    }
}

void GroupWorld::send_snapshot(GroupNode& node, const NeedSnapshot& need) {
    if (node.applied.index < need.position) return violate("a snapshot is asked for that nobody can make");
    packets_.push_back({node.id, need.to, node.applied, node.membership});
    if (is_cut(node.id, need.to)) lose(packets_.size() - 1);
}

void GroupWorld::install_snapshot(GroupNode& node, const GroupPacket& packet) {
    const LogPosition position = std::get<LogPosition>(packet.content);
    if (position.index <= node.applied.index) return;
    node.disk.applied = node.applied = position;
    node.disk.membership = node.membership = packet.membership;
    std::erase_if(node.to_apply, [&](const Entry& entry) { return entry.index <= position.index; });
    node.delivered = std::max(node.delivered, position);
    step(node, SnapshotInstalled{position, packet.membership});
}

void GroupWorld::end(RequestId id, const GroupNode& node, Ending ending, Why why, LogIndex index) {
    const auto found = requests_.find(id);
    if (found == requests_.end()) return violate("an unknown request ended: " + std::to_string(id));
    GroupRequest& request = found->second;
    if (request.node != node.id) violate("request " + std::to_string(id) + " ended on another node");
    if (request.ending != Ending::Open) violate("request " + std::to_string(id) + " ended twice");
    request.ending = ending;
    request.why = why;
    request.index = index;
    if (ending == Ending::ReadReady && index < request.must_cover) {
        violate("a stale read: " + text_of(index) + ", but " + text_of(request.must_cover) + " was delivered before");
    }
}

void GroupWorld::violate(const std::string& what) {
    if (violation_.empty()) violation_ = what;
}

}  // namespace polis::consensus
