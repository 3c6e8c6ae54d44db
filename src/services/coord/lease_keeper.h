// LeaseKeeper: the leader's soft half of leases: when each is due, who renewed, which expire now.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/time.h"
#include "services/coord/lease_table.h"

namespace polis::services {

/// Deadlines in memory, on the node that leads only. Pure: told the time.
///
/// A deadline is never moved forward: a new leader, and one that was stopped for a while, gives every lease its whole
/// term anew, so that nobody loses a lease for a delay that was ours.
class LeaseKeeper {
public:
    /// This node leads from now on: every lease has its whole term before it.
    void lead(const LeaseTable& table, Instant now);
    void stop_leading();
    bool leading() const { return leading_; }

    void granted(int64_t id, const LeaseTable& table, Instant now);
    void removed(int64_t id);

    /// Gives the lease its whole term and returns it, in seconds; absent if there is no such lease, or it is being revoked.
    std::optional<int64_t> renew(int64_t id, Instant now);
    /// Whole seconds until it is due, at least 0; absent if there is no such lease.
    std::optional<int64_t> remaining(int64_t id, Instant now) const;

    /// The process stood still for `pause`: every deadline moves back by as much.
    void forgive(Duration pause);

    /// Up to `count_max` leases that are due; they count as being revoked until removed() or retry().
    std::vector<int64_t> take_due(Instant now, size_t count_max);
    /// The revocation did not come about: it is due again at `when`.
    void retry(int64_t id, Instant when);

    size_t size() const { return leases_.size(); }

private:
    struct Lease {
        Duration term;
        Instant due;
        bool revoking = false;
    };

    void set_due(int64_t id, Lease& lease, Instant due);

    bool leading_ = false;
    std::map<int64_t, Lease> leases_;
    std::set<std::pair<Instant, int64_t>> order_;  // Of those not being revoked.
};

}  // namespace polis::services
