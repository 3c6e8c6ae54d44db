// What the workloads of polis bench share: what was asked for, the connections, and the account of what came back.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "cli/bench_histogram.h"
#include "cli/command.h"
#include "runtime/epoll_reactor.h"
#include "runtime/posix_disk.h"
#include "runtime/system_random.h"
#include "runtime/task_group.h"
#include "runtime/tcp_network.h"
#include "runtime/thread_pool.h"

namespace polis::cli {

/// The command's arguments.
struct Load {
    std::string workload;
    int connections = 64;
    int inflight = 1;  // Calls, or streams, under way on each connection.
    int watches_per_stream = 1;
    double seconds = 10;
    double warmup_seconds = 1;
    double rate = 0;     // Calls (watch: changes) a second of all together; 0: as fast as they come back.
    uint64_t calls = 0;  // Ends after so many calls, without a warm-up; 0: after `seconds`.
    int value_bytes = 256;
    int keys = 10'000;
    int range_keys = 1000;
    std::string prefix = "bench/";
    bool sequential = false;  // Keys in order, each once a round, instead of by chance.
    bool prepared = false;

    /// How many workers call side by side.
    int workers() const { return connections * inflight; }
};

Duration seconds_of(double seconds);

/// What came back, and what it cost this process. Latencies count only between begin and end; `answered_all` counts also
/// what was answered while warming up, so that a server's processor time over the whole run can be divided by it.
class Account {
public:
    /// Sets the window in which latencies count.
    void open(Instant begin, Instant end) {
        begin_ = begin;
        end_ = end;
    }
    Instant begin() const { return begin_; }
    Instant end() const { return end_; }
    /// Ends the window now: the load was one of a number of calls, or was cut short.
    void close(Instant now) { end_ = std::min(end_, now); }

    /// An answer came: `latency` is counted from when the call was due.
    void answered(Instant due, Instant now) {
        ++answered_all_;
        if (now >= begin_ && now < end_) latencies_.add(now - due);
    }
    void failed(const std::string& why) {
        if (errors_++ == 0) first_error_ = why;
    }

    uint64_t answered_all() const { return answered_all_; }
    uint64_t errors() const { return errors_; }
    const std::string& first_error() const { return first_error_; }

    /// Prints the figures as one line of JSON, or for people.
    void print(const Load& load, bool as_json) const;

    double own_cpu_seconds = 0;  // Of this process, between begin and end.

private:
    Histogram latencies_;
    Instant begin_, end_;
    uint64_t answered_all_ = 0;
    uint64_t errors_ = 0;
    std::string first_error_;
};

/// The world of one run: a reactor, and `connections` clients spread over the endpoints. One thread.
class BenchWorld {
public:
    BenchWorld(const Globals& globals, const Load& load);

    /// Connects nothing yet: clients connect with their first call. Errors: Invalid for an endpoint that is no address.
    Result<void> make_clients();
    runtime::Task<void> stop_clients();

    rpc::Client& client(int worker) { return *clients_[static_cast<size_t>(worker) % clients_.size()]; }
    runtime::EpollReactor& reactor() { return reactor_; }
    const rpc::Metadata& credentials() const { return credentials_; }
    const Load& load() const { return load_; }

    /// Sleeps through the window and accounts for this process's processor time in it.
    runtime::Task<void> observe(Account& account);

private:
    const Globals& globals_;
    const Load& load_;
    rpc::Metadata credentials_;
    runtime::EpollReactor reactor_;
    runtime::TcpNetwork network_;
    Result<std::unique_ptr<runtime::PosixDisk>> disk_;
    runtime::SystemRandom random_;
    runtime::ThreadPool pool_;
    runtime::World world_;
    std::vector<std::unique_ptr<rpc::Client>> clients_;
};

/// "prefix" + eight digits or more.
std::string bench_key(const Load& load, uint64_t number);
/// Why a call did not succeed; nothing if it did.
std::optional<std::string> failure_of(const Result<rpc::Outcome>& outcome);

/// put, get, get-serializable, range: unary calls by `load.workers()` workers.
runtime::Task<void> run_calls(BenchWorld& world, Account& account);
/// watch: one writer, and watchers that each see every change; a latency is the time from the write's being due to the event.
runtime::Task<void> run_watches(BenchWorld& world, Account& account);
/// watch-idle: watches of keys that nobody writes; prints a line when they stand, then holds them for `load.seconds`.
runtime::Task<void> hold_watches(BenchWorld& world, Account& account);
/// lease: each worker grants itself a lease and keeps it alive over a stream, one request after the other.
runtime::Task<void> run_leases(BenchWorld& world, Account& account);

}  // namespace polis::cli
