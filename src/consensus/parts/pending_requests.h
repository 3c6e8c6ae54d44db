// PendingRequests: this node's own proposals whose fate is open.
#pragma once

#include <deque>
#include <vector>

#include "base/entry.h"
#include "consensus/log.h"
#include "consensus/parts/digest.h"

namespace polis::consensus {

/// Each proposal that was appended here ends when its slot is delivered, whoever leads by then.
///
/// That our entry was cut off does not mean that it did not happen: another node may still have it, be elected before any
/// newer entry is committed, and commit it (Ongaro 2014, Fig. 3.7). It surely did not happen once an entry of a higher
/// ballot is committed at or before its slot: all later leaders have that entry, and ballots never fall along a log.
class PendingRequests {
public:
    void add(LogPosition position, RequestId id) { appended_.push_back({position, id}); }

    /// Our log was cut from `index` on.
    void cut_from(LogIndex index);

    /// The request that `delivered` fulfils, or 0. Those that it rules out are moved to `rejected`.
    RequestId take(const LogPosition& delivered, std::vector<RequestId>& rejected);

    /// A snapshot covers everything up to `index`: the requests below it, whose fate stays unknown.
    std::vector<RequestId> jump_to(LogIndex index);

    bool empty() const { return appended_.empty() && cut_.empty(); }
    void add_to(Digest& digest) const;

private:
    struct Slot {
        LogPosition position;
        RequestId id;
    };
    std::deque<Slot> appended_;  // Ascending; all in our log.
    std::vector<Slot> cut_;      // No longer in our log, in no order. Seldom any.
};

}  // namespace polis::consensus
