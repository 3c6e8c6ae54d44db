// LeaseKeeper: the leader's soft half of leases: when each is due, who renewed, which expire now, whose remaining time to note.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/time.h"
#include "services/coord/lease_table.h"

namespace polis::services {

/// Deadlines in memory, on the node that leads only. Pure: told the time.
///
/// A deadline is never moved forward: a new leader gives every lease its whole term anew, or what was last noted of it in
/// the log, which is never less than its holder can count on; and a leader that was stopped for a while gives back the pause.
///
/// Invariant: a lease whose remaining time may be in the log, or on its way there, is_noted(). Before such a lease is
/// renewed the note must be taken away, or the next leader would end it too early.
class LeaseKeeper {
public:
    /// `checkpoint_interval`: how long the time that is left of a lease may stay unnoted; zero: for ever.
    explicit LeaseKeeper(Duration checkpoint_interval = Duration(0)) : checkpoint_interval_(checkpoint_interval) {}

    /// This node leads from now on.
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

    /// What is left of a lease, in whole seconds, rounded up.
    struct Remaining {
        int64_t id;
        int64_t seconds;
    };
    /// Up to `count_max` leases whose remaining time should go into the log now; from now on they are noted.
    std::vector<Remaining> take_checkpoints(Instant now, size_t count_max);
    bool is_noted(int64_t id) const;
    /// Whether the log holds a note of it, or may. Nothing if there is no such lease.
    void set_noted(int64_t id, bool noted);

    size_t size() const { return leases_.size(); }

private:
    struct Lease {
        Duration term;
        Instant due;
        Instant checkpoint = Instant::never();  // When its remaining time is to be noted.
        bool revoking = false;
        bool noted = false;
    };
    using Order = std::set<std::pair<Instant, int64_t>>;

    /// Takes the lease out of both orders, or puts it there.
    void unlist(int64_t id, const Lease& lease);
    void list(int64_t id, const Lease& lease);
    void set_due(int64_t id, Lease& lease, Instant due);
    /// Noted after the interval, if it lives longer than that.
    Instant next_checkpoint(const Lease& lease, Instant now) const;

    const Duration checkpoint_interval_;
    bool leading_ = false;
    std::unordered_map<int64_t, Lease> leases_;
    Order due_order_;         // Of those not being revoked.
    Order checkpoint_order_;  // Of those with a checkpoint to come, likewise.
};

}  // namespace polis::services
