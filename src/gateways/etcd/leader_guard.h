// LeaderGuard: ends the streams that asked for a leader when this node has been without one for too long.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "base/list.h"
#include "runtime/reactor.h"
#include "runtime/scope.h"

namespace polis::gateways {

/// Looks once an election timeout whether there is a leader, for as long as any stream cares. After three looks without one
/// it cancels the streams, so that their clients turn to another node (etcd: metadata "hasleader").
/// Reconnecting costs more than waiting, hence the patience. One reactor. REQUIRES: outlives every Stay.
class LeaderGuard {
public:
    static constexpr uint32_t misses_max = 3;

    LeaderGuard(runtime::Reactor& reactor, std::function<bool()> has_leader, Duration election_timeout);

    /// One stream under guard. Its work must run in `scope()`.
    class Stay : public Linked<Stay> {
    public:
        Stay(LeaderGuard& guard, runtime::Scope& parent);
        runtime::Scope& scope() { return scope_; }
        /// True if the stream was ended for want of a leader.
        bool evicted() const { return evicted_; }

    private:
        friend class LeaderGuard;
        runtime::Scope scope_;
        bool evicted_ = false;
    };

private:
    void look();

    runtime::Reactor& reactor_;
    std::function<bool()> has_leader_;
    Duration election_timeout_;
    std::unique_ptr<runtime::Alarm> alarm_;  // Set if and only if watching_.
    bool watching_ = false;
    uint32_t misses_ = 0;  // Looks in a row that found no leader.
    List<Stay, Stay> stays_;
};

}  // namespace polis::gateways
