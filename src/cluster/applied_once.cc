#include "cluster/applied_once.h"

#include <algorithm>
#include <utility>

#include "base/octets.h"
#include "cluster/replica_keys.h"

namespace polis::cluster {

Result<AppliedOnce> AppliedOnce::load(const storage::Store& store) {
    AppliedOnce table;
    const auto cursor = store.cursor(origin_rows());
    for (cursor->seek(origin_rows().first); cursor->valid(); cursor->next()) {
        OctetReader key(cursor->key().substr(origin_rows().first.size()));
        const NodeId node{key.number<uint64_t>()};
        OctetReader in(cursor->value());
        Origin& origin = table.origins_[node];
        origin.outstanding_from = in.varint();
        uint64_t sequence = origin.outstanding_from;
        while (in.ok() && !in.at_end()) {
            sequence += in.varint();
            origin.applied.push_back(sequence);
        }
        if (!in.ok() || !key.ok()) return fail(Code::Corrupt, "the table of applied commands is damaged");
    }
    TRY(cursor->status());
    return table;
}

bool AppliedOnce::admit(NodeId node, uint64_t sequence, uint64_t outstanding_from) {
    if (node == NodeId::Nobody) return true;
    Origin& origin = origins_[node];
    if (sequence < origin.outstanding_from) return false;
    const auto place = std::ranges::lower_bound(origin.applied, sequence);
    if (place != origin.applied.end() && *place == sequence) return false;
    origin.applied.insert(place, sequence);
    if (outstanding_from > origin.outstanding_from) {
        origin.outstanding_from = outstanding_from;
        while (!origin.applied.empty() && origin.applied.front() < outstanding_from) origin.applied.pop_front();
    }
    origin.changed = true;
    return true;
}

void AppliedOnce::save(storage::Overlay& state) {
    for (auto& [node, origin] : origins_) {
        if (!std::exchange(origin.changed, false)) continue;
        OctetWriter out;
        out.varint(origin.outstanding_from);
        uint64_t previous = origin.outstanding_from;
        for (const uint64_t sequence : origin.applied) {
            out.varint(sequence - previous);
            previous = sequence;
        }
        state.put(origin_row(node), out.str());
    }
}

}  // namespace polis::cluster
