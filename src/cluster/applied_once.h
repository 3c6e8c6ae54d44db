// AppliedOnce: which commands of each origin have been applied, so that a retried or forwarded one is applied once.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/id.h"
#include "base/result.h"
#include "storage/kv/overlay.h"

namespace polis::cluster {

/// Part of the replicated state: same commands, same answers on every node. An origin numbers its commands upwards and says with each from
/// which number on it still waits for answers; what lies below is forgotten and never applied again.
///
/// Bounded by the number of commands that origins have outstanding. Stored beside the model's state, in the same batch.
class AppliedOnce {
public:
    /// Reads what `save` wrote. Errors: Corrupt.
    static Result<AppliedOnce> load(const storage::Store& store);

    /// True if the command is new and must be applied now; false if it was applied before (or its origin has given it up).
    /// Commands of nobody (origin Nobody) are always new.
    bool admit(NodeId origin, uint64_t sequence, uint64_t outstanding_from);

    /// Writes the origins that changed since the last save.
    void save(storage::Overlay& state);

private:
    struct Origin {
        uint64_t outstanding_from = 0;  // Everything below is settled.
        std::deque<uint64_t> applied;   // At or above outstanding_from, rising. A new one is nearly always the last.
        bool changed = false;           // Since the last save.
    };
    std::map<NodeId, Origin> origins_;
};

}  // namespace polis::cluster
