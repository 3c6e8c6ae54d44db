// NodeLiveness: which of the other nodes are there, told from everything that they say to this one.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "base/id.h"
#include "base/time.h"
#include "cluster/phi_detector.h"

namespace polis::cluster {

struct NodeLivenessOptions {
    Duration dead_after = std::chrono::milliseconds(250);  // Of silence: from then on its leaders are not waited for.
    PhiOptions phi;
};

/// Liveness is a fact of a pair of nodes, not of a group: one sign of life stands for all that the other node leads. Two opinions are kept
/// of each node. `alive` is sharp and errs on the side of death: it ends with a silence of `dead_after` or with the connection; what it wakes
/// then costs little. `phi` is the judgement over time, for people and for decisions that may wait. A value; pure.
class NodeLiveness {
public:
    explicit NodeLiveness(NodeLivenessOptions options) : options_(options) {}

    /// A node to keep an eye on; taken for alive until it has had its time to speak. Nothing if it is known.
    void watch(NodeId node, Instant now);
    void forget(NodeId node) { nodes_.erase(node); }

    /// Something came. True if the node was not taken for alive before. Nodes that are not watched are nobody's.
    bool heard(NodeId node, Instant now);
    /// Its connection ended: the process may be gone. True if it was taken for alive before.
    bool lost(NodeId node);
    /// Those whose time has run out; each is told once.
    std::vector<NodeId> newly_silent(Instant now);
    /// When newly_silent may have something to tell; never if nobody is alive.
    Instant next_deadline() const;

    bool is_alive(NodeId node) const;
    /// Null for a node that is not watched.
    const PhiDetector* detector(NodeId node) const;
    std::optional<Instant> last_heard(NodeId node) const;

private:
    struct Node {
        PhiDetector detector;
        Instant silent_since;  // Heard last, or watched since.
        bool alive = true;
    };
    NodeLivenessOptions options_;
    std::map<NodeId, Node> nodes_;
};

}  // namespace polis::cluster
