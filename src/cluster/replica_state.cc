#include "cluster/replica_state.h"

#include "base/octets.h"
#include "cluster/replica_keys.h"

namespace polis::cluster {

namespace {

Result<AppliedState> decode_applied_state(const std::optional<std::string>& row) {
    if (!row) return AppliedState{};
    OctetReader in(*row);
    AppliedState state;
    state.position.index = LogIndex(in.number<uint64_t>());
    state.position.ballot.epoch = in.number<uint64_t>();
    state.position.ballot.node = NodeId{in.number<uint64_t>()};
    if (!in.ok()) return fail(Code::Corrupt, "the applied row of the store is cut short");
    LET(state.membership, consensus::decode_membership(in.rest()));
    return state;
}

}  // namespace

Result<AppliedState> load_applied_state(const storage::Store& store) {
    LET(const std::optional<std::string> row, store.get(applied_row()));
    return decode_applied_state(row);
}

Result<AppliedState> load_applied_state(const storage::View& view) {
    LET(const std::optional<std::string> row, view.get(applied_row()));
    return decode_applied_state(row);
}

void save_applied_state(const AppliedState& state, storage::Overlay& into) {
    OctetWriter out;
    out.number(state.position.index.value);
    out.number(state.position.ballot.epoch);
    out.number(number_of(state.position.ballot.node));
    out.octets(consensus::encode(state.membership));
    into.put(applied_row(), out.str());
}

}  // namespace polis::cluster
