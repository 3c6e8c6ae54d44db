// polis bench: puts load on an etcd-speaking cluster, ours or etcd's own, and measures it.
#include <CLI/App.hpp>
#include <CLI/Validators.hpp>
#include <algorithm>
#include <bit>
#include <cstdio>
#include <memory>
#include <vector>

#include "base/random.h"
#include "cli/command.h"
#include "codec/etcd/rpc.pb.h"
#include "runtime/asio_network.h"
#include "runtime/asio_reactor.h"
#include "runtime/posix_disk.h"
#include "runtime/system_random.h"
#include "runtime/task_group.h"
#include "runtime/thread_pool.h"

namespace polis::cli {
namespace {

using etcdserverpb::PutRequest;
using etcdserverpb::RangeRequest;

struct Load {
    std::string workload;
    int connections = 64;
    int inflight = 1;  // Calls under way on each connection.
    double seconds = 10;
    double warmup_seconds = 1;
    double rate = 0;  // Calls a second of all together; 0: as fast as they come back.
    int value_bytes = 256;
    int keys = 10'000;
    int range_keys = 1000;
    std::string prefix = "bench/";
    bool prepared = false;
};

/// Latencies in buckets of about 1.5 % width: 64 linear steps in each power of two, in nanoseconds.
class Histogram {
public:
    void add(Duration latency) {
        const auto value = static_cast<uint64_t>(std::max<int64_t>(latency.count(), 1));
        ++counts_[index_of(value)];
        ++total_;
        maximum_ = std::max(maximum_, value);
    }
    uint64_t total() const { return total_; }
    double maximum_us() const { return static_cast<double>(maximum_) / 1e3; }
    /// Upper edge of the bucket in which the share lies, in microseconds.
    double quantile_us(double share) const {
        const auto wanted = static_cast<uint64_t>(share * static_cast<double>(total_));
        uint64_t seen = 0;
        for (size_t i = 0; i < counts_.size(); ++i) {
            seen += counts_[i];
            if (seen > wanted) return static_cast<double>(upper_edge(i)) / 1e3;
        }
        return maximum_us();
    }

private:
    static constexpr int step_bits = 6;
    static size_t index_of(uint64_t value) {
        const int magnitude = std::max(0, static_cast<int>(std::bit_width(value)) - 1 - step_bits);
        return static_cast<size_t>(magnitude) * (1u << step_bits) + static_cast<size_t>(value >> magnitude);
    }
    static uint64_t upper_edge(size_t index) {
        if (index < (2u << step_bits)) return index + 1;
        const size_t magnitude = index / (1u << step_bits) - 1;
        const size_t step = index - magnitude * (1u << step_bits);
        return (step + 1) << magnitude;
    }
    std::vector<uint64_t> counts_ = std::vector<uint64_t>(64 * 64);
    uint64_t total_ = 0;
    uint64_t maximum_ = 0;
};

class Generator {
public:
    Generator(const Globals& globals, const Load& load)
        : globals_(globals),
          load_(load),
          network_(reactor_),
          disk_(runtime::PosixDisk::open_root("/", {.threads = 1, .spin_max = Duration(0)})),
          pool_(1),
          world_{reactor_, network_, **disk_, random_, pool_},
          value_(static_cast<size_t>(load.value_bytes), 'v') {}

    Result<void> run() { return runtime::run(reactor_, measure()); }

