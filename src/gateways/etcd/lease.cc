// The Lease service.
#include "gateways/etcd/serve.h"

namespace polis::gateways {
namespace {

using runtime::Task;
using services::Credentials;

Task<Answer<pb::LeaseGrantResponse>> grant(Backend& backend, const Credentials& who, pb::LeaseGrantRequest request) {
    auto task = backend.coord.lease_grant(who, std::move(request));
    auto answer = answer_of(co_await task);
    if (answer) ++backend.counts.leases_granted;
    co_return answer;
}

Task<Answer<pb::LeaseRevokeResponse>> revoke(Backend& backend, const Credentials& who, pb::LeaseRevokeRequest request) {
    auto task = backend.coord.lease_revoke(who, std::move(request));
    auto answer = answer_of(co_await task);
    if (answer) ++backend.counts.leases_revoked;
    co_return answer;
}

/// Answers renewals in the order they come. A lease that is gone is answered with TTL 0 and the stream goes on; only what the
/// cluster refuses ends it.
Task<rpc::Status> keep_alive(Backend& backend, rpc::Call& call, Credentials who) {
    for (;;) {
        Result<std::optional<Bytes>> octets = co_await call.read();
        if (!octets) {
            if (octets.error().code != Code::Canceled) ++backend.counts.lease_receive_failures;
            co_return status_of_error(octets.error());
        }
        if (!*octets) co_return rpc::Status();
        pb::LeaseKeepAliveRequest request;
        if (!decode(**octets, request)) {
            ++backend.counts.lease_receive_failures;
            co_return status_of(Complaint::UndecodableRequest);
        }
        auto task = backend.coord.lease_keep_alive(who, std::move(request));
        const auto answer = answer_of(co_await task);
        if (!answer) co_return answer.error();
        if (answer->ttl() > 0) ++backend.counts.leases_renewed;
        const Result<void> written = co_await call.write(encode(*answer));
        if (!written) {
            if (written.error().code != Code::Canceled) ++backend.counts.lease_send_failures;
            co_return status_of_error(written.error());
        }
    }
}

}  // namespace

void register_lease(Backend& backend, rpc::Routes& routes) {
    unary<pb::LeaseGrantRequest>(routes, backend, "/etcdserverpb.Lease/LeaseGrant", Effect::Write,
                                 [](Backend& b, const Credentials& who, pb::LeaseGrantRequest request) {
                                     return grant(b, who, std::move(request));
                                 });
    unary<pb::LeaseRevokeRequest>(routes, backend, "/etcdserverpb.Lease/LeaseRevoke", Effect::Write,
                                  [](Backend& b, const Credentials& who, pb::LeaseRevokeRequest request) {
                                      return revoke(b, who, std::move(request));
                                  });
    unary<pb::LeaseTimeToLiveRequest>(routes, backend, "/etcdserverpb.Lease/LeaseTimeToLive", Effect::Read,
                                      [](Backend& b, const Credentials& who, pb::LeaseTimeToLiveRequest request) {
                                          return b.coord.lease_time_to_live(who, std::move(request));
                                      });
    unary<pb::LeaseLeasesRequest>(routes, backend, "/etcdserverpb.Lease/LeaseLeases", Effect::Read,
                                  [](Backend& b, const Credentials& who, pb::LeaseLeasesRequest request) {
                                      return b.coord.lease_leases(who, std::move(request));
                                  });
    stream(routes, backend, "/etcdserverpb.Lease/LeaseKeepAlive", false, keep_alive);
}

}  // namespace polis::gateways
