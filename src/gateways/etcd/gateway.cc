#include "gateways/etcd/gateway.h"

#include "gateways/etcd/backend.h"

namespace polis::gateways {

struct EtcdGateway::Parts {
    Backend backend;
};

EtcdGateway::EtcdGateway(runtime::World world, services::Coord& coord, cluster::Cluster& cluster,
                         EtcdGatewayOptions options)
    : parts_(new Parts{.backend{world, coord, cluster, std::move(options)}}) {}

EtcdGateway::~EtcdGateway() = default;

void EtcdGateway::register_routes(rpc::Routes& routes) {
    Backend& backend = parts_->backend;
    register_kv(backend, routes);
    register_watch(backend, routes);
    register_lease(backend, routes);
    register_cluster(backend, routes);
    register_maintenance(backend, routes);
    register_auth(backend, routes);
    register_lock(backend, routes);
    register_election(backend, routes);
    register_health(backend, routes);
    register_reflection(routes);
    if (backend.options.json) register_json(backend, routes);
    register_http(backend, routes);
}

void EtcdGateway::reconfigure(const EtcdGatewayOptions& options) {
    Backend& backend = parts_->backend;
    backend.options.request_bytes_max = options.request_bytes_max;
    backend.options.slow_request = options.slow_request;
    backend.slow_log.set_threshold(options.slow_request);
    backend.admission.set_notes_phases(backend.slow_log.enabled());
}

void EtcdGateway::set_serving(bool serving) {
    parts_->backend.serving = serving;
    parts_->backend.serving_changed.notify_all();
}

runtime::Task<void> EtcdGateway::stop() { return parts_->backend.cleanups.stop(); }

}  // namespace polis::gateways