    void print() const {
        const double throughput = static_cast<double>(latencies_.total()) / measured_seconds_;
        if (globals_.json()) {
            std::printf(
                "{\"workload\":\"%s\",\"connections\":%d,\"inflight\":%d,\"calls\":%lu,\"errors\":%lu,\"seconds\":%.3f,"
                "\"per_second\":%.1f,\"p50_us\":%.1f,\"p90_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,\"max_us\":%.1f}"
                "\n",
                load_.workload.c_str(), load_.connections, load_.inflight, latencies_.total(), errors_,
                measured_seconds_, throughput, latencies_.quantile_us(0.5), latencies_.quantile_us(0.9),
                latencies_.quantile_us(0.99), latencies_.quantile_us(0.999), latencies_.maximum_us());
            return;
        }
        std::printf(
            "%s: %d connections x %d: %.0f/s, p50 %.0f us, p90 %.0f, p99 %.0f, p99.9 %.0f, max %.0f; %lu errors\n",
            load_.workload.c_str(), load_.connections, load_.inflight, throughput, latencies_.quantile_us(0.5),
            latencies_.quantile_us(0.9), latencies_.quantile_us(0.99), latencies_.quantile_us(0.999),
            latencies_.maximum_us(), errors_);
        if (errors_ > 0) std::printf("first error: %s\n", first_error_.c_str());
    }
    uint64_t errors() const { return errors_; }

private:
    runtime::Task<void> measure() {
        for (int i = 0; i < load_.connections; ++i) {
            const std::string& endpoint = globals_.endpoints[static_cast<size_t>(i) % globals_.endpoints.size()];
            CO_LET(const runtime::Address address, runtime::parse_address(endpoint));
            clients_.push_back(rpc::Client::create(world_, {.address = address, .tls = nullptr}));
        }
        const Result<void> ended = co_await load_and_measure();
        for (auto& client : clients_) CO_TRY(co_await client->stop());
        co_return ended;
    }

    runtime::Task<void> load_and_measure() {
        CO_TRY(co_await prepare());
        if (load_.seconds == 0) co_return runtime::done();
        runtime::TaskGroup workers(reactor_);
        begin_ = reactor_.now() + seconds_of(load_.warmup_seconds);
        end_ = begin_ + seconds_of(load_.seconds);
        for (int i = 0; i < load_.connections * load_.inflight; ++i) {
            workers.spawn("load",
                          work(*clients_[static_cast<size_t>(i % load_.connections)], static_cast<uint64_t>(i)));
        }
        CO_TRY(co_await workers.join());
        measured_seconds_ = std::chrono::duration<double>(end_ - begin_).count();
        co_return runtime::done();
    }

