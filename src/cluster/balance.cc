#include "cluster/balance.h"

#include <tuple>

namespace polis::cluster {
namespace {

uint64_t count_of(const std::map<NodeId, uint64_t>& counts, NodeId node) {
    const auto place = counts.find(node);
    return place == counts.end() ? 0 : place->second;
}

}  // namespace

std::optional<LeaderMove> plan_move(const LeaderCandidate& self, const std::vector<LedGroup>& led,
                                    const std::map<NodeId, uint64_t>& counts) {
    const uint64_t own = count_of(counts, self.node);
    std::optional<LeaderMove> best;
    std::tuple<int64_t, uint64_t, GroupId, NodeId> best_rank;
    for (const LedGroup& group : led) {
        for (const LeaderCandidate& candidate : group.able) {
            const uint64_t theirs = count_of(counts, candidate.node);
            const bool better = candidate.priority > self.priority;
            const bool evener = candidate.priority == self.priority && theirs + 2 <= own;
            if (!better && !evener) continue;
            const std::tuple rank(-static_cast<int64_t>(candidate.priority), theirs, group.group, candidate.node);
            if (best && best_rank <= rank) continue;
            best = LeaderMove{group.group, candidate.node};
            best_rank = rank;
        }
    }
    return best;
}

}  // namespace polis::cluster
