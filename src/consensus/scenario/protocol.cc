// Protocol: the list of those that are tested.
#include "consensus/scenario/protocol.h"

#include <array>

#include "consensus/raft/raft.h"

namespace polis::consensus {

std::span<const Protocol> protocols() {
    static constexpr std::array all{
        Protocol{.name = "raft", .make = make_raft},
    };
    return all;
}

}  // namespace polis::consensus
