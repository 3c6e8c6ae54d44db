#include "cli/bench_load.h"

#include <sys/resource.h>

#include <cinttypes>
#include <cstdio>

namespace polis::cli {
namespace {

double cpu_seconds() {
    struct rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    const auto seconds = [](const timeval& time) {
        return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

}  // namespace

Duration seconds_of(double seconds) {
    return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

std::string bench_key(const Load& load, uint64_t number) {
    char digits[24];
    std::snprintf(digits, sizeof digits, "%08" PRIu64, number);
    return load.prefix + digits;
}

std::optional<std::string> failure_of(const Result<rpc::Outcome>& outcome) {
    if (!outcome) return outcome.error().what;
    if (!outcome->status.ok()) return outcome->status.message;
    return std::nullopt;
}

void Account::print(const Load& load, bool as_json) const {
    const double seconds = std::chrono::duration<double>(end_ - begin_).count();
    const auto counted = static_cast<double>(latencies_.total());
    const double rate = seconds > 0 ? counted / seconds : 0;
    const double own_us = counted > 0 ? own_cpu_seconds * 1e6 / counted : 0;
    const double own_share = seconds > 0 ? own_cpu_seconds / seconds : 0;
    if (as_json) {
        std::printf("{\"workload\":\"%s\",\"connections\":%d,\"inflight\":%d,\"calls\":%" PRIu64
                    ",\"answered_all\":%" PRIu64 ",\"errors\":%" PRIu64 ",\"seconds\":%.3f,",
                    load.workload.c_str(), load.connections, load.inflight, latencies_.total(), answered_all_, errors_,
                    seconds);
        std::printf(
            "\"per_second\":%.1f,\"p50_us\":%.1f,\"p90_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,"
            "\"max_us\":%.1f,\"own_cpu_us\":%.3f,\"own_cpu_share\":%.3f}\n",
            rate, latencies_.quantile_us(0.5), latencies_.quantile_us(0.9), latencies_.quantile_us(0.99),
            latencies_.quantile_us(0.999), latencies_.maximum_us(), own_us, own_share);
        return;
    }
    std::printf("%s: %d connections x %d: %.0f/s, p50 %.0f us, p90 %.0f, p99 %.0f, p99.9 %.0f, max %.0f; %" PRIu64
                " errors; polis bench itself used %.2f us of CPU each, %.0f %% of one core\n",
                load.workload.c_str(), load.connections, load.inflight, rate, latencies_.quantile_us(0.5),
                latencies_.quantile_us(0.9), latencies_.quantile_us(0.99), latencies_.quantile_us(0.999),
                latencies_.maximum_us(), errors_, own_us, own_share * 100);
}

BenchWorld::BenchWorld(const Globals& globals, const Load& load)
    : globals_(globals),
      load_(load),
      network_(reactor_),
      disk_(runtime::PosixDisk::open_root("/", {.threads = 1, .spin_max = Duration(0)})),
      pool_(1),
      world_{reactor_, network_, **disk_, random_, pool_} {}

Result<void> BenchWorld::make_clients() {
    LET(credentials_, credentials_of(globals_));
    for (int i = 0; i < load_.connections; ++i) {
        const std::string& endpoint = globals_.endpoints[static_cast<size_t>(i) % globals_.endpoints.size()];
        LET(rpc::ClientOptions options, client_options_of(globals_, endpoint));
        clients_.push_back(rpc::Client::create(world_, std::move(options)));
    }
    return {};
}

runtime::Task<void> BenchWorld::stop_clients() {
    for (auto& client : clients_) CO_TRY(co_await client->stop());
    co_return runtime::done();
}

runtime::Task<void> BenchWorld::observe(Account& account) {
    CO_TRY(co_await runtime::sleep_until(account.begin()));
    const double before = cpu_seconds();
    const Result<void> slept = co_await runtime::sleep_until(account.end());
    // Cancelled: the load has done its number of calls.
    account.close(reactor_.fresh_now());
    account.own_cpu_seconds = cpu_seconds() - before;
    co_return slept;
}

}  // namespace polis::cli