    // Reads need something to read.
    runtime::Task<void> prepare() {
        if (load_.workload == "put" || load_.prepared) co_return runtime::done();
        const int count = load_.workload == "range" ? load_.range_keys : std::min(load_.keys, 10'000);
        constexpr int writers_count = 64;
        runtime::TaskGroup writers(reactor_);
        for (int first = 0; first < writers_count; ++first)
            writers.spawn("prepare", write_keys(first, count, writers_count));
        CO_TRY(co_await writers.join());
        if (errors_ > 0) co_return fail(Code::Unavailable, first_error_);
        co_return runtime::done();
    }

    runtime::Task<void> write_keys(int first, int count, int step) {
        rpc::Client& client = *clients_[static_cast<size_t>(first) % clients_.size()];
        const std::string method = "/etcdserverpb.KV/Put";
        for (int i = first; i < count; i += step) {
            Bytes request = put_request(static_cast<uint64_t>(i));
            const Result<rpc::Outcome> outcome = co_await client.call(method, std::move(request));
            if (!outcome || !outcome->status.ok()) {
                if (errors_++ == 0) first_error_ = outcome ? outcome->status.message : outcome.error().what;
            }
        }
        co_return runtime::done();
    }

    runtime::Task<void> work(rpc::Client& client, uint64_t number) {
        Chance chance(number + 1);
        const bool writes = load_.workload == "put";
        const std::string method = writes ? "/etcdserverpb.KV/Put" : "/etcdserverpb.KV/Range";
        const auto workers = static_cast<double>(load_.connections * load_.inflight);
        const Duration pace = load_.rate > 0 ? seconds_of(workers / load_.rate) : Duration(0);
        Instant due =
            reactor_.now() + (pace > Duration(0)
                                  ? Duration(static_cast<int64_t>(chance.below(static_cast<uint64_t>(pace.count()))))
                                  : Duration(0));
        while (reactor_.now() < end_) {
            if (pace > Duration(0)) {
                CO_TRY(co_await runtime::sleep_until(due));
            } else {
                due = reactor_.fresh_now();
            }
            Bytes request =
                writes ? put_request(chance.below(static_cast<uint64_t>(load_.keys))) : read_request(chance);
            const Result<rpc::Outcome> outcome = co_await client.call(method, std::move(request));
            const Instant answered = reactor_.fresh_now();
            if (!outcome || !outcome->status.ok()) {
                if (errors_++ == 0) first_error_ = outcome ? outcome->status.message : outcome.error().what;
            } else if (answered >= begin_ && answered < end_) {
                // At a fixed rate the time since a call was due counts, or a stall would hide the calls it held up.
                latencies_.add(answered - due);
            }
            if (pace > Duration(0)) due = due + pace;
        }
        co_return runtime::done();
    }

    std::string key_of(uint64_t number) const {
        char digits[24];
        std::snprintf(digits, sizeof digits, "%08lu", static_cast<unsigned long>(number));
        return load_.prefix + digits;
    }
    Bytes put_request(uint64_t number) const {
        PutRequest request;
        request.set_key(key_of(number));
        request.set_value(value_);
        return Bytes::take(request.SerializeAsString());
    }
    Bytes read_request(Chance& chance) const {
        RangeRequest request;
        request.set_serializable(load_.workload == "get-serializable");
        if (load_.workload == "range") {
            request.set_key(key_of(0));
            request.set_range_end(key_of(static_cast<uint64_t>(load_.range_keys)));
        } else {
            request.set_key(key_of(chance.below(static_cast<uint64_t>(std::min(load_.keys, 10'000)))));
        }
        return Bytes::take(request.SerializeAsString());
    }
    static Duration seconds_of(double seconds) {
        return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
    }

    const Globals& globals_;
    const Load& load_;
    runtime::AsioReactor reactor_;
    runtime::AsioNetwork network_;
    Result<std::unique_ptr<runtime::PosixDisk>> disk_;
    runtime::SystemRandom random_;
    runtime::ThreadPool pool_;
    runtime::World world_;
    std::string value_;
    std::vector<std::unique_ptr<rpc::Client>> clients_;
    Histogram latencies_;
    uint64_t errors_ = 0;
    std::string first_error_;
    Instant begin_, end_;
    double measured_seconds_ = 1;
};

}  // namespace

void add_bench_commands(CLI::App& app, const Globals& globals, int& exit_code) {
    const auto load = std::make_shared<Load>();
    CLI::App* bench =
        app.add_subcommand("bench", "Put load on the endpoints and measure it (any server of etcd's API)");
    bench->add_option("workload", load->workload, "put, get, get-serializable or range")
        ->required()
        ->check(CLI::IsMember({"put", "get", "get-serializable", "range"}));
    bench->add_option("--connections", load->connections, "TCP connections, spread over the endpoints");
    bench->add_option("--inflight", load->inflight, "Calls under way on each connection");
    bench->add_option("--seconds", load->seconds, "How long to measure");
    bench->add_option("--warmup", load->warmup_seconds, "Seconds before that");
    bench->add_option("--rate", load->rate, "Calls a second, all together; 0: as fast as they come back");
    bench->add_option("--value-bytes", load->value_bytes, "Size of a value");
    bench->add_option("--keys", load->keys, "How many different keys");
    bench->add_option("--range-keys", load->range_keys, "Keys in a range");
    bench->add_option("--prefix", load->prefix, "Where the keys lie");
    bench->add_flag("--prepared", load->prepared,
                    "The keys to be read are there already (from a run with --seconds 0)");
    bench->callback([&globals, &exit_code, load] {
        Generator generator(globals, *load);
        const Result<void> ended = generator.run();
        if (!ended) {
            exit_code = failed(ended.error());
            return;
        }
        if (load->seconds > 0) generator.print();
        exit_code = generator.errors() > 0 ? ExitCode::Failed : ExitCode::Ok;
    });
}

}  // namespace polis::cli
