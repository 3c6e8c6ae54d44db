// polis bench: puts load on an etcd-speaking cluster, ours or etcd's own, and measures it.
#include <CLI/App.hpp>
#include <CLI/Validators.hpp>
#include <cstdio>
#include <memory>

#include "cli/bench_load.h"

namespace polis::cli {
namespace {

runtime::Task<void> run_workload(BenchWorld& world, Account& account) {
    const std::string& workload = world.load().workload;
    if (workload == "watch") co_return co_await run_watches(world, account);
    if (workload == "watch-idle") co_return co_await hold_watches(world, account);
    if (workload == "lease") co_return co_await run_leases(world, account);
    co_return co_await run_calls(world, account);
}

runtime::Task<void> run_and_disconnect(BenchWorld& world, Account& account) {
    const Result<void> ended = co_await run_workload(world, account);
    CO_TRY(co_await world.stop_clients());
    co_return ended;
}

int bench(const Globals& globals, const Load& load) {
    BenchWorld world(globals, load);
    Account account;
    const Result<void> ready = world.make_clients();
    if (!ready) return failed(ready.error());
    const Result<void> ended = runtime::run(world.reactor(), run_and_disconnect(world, account));
    if (!ended) return failed(ended.error());
    if ((load.seconds > 0 || load.calls > 0) && load.workload != "watch-idle") account.print(load, globals.json());
    if (account.errors() == 0) return ExitCode::Ok;
    std::fprintf(stderr, "first error: %s\n", account.first_error().c_str());
    return ExitCode::Failed;
}

void add_options(CLI::App& bench, Load& load) {
    bench.add_option("workload", load.workload, "put, get, get-serializable, range, watch, watch-idle or lease")
        ->required()
        ->check(CLI::IsMember({"put", "get", "get-serializable", "range", "watch", "watch-idle", "lease"}));
    bench.add_option("--connections", load.connections, "TCP connections, spread over the endpoints")
        ->check(CLI::Range(1, 20'000));
    bench.add_option("--inflight", load.inflight, "Calls, or streams, under way on each connection")
        ->check(CLI::Range(1, 10'000));
    bench.add_option("--watches-per-stream", load.watches_per_stream, "Watches on each stream")
        ->check(CLI::Range(1, 100'000));
    bench.add_option("--seconds", load.seconds, "How long to measure")->check(CLI::NonNegativeNumber);
    bench.add_option("--warmup", load.warmup_seconds, "Seconds before that")->check(CLI::NonNegativeNumber);
    bench.add_option("--calls", load.calls, "Make so many puts or reads instead, without warming up");
    bench
        .add_option("--rate", load.rate,
                    "Calls (watch: changes) a second, all together; 0: as fast as they come back (watch: the next "
                    "change when all have seen the last)")
        ->check(CLI::NonNegativeNumber);
    bench.add_option("--value-bytes", load.value_bytes, "Size of a value")->check(CLI::Range(0, 1 << 30));
    bench.add_option("--keys", load.keys, "How many different keys")->check(CLI::Range(1, 1 << 30));
    bench.add_option("--range-keys", load.range_keys, "Keys in a range")->check(CLI::Range(1, 1 << 30));
    bench.add_option("--key-prefix", load.prefix, "Where the keys lie");
    bench.add_flag("--sequential", load.sequential, "Puts take the keys in order");
    bench.add_flag("--prepared", load.prepared, "The keys to be read are there already (from a run with --seconds 0)");
}

}  // namespace

void add_bench_commands(CLI::App& app, const Globals& globals, int& exit_code) {
    const auto load = std::make_shared<Load>();
    CLI::App* command =
        app.add_subcommand("bench", "Put load on the endpoints and measure it (any server of etcd's API)");
    add_options(*command, *load);
    command->callback([&globals, &exit_code, load] { exit_code = bench(globals, *load); });
}

}  // namespace polis::cli
