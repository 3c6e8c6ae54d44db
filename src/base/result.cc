#include "base/result.h"

namespace polis {

std::string_view name_of(Code code) {
    switch (code) {
        case Code::Invalid: return "Invalid";
        case Code::NotFound: return "NotFound";
        case Code::Exists: return "Exists";
        case Code::Stale: return "Stale";
        case Code::NotLeader: return "NotLeader";
        case Code::Unavailable: return "Unavailable";
        case Code::Overloaded: return "Overloaded";
        case Code::NoSpace: return "NoSpace";
        case Code::Denied: return "Denied";
        case Code::Timeout: return "Timeout";
        case Code::Canceled: return "Canceled";
        case Code::Unknown: return "Unknown";
        case Code::Corrupt: return "Corrupt";
        case Code::Io: return "Io";
    }
    return "?";
}

}  // namespace polis
