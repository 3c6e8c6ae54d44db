// The Watch service: one coord watch stream a client stream, read and written side by side.
#include "gateways/etcd/serve.h"
#include "gateways/etcd/watch_message.h"
#include "runtime/task_group.h"
#include "runtime/wait.h"

namespace polis::gateways {
namespace {

using runtime::Task;
using services::Credentials;

/// Sends what the watchers have, one message at a time, so that a slow reader holds back nobody but itself. However it ends, it
/// ends `reading` too.
Task<void> send_messages(Backend& backend, rpc::Call& call, services::WatchStream& watchers, runtime::Scope& reading) {
    for (;;) {
        Result<services::WatchMessage> message = co_await watchers.next();
        if (!message) break;
        Bytes octets = encode_watch_message(*std::move(message), backend.coord.header());
        const Result<void> written = co_await call.write(std::move(octets));
        if (!written) {
            if (written.error().code != Code::Canceled) ++backend.counts.watch_send_failures;
            break;
        }
    }
    reading.cancel();
    co_return runtime::done();
}

/// Hands the client's requests to the watchers until the client ends the call. That a client has finished sending does not end
/// its watches (etcd), so that a one-shot HTTP request can watch.
Task<rpc::Status> receive_requests(Backend& backend, rpc::Call& call, services::WatchStream& watchers) {
    for (;;) {
        Result<std::optional<Bytes>> octets = co_await call.read();
        if (!octets) {
            if (octets.error().code != Code::Canceled) ++backend.counts.watch_receive_failures;
            co_return status_of_error(octets.error());
        }
        if (!*octets) break;
        pb::WatchRequest request;
        if (!decode(**octets, request)) {
            ++backend.counts.watch_receive_failures;
            co_return status_of(Complaint::UndecodableRequest);
        }
        watchers.request(request);
    }
    runtime::Completion<void> canceled;
    const Result<void> ended = co_await canceled.wait();
    ENSURE(!ended);  // Nobody completes it: only the scope's end does.
    co_return status_of_error(ended.error());
}

Task<rpc::Status> watch(Backend& backend, rpc::Call& call, Credentials who) {
    const runtime::Context here = co_await runtime::this_context();
    const std::unique_ptr<services::WatchStream> watchers = backend.coord.watch(who);
    runtime::Scope reading(*here.scope);
    runtime::TaskGroup sender(*here.reactor);
    sender.spawn("etcd_watch_send", send_messages(backend, call, *watchers, reading));
    auto receiver = receive_requests(backend, call, *watchers);
    Result<rpc::Status> status = co_await in_scope(reading, std::move(receiver));
    const Result<void> stopped = co_await sender.stop();
    ENSURE(stopped.has_value());
    co_return status;
}

}  // namespace

void register_watch(Backend& backend, rpc::Routes& routes) {
    stream(routes, backend, "/etcdserverpb.Watch/Watch", false, watch);
}

}  // namespace polis::gateways
