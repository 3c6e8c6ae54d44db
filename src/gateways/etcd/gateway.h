// EtcdGateway: makes a node an etcd 3.6 to its clients, over gRPC and over HTTP.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cluster/api.h"
#include "gateways/etcd/metrics.h"
#include "rpc/server.h"
#include "runtime/world.h"
#include "services/coord/api.h"

namespace polis::gateways {

/// Names, defaults and meaning are etcd 3.6's where it has the option; the flag is given.
struct EtcdGatewayOptions {
    // ---- Limits: may change while the gateway serves (EtcdGateway::reconfigure) ----
    uint64_t request_bytes_max = 1536u << 10;  // --max-request-bytes; of one write.
    /// Calls that took longer are logged, with where their time went; zero: none. etcd warns of applies after as long.
    Duration slow_request = std::chrono::milliseconds(100);

    // ---- Fixed from the start ----
    Duration election_timeout = std::chrono::milliseconds(1000);  // --election-timeout
    bool certificate_identity = false;  // --client-cert-auth: a client certificate's CN names a user.
    bool json = true;                   // --enable-grpc-gateway
    /// Origins of web pages that may use the HTTP side ("https://console.example:8443"); "*" admits all (--cors, whose default
    /// is "*"). Here the default is none: a page that a user happens to visit must not write into the store on loopback.
    std::vector<std::string> allowed_origins = {};
    /// Ends when this node's state includes all that was acknowledged before: Replica::read_barrier of coord's group. Used by
    /// /health and /readyz, which must work without a user's password. Empty: a linearizable read is tried instead.
    std::function<runtime::Task<void>()> read_barrier = {};
    MetricsSource metrics = {};
};

/// Translates etcd's protocols into calls of coord and the cluster; decides nothing itself. One reactor.
///
/// Lifecycle: construct, register_routes, serve (rpc::Server), stop the server, stop this, destroy.
class EtcdGateway {
public:
    /// REQUIRES: `coord` and `cluster` outlive it; it outlives the servers that use the routes.
    EtcdGateway(runtime::World world, services::Coord& coord, cluster::Cluster& cluster, EtcdGatewayOptions options);
    ~EtcdGateway();
    EtcdGateway(const EtcdGateway&) = delete;
    EtcdGateway& operator=(const EtcdGateway&) = delete;

    /// Registers every gRPC method and HTTP path of README.md's table. `routes` may hold others' too; reflection and the JSON side
    /// see those that are there when they are asked. REQUIRES: `routes` outlives this.
    void register_routes(rpc::Routes& routes);

    /// From now on the limits among `options` hold; the rest stays as it was.
    void reconfigure(const EtcdGatewayOptions& options);

    /// What grpc.health.v1.Health answers from now on; false before a node goes down, so that clients leave in time.
    void set_serving(bool serving);

    /// Cancels the work it does beside calls (giving back locks of clients that went away) and waits for its end.
    runtime::Task<void> stop();

private:
    struct Parts;
    std::unique_ptr<Parts> parts_;
};

}  // namespace polis::gateways
