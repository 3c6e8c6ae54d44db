#include "cluster/node_liveness.h"

#include <algorithm>
#include <utility>

namespace polis::cluster {

void NodeLiveness::watch(NodeId node, Instant now) {
    nodes_.try_emplace(node, Node{PhiDetector(options_.phi), now, true});
}

bool NodeLiveness::heard(NodeId node, Instant now) {
    const auto place = nodes_.find(node);
    if (place == nodes_.end()) return false;
    place->second.detector.heard(now);
    place->second.silent_since = now;
    return !std::exchange(place->second.alive, true);
}

bool NodeLiveness::lost(NodeId node) {
    const auto place = nodes_.find(node);
    if (place == nodes_.end()) return false;
    place->second.detector.restarted();
    return std::exchange(place->second.alive, false);
}

std::vector<NodeId> NodeLiveness::newly_silent(Instant now) {
    std::vector<NodeId> silent;
    for (auto& [id, node] : nodes_) {
        if (!node.alive || now < node.silent_since + options_.dead_after) continue;
        node.alive = false;
        silent.push_back(id);
    }
    return silent;
}

Instant NodeLiveness::next_deadline() const {
    Instant next = Instant::never();
    for (const auto& [id, node] : nodes_) {
        if (node.alive) next = std::min(next, node.silent_since + options_.dead_after);
    }
    return next;
}

bool NodeLiveness::is_alive(NodeId node) const {
    const auto place = nodes_.find(node);
    return place != nodes_.end() && place->second.alive;
}

const PhiDetector* NodeLiveness::detector(NodeId node) const {
    const auto place = nodes_.find(node);
    return place == nodes_.end() ? nullptr : &place->second.detector;
}

std::optional<Instant> NodeLiveness::last_heard(NodeId node) const {
    const PhiDetector* one = detector(node);
    return one == nullptr ? std::nullopt : one->last_heard();
}

}  // namespace polis::cluster
