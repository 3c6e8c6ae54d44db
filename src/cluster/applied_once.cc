#include "cluster/applied_once.h"

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
            origin.applied.insert(origin.applied.end(), sequence);
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
    if (!origin.applied.insert(sequence).second) return false;
    if (outstanding_from > origin.outstanding_from) {
        origin.outstanding_from = outstanding_from;
        origin.applied.erase(origin.applied.begin(), origin.applied.lower_bound(outstanding_from));
    }
    changed_.insert(node);
    return true;
}

void AppliedOnce::save(storage::Overlay& state) {
    for (const NodeId node : changed_) {
        const Origin& origin = origins_[node];
        OctetWriter out;
        out.varint(origin.outstanding_from);
        uint64_t previous = origin.outstanding_from;
        for (const uint64_t sequence : origin.applied) {
            out.varint(sequence - previous);
            previous = sequence;
        }
        state.put(origin_row(node), out.str());
    }
    changed_.clear();
}

}  // namespace polis::cluster
