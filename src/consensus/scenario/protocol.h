// Protocol: what the stories, the random schedules and their checks must know of a protocol of consensus.
#pragma once

#include <memory>
#include <ostream>
#include <span>
#include <string_view>

#include "consensus/log.h"

namespace polis::consensus {

/// An entry on disk as it is delivered, and back. The same for protocols that store what they deliver.
inline Entry same_entry(const Entry& entry) { return entry; }

/// One way to make participants. All are put through the same stories and the same schedules.
struct Protocol {
    std::string_view name;                    // As scripts and the option cluster.consensus say it.
    std::unique_ptr<Log> (*make)(Options){};  // Before its first input.
    /// cluster.consensus takes it. One that is not finished is put through all stories, and the first of the random schedules only.
    bool is_offered = true;
    /// What is delivered for an entry on disk, once it is decided; and how an entry lies on disk that its ballot's leader made.
    Entry (*meant_by)(const Entry& stored) = same_entry;
    Entry (*stored)(const Entry& entry) = same_entry;
    /// Index and ballot of an entry on disk tell all entries before it, and a leader holds all that was decided before it led.
    bool logs_match = true;
    /// A damaged entry counts as accepted under the ballot of its position, so any one whole copy mends it. Otherwise it counts as unknown:
    /// what was damaged on two nodes must be known to be decided on a third.
    bool trusts_damaged_positions = true;
    /// What was decided may be delivered as a Noop, if it makes no sense without what was not.
    bool drops_orphans = false;

    friend std::ostream& operator<<(std::ostream& out, const Protocol& protocol) { return out << protocol.name; }
};

/// All that there are. A new protocol adds its line to protocol.cc, and to src/layers.txt.
std::span<const Protocol> protocols();

}  // namespace polis::consensus
