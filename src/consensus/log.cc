// Names of what the contract of consensus enumerates.
#include "consensus/log.h"

namespace polis::consensus {

std::string_view name_of(Why why) {
    switch (why) {
        case Why::NoLeader: return "NoLeader";
        case Why::NotLeader: return "NotLeader";
        case Why::Overloaded: return "Overloaded";
        case Why::NoSpace: return "NoSpace";
        case Why::StaleBallot: return "StaleBallot";
        case Why::Busy: return "Busy";
        case Why::Invalid: return "Invalid";
        case Why::Lagging: return "Lagging";
        case Why::Removed: return "Removed";
    }
    return "unknown";
}

}  // namespace polis::consensus
