// Measures the log on the real disk, under the directory of the environment's TMPDIR (or /tmp): a lone write's latency, and
// what many writers at once get through.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <filesystem>
#include <memory>

#include "runtime/epoll_reactor.h"
#include "runtime/posix_disk.h"
#include "storage/wal/wal.h"
#include "storage/wal/wal_fixture.h"

namespace polis::storage {
namespace {

using runtime::Task;

class RealLog {
public:
    explicit RealLog(Duration spin) : reactor({.spin = spin}) {
        std::string pattern = (std::filesystem::temp_directory_path() / "polis-wal-bench-XXXXXX").string();
        root_ = ::mkdtemp(pattern.data());
        disk_ = runtime::PosixDisk::open_root(root_, {.threads = 2, .spin_max = spin}).value();
        const runtime::World world{reactor, network_, *disk_, random_, pool_};
        wal = run(reactor, Wal::open(world, "wal", test_identity, {})).value().wal;
    }
    ~RealLog() {
        const bool closed = run(reactor, wal->close()).has_value();
        ENSURE(closed);
        wal.reset();
        disk_.reset();
        std::filesystem::remove_all(root_);
    }

    runtime::EpollReactor reactor;
    std::unique_ptr<Wal> wal;

private:
    NoNetwork network_;
    NoRandom random_;
    NoPool pool_;
    std::string root_;
    std::unique_ptr<runtime::PosixDisk> disk_;
};

// One writer: each write waits for the one before. `count` entries of 288 octets.
Task<void> write_in_turn(Wal& wal, GroupId group, uint64_t first, uint64_t count) {
    for (uint64_t i = first; i < first + count; ++i) {
        LogWrite write;
        write.entries.push_back(entry(i, 1, std::string(288, 'x')));
        CO_TRY(co_await wal.write(group, std::move(write)));
        if (i % 1000 == 0) wal.compact(group, position(i - 1, 1));
    }
    co_return runtime::done();
}

// Arguments: writers, microseconds of spinning. Time is that of one round of 200 writes by each writer.
void BM_Writers(benchmark::State& state) {
    constexpr uint64_t round = 200;
    RealLog log{std::chrono::microseconds(state.range(1))};
    uint64_t next = 1;
    for (auto _ : state) {
        runtime::TaskGroup tasks(log.reactor);
        for (uint32_t writer = 0; writer < state.range(0); ++writer) {
            tasks.spawn("writer", write_in_turn(*log.wal, GroupId{writer + 10}, next, round));
        }
        log.reactor.run_until([&tasks] { return tasks.running() == 0; });
        next += round;
    }
    const auto writes = static_cast<double>(round) * static_cast<double>(state.range(0) * state.iterations());
    state.counters["writes"] = benchmark::Counter(writes, benchmark::Counter::kIsRate);
    const auto rounds = static_cast<double>(round) * static_cast<double>(state.iterations());
    state.counters["seconds_each"] =
        benchmark::Counter(rounds, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK(BM_Writers)->Args({1, 0})->Args({1, 20})->Args({64, 0})->Args({64, 20})->Args({256, 20})->UseRealTime();

}  // namespace
}  // namespace polis::storage
