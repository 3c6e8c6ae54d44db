// The health service: whether this node wants to be used. As in etcd only the server as a whole has a state, under the empty name.
#include "gateways/etcd/health.pb.h"
#include "gateways/etcd/serve.h"

namespace polis::gateways {
namespace {

namespace hv1 = ::grpc::health::v1;
using runtime::Task;

hv1::HealthCheckResponse state_of(const Backend& backend) {
    hv1::HealthCheckResponse response;
    response.set_status(backend.serving ? hv1::HealthCheckResponse::SERVING : hv1::HealthCheckResponse::NOT_SERVING);
    return response;
}

// Not admitted like the others: a load balancer asks it of learners and without a leader too.
Task<rpc::Outcome> check(Backend& backend, Bytes octets) {
    hv1::HealthCheckRequest request;
    if (!decode(octets, request)) co_return rpc::Outcome::of(status_of(Complaint::UndecodableRequest));
    if (!request.service().empty()) co_return rpc::Outcome::of(status_of(Complaint::HealthServiceUnknown));
    co_return rpc::Outcome::of(encode(state_of(backend)));
}

/// Sends the state at once and whenever it has changed; of an unknown service, that it is unknown, once.
Task<rpc::Status> watch(Backend& backend, rpc::Call& call) {
    CO_LET(const std::optional<Bytes> octets, co_await call.read());
    hv1::HealthCheckRequest request;
    if (!octets || !decode(*octets, request)) co_return status_of(Complaint::UndecodableRequest);
    if (!request.service().empty()) {
        hv1::HealthCheckResponse unknown;
        unknown.set_status(hv1::HealthCheckResponse::SERVICE_UNKNOWN);
        CO_TRY(co_await call.write(encode(unknown)));
    }
    std::optional<bool> told;
    for (;;) {
        if (request.service().empty() && told != backend.serving) {
            told = backend.serving;
            CO_TRY(co_await call.write(encode(state_of(backend))));
            continue;  // It may have changed while the write waited.
        }
        CO_TRY(co_await backend.serving_changed.wait());
    }
}

}  // namespace

void register_health(Backend& backend, rpc::Routes& routes) {
    routes.unary("/grpc.health.v1.Health/Check",
                 [&backend](rpc::Call&, Bytes octets) { return check(backend, std::move(octets)); });
    routes.stream("/grpc.health.v1.Health/Watch", [&backend](rpc::Call& call) { return watch(backend, call); });
}

}  // namespace polis::gateways
