// polis bench put, get, get-serializable and range: unary calls, back to back or at a fixed rate.
#include "cli/bench_load.h"
#include "codec/etcd/rpc.pb.h"

namespace polis::cli {
namespace {

using etcdserverpb::PutRequest;
using etcdserverpb::RangeRequest;

constexpr int prepared_keys_max = 10'000;

class Calls {
public:
    Calls(BenchWorld& world, Account& account)
        : world_(world), load_(world.load()), account_(account), value_(static_cast<size_t>(load_.value_bytes), 'v') {}

    bool writes() const { return load_.workload == "put"; }

    // Reads need something to read.
    runtime::Task<void> prepare() {
        const int count = load_.workload == "range" ? load_.range_keys : std::min(load_.keys, prepared_keys_max);
        constexpr int writers_count = 64;
        runtime::TaskGroup writers(world_.reactor());
        for (int first = 0; first < writers_count; ++first)
            writers.spawn("prepare", write_keys(first, count, writers_count));
        CO_TRY(co_await writers.join());
        if (account_.errors() > 0) co_return fail(Code::Unavailable, account_.first_error());
        co_return runtime::done();
    }

    runtime::Task<void> measure() {
        runtime::TaskGroup workers(world_.reactor());
        runtime::TaskGroup observer(world_.reactor());
        const Instant now = world_.reactor().fresh_now();
        const Instant begin = load_.calls > 0 ? now : now + seconds_of(load_.warmup_seconds);
        account_.open(begin, load_.calls > 0 ? Instant::never() : begin + seconds_of(load_.seconds));
        observer.spawn("observe", world_.observe(account_));
        for (int i = 0; i < load_.workers(); ++i) workers.spawn("load", work(i));
        CO_TRY(co_await workers.join());
        co_return co_await observer.stop();
    }

private:
    runtime::Task<void> write_keys(int first, int count, int step) {
        const std::string method = "/etcdserverpb.KV/Put";
        for (int i = first; i < count; i += step) {
            Bytes request = put_request(static_cast<uint64_t>(i));
            const auto outcome = co_await world_.client(first).call(method, std::move(request), world_.credentials());
            if (const auto why = failure_of(outcome)) account_.failed(*why);
        }
        co_return runtime::done();
    }

    runtime::Task<void> work(int worker) {
        rpc::Client& client = world_.client(worker);
        Chance chance(static_cast<uint64_t>(worker) + 1);
        const std::string method = writes() ? "/etcdserverpb.KV/Put" : "/etcdserverpb.KV/Range";
        const Duration pace = load_.rate > 0 ? seconds_of(load_.workers() / load_.rate) : Duration(0);
        Instant due = world_.reactor().now();
        if (pace > Duration(0)) {
            due = due + Duration(static_cast<int64_t>(chance.below(static_cast<uint64_t>(pace.count()))));
        }
        while (goes_on()) {
            if (pace > Duration(0)) {
                CO_TRY(co_await runtime::sleep_until(due));
            } else {
                due = world_.reactor().fresh_now();
            }
            Bytes request = writes() ? put_request(next_key(chance)) : read_request(chance);
            const auto outcome = co_await client.call(method, std::move(request), world_.credentials());
            if (const auto why = failure_of(outcome)) {
                account_.failed(*why);
                // A node that is down refuses at once: without a pause this would be all that is done.
                if (pace == Duration(0)) CO_TRY(co_await runtime::sleep_for(std::chrono::milliseconds(1)));
            } else {
                // At a fixed rate the time since a call was due counts, or a stall would hide the calls it held up.
                account_.answered(due, world_.reactor().fresh_now());
            }
            if (pace > Duration(0)) due = due + pace;
        }
        co_return runtime::done();
    }

    bool goes_on() { return load_.calls > 0 ? begun_++ < load_.calls : world_.reactor().now() < account_.end(); }

    uint64_t next_key(Chance& chance) {
        const auto keys = static_cast<uint64_t>(load_.keys);
        return load_.sequential ? sequence_++ % keys : chance.below(keys);
    }
    Bytes put_request(uint64_t number) const {
        PutRequest request;
        request.set_key(bench_key(load_, number));
        request.set_value(value_);
        return Bytes::take(request.SerializeAsString());
    }
    Bytes read_request(Chance& chance) const {
        RangeRequest request;
        request.set_serializable(load_.workload == "get-serializable");
        if (load_.workload == "range") {
            request.set_key(bench_key(load_, 0));
            request.set_range_end(bench_key(load_, static_cast<uint64_t>(load_.range_keys)));
        } else {
            const int count = std::min(load_.keys, prepared_keys_max);
            request.set_key(bench_key(load_, chance.below(static_cast<uint64_t>(count))));
        }
        return Bytes::take(request.SerializeAsString());
    }

    BenchWorld& world_;
    const Load& load_;
    Account& account_;
    std::string value_;
    uint64_t begun_ = 0;     // Calls begun, when their number is given.
    uint64_t sequence_ = 0;  // Keys drawn, when they come in order.
};

}  // namespace

runtime::Task<void> run_calls(BenchWorld& world, Account& account) {
    Calls calls(world, account);
    if (!calls.writes() && !world.load().prepared) CO_TRY(co_await calls.prepare());
    if (world.load().seconds == 0 && world.load().calls == 0) co_return runtime::done();
    co_return co_await calls.measure();
}

}  // namespace polis::cli
