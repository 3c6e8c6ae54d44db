#include "gateways/etcd/serve.h"

namespace polis::gateways {
namespace {

using runtime::Task;

Task<rpc::Status> serve_stream(Backend& backend, rpc::Call& call, bool learner_may, StreamBody body) {
    const Answer<Caller> caller = backend.admission.admit(call, CallKind::Stream, learner_may);
    if (!caller) co_return caller.error();

    const runtime::Context here = co_await runtime::this_context();
    std::optional<LeaderGuard::Stay> stay;
    if (caller->requires_leader) stay.emplace(backend.leader_guard, *here.scope);
    runtime::Scope& scope = stay ? stay->scope() : *here.scope;
    auto work = body(backend, call, caller->credentials);
    Result<rpc::Status> status = co_await in_scope(scope, std::move(work));
    if (stay && stay->evicted()) co_return status_of(Complaint::NoLeader);
    if (!status) co_return status_of_error(status.error());
    co_return *std::move(status);
}

}  // namespace

void stream(rpc::Routes& routes, Backend& backend, std::string name, bool learner_may, StreamBody body) {
    routes.stream(std::move(name), [&backend, learner_may, body](rpc::Call& call) {
        return serve_stream(backend, call, learner_may, body);
    });
}

}  // namespace polis::gateways
