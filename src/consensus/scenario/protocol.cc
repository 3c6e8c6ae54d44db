// Protocol: the list of those that are tested.
#include "consensus/scenario/protocol.h"

#include <array>

#include "base/ensure.h"
#include "consensus/paxos/paxos.h"
#include "consensus/paxos/value.h"
#include "consensus/raft/raft.h"

namespace polis::consensus {
namespace {

Entry value_in(const Entry& stored) {
    std::optional<Entry> value = value_of(stored);
    ENSURE(value.has_value());
    return *std::move(value);
}

Entry with_own_origin(const Entry& entry) {
    return {entry.index, entry.ballot, entry.kind, with_origin(entry.payload, entry.ballot)};
}

}  // namespace

std::span<const Protocol> protocols() {
    static constexpr std::array all{
        Protocol{.name = "raft", .make = make_raft},
        Protocol{.name = "paxos",
                 .make = make_paxos,
                 .is_offered = false,
                 .meant_by = value_in,
                 .stored = with_own_origin,
                 .logs_match = false,
                 .trusts_damaged_positions = false,
                 .drops_orphans = true},
    };
    return all;
}

}  // namespace polis::consensus
