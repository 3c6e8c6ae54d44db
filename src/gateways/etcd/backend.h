// Backend: what all handlers of the gateway work with.
#pragma once

#include <string>
#include <utility>

#include "cluster/api.h"
#include "gateways/etcd/gateway.h"
#include "gateways/etcd/leader_guard.h"
#include "gateways/etcd/session.h"
#include "gateways/etcd/slow_log.h"
#include "runtime/task_group.h"
#include "runtime/wait.h"
#include "runtime/world.h"
#include "services/coord/api.h"

namespace polis::gateways {

namespace pb = ::etcdserverpb;

/// Counters that nobody below the gateway could keep.
struct GatewayCounts {
    uint64_t health_successes = 0, health_failures = 0;
    uint64_t watch_receive_failures = 0, watch_send_failures = 0, lease_receive_failures = 0, lease_send_failures = 0;
    uint64_t leases_granted = 0, leases_revoked = 0, leases_renewed = 0;
    uint64_t snapshots_sent = 0;
};

/// Lives as long as the gateway, on its reactor; handlers hold it by reference.
struct Backend {
    Backend(runtime::World outside, services::Coord& coordination, cluster::Cluster& members,
            EtcdGatewayOptions settings)
        : world(outside),
          coord(coordination),
          cluster(members),
          options(std::move(settings)),
          admission(cluster, world.reactor,
                    {.certificate_identity = options.certificate_identity,
                     .notes_phases = options.slow_request > Duration(0),
                     .trace_seed = world.random.next()}),
          slow_log(options.slow_request),
          leader_guard(
              world.reactor, [this] { return admission.has_leader(); }, options.election_timeout),
          cleanups(world.reactor) {}

    /// As etcd gives a request (5 s and two election timeouts), for what the gateway asks on nobody's behalf.
    Duration request_timeout() const { return std::chrono::seconds(5) + 2 * options.election_timeout; }

    runtime::World world;
    services::Coord& coord;
    cluster::Cluster& cluster;
    EtcdGatewayOptions options;
    Admission admission;
    SlowLog slow_log;
    LeaderGuard leader_guard;
    GatewayCounts counts;
    bool serving = true;              // What the health service says ...
    runtime::Signal serving_changed;  // ... and that it has changed.
    runtime::TaskGroup cleanups;      // Undoing what cancelled calls had begun.
};

/// Each registers the methods of one or two services. REQUIRES: `backend` outlives `routes`' use.
void register_kv(Backend& backend, rpc::Routes& routes);
void register_watch(Backend& backend, rpc::Routes& routes);
void register_lease(Backend& backend, rpc::Routes& routes);
void register_cluster(Backend& backend, rpc::Routes& routes);
void register_maintenance(Backend& backend, rpc::Routes& routes);
void register_auth(Backend& backend, rpc::Routes& routes);
void register_lock(Backend& backend, rpc::Routes& routes);
void register_election(Backend& backend, rpc::Routes& routes);
void register_health(Backend& backend, rpc::Routes& routes);
void register_reflection(rpc::Routes& routes);
void register_json(Backend& backend, rpc::Routes& routes);
void register_http(Backend& backend, rpc::Routes& routes);

}  // namespace polis::gateways
