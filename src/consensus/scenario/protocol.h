// Protocol: what the stories, the random schedules and their checks must know of a protocol of consensus.
#pragma once

#include <memory>
#include <ostream>
#include <span>
#include <string_view>

#include "consensus/log.h"

namespace polis::consensus {

/// One way to make participants. All are put through the same stories and the same schedules.
struct Protocol {
    std::string_view name;                    // As scripts and the option cluster.consensus say it.
    std::unique_ptr<Log> (*make)(Options){};  // Before its first input.

    friend std::ostream& operator<<(std::ostream& out, const Protocol& protocol) { return out << protocol.name; }
};

/// All that there are. A new protocol adds its line to protocol.cc, and to src/layers.txt.
std::span<const Protocol> protocols();

}  // namespace polis::consensus
