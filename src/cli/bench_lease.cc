// polis bench lease: leases kept alive, each over a stream of its own.
#include "cli/bench_load.h"
#include "codec/etcd/rpc.pb.h"

namespace polis::cli {
namespace {

using etcdserverpb::LeaseGrantRequest;
using etcdserverpb::LeaseGrantResponse;
using etcdserverpb::LeaseKeepAliveRequest;
using etcdserverpb::LeaseKeepAliveResponse;

constexpr int64_t ttl_seconds = 60;

runtime::Task<int64_t> grant(rpc::Client& client, const rpc::Metadata& credentials) {
    LeaseGrantRequest request;
    request.set_ttl(ttl_seconds);
    Bytes octets = Bytes::take(request.SerializeAsString());
    const auto outcome = co_await client.call("/etcdserverpb.Lease/LeaseGrant", std::move(octets), credentials);
    if (const auto why = failure_of(outcome)) co_return fail(Code::Unavailable, *why);
    LeaseGrantResponse answer;
    if (!answer.ParseFromArray(outcome->message.data(), static_cast<int>(outcome->message.size()))) {
        co_return fail(Code::Unavailable, "the answer to LeaseGrant cannot be read");
    }
    co_return answer.id();
}

// One request and its answer. Errors: Unavailable if the stream ends or the lease is gone.
runtime::Task<void> keep_alive(rpc::ClientStream& stream, int64_t lease) {
    LeaseKeepAliveRequest request;
    request.set_id(lease);
    CO_TRY(co_await stream.write(Bytes::take(request.SerializeAsString())));
    CO_LET(const std::optional<Bytes> message, co_await stream.read());
    if (!message) co_return fail(Code::Unavailable, "a stream of renewals ended: " + stream.status().message);
    LeaseKeepAliveResponse answer;
    if (!answer.ParseFromArray(message->data(), static_cast<int>(message->size())) || answer.ttl() <= 0) {
        co_return fail(Code::Unavailable, "a lease that is kept alive is gone");
    }
    co_return runtime::done();
}

runtime::Task<void> work(BenchWorld& world, Account& account, int worker) {
    const Load& load = world.load();
    const auto lease = co_await grant(world.client(worker), world.credentials());
    if (!lease) {
        account.failed(lease.error().what);
        co_return std::unexpected(lease.error());
    }
    const std::string method = "/etcdserverpb.Lease/LeaseKeepAlive";
    CO_LET(const auto stream, co_await world.client(worker).open(method, world.credentials()));
    const Duration pace = load.rate > 0 ? seconds_of(load.workers() / load.rate) : Duration(0);
    Instant due = world.reactor().now();
    while (world.reactor().now() < account.end()) {
        if (pace > Duration(0)) {
            CO_TRY(co_await runtime::sleep_until(due));
        } else {
            due = world.reactor().fresh_now();
        }
        const Result<void> renewed = co_await keep_alive(*stream, *lease);
        if (!renewed) {
            account.failed(renewed.error().what);
            co_return renewed;
        }
        account.answered(due, world.reactor().fresh_now());
        due = due + pace;
    }
    co_return co_await stream->finish();
}

}  // namespace

runtime::Task<void> run_leases(BenchWorld& world, Account& account) {
    runtime::TaskGroup workers(world.reactor());
    runtime::TaskGroup observer(world.reactor());
    const Instant begin = world.reactor().fresh_now() + seconds_of(world.load().warmup_seconds);
    account.open(begin, begin + seconds_of(world.load().seconds));
    observer.spawn("observe", world.observe(account));
    for (int i = 0; i < world.load().workers(); ++i) workers.spawn("load", work(world, account, i));
    CO_TRY(co_await workers.join());
    co_return co_await observer.stop();
}

}  // namespace polis::cli
