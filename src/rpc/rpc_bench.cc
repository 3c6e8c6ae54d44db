// What the server costs: CPU time of its thread for unary calls of 256 octets, and memory of idle streams and connections.
#include <benchmark/benchmark.h>
#include <malloc.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <memory>
#include <vector>

#include "rpc/client.h"
#include "rpc/rpc_testing.h"

namespace polis::rpc {
namespace {

Duration thread_cpu() {
    rusage usage{};
    getrusage(RUSAGE_THREAD, &usage);
    const auto of = [](const timeval& time) {
        return std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec);
    };
    return of(usage.ru_utime) + of(usage.ru_stime);
}

// The generator: clients on a reactor of their own, each one connection.
struct Load {
    explicit Load(uint16_t port, size_t connections) : network(reactor) {
        ClientOptions options;
        options.address = {"127.0.0.1", port};
        for (size_t i = 0; i < connections; ++i) {
            clients.push_back(Client::create(runtime::World{reactor, network, disk, random, pool}, options));
        }
    }
    ~Load() {
        for (const auto& client : clients) (void)runtime::run(reactor, client->stop());
    }

    runtime::EpollReactor reactor;
    runtime::TcpNetwork network;
    testing::NoDisk disk;
    testing::NoPool pool;
    runtime::SystemRandom random;
    std::vector<std::unique_ptr<Client>> clients;
};

runtime::Task<void> call_repeatedly(Client& client, Bytes request, size_t calls) {
    for (size_t i = 0; i < calls; ++i) {
        CO_LET(const Outcome outcome, co_await client.call("/interop.Test/Echo", request));
        ENSURE(outcome.status.ok() && outcome.message.size() == request.size());
    }
    co_return runtime::done();
}

// Arguments: connections, calls under way on each.
void UnaryEcho(benchmark::State& state) {
    constexpr size_t calls_per_task = 400;
    testing::InteropService service;
    Routes routes;
    service.add_to(routes);
    testing::ServerThread server(routes, {});
    Load load(server.port(), static_cast<size_t>(state.range(0)));
    const Bytes request = Bytes::take(std::string(256, 'x'));
    const auto server_cpu = [&] { return server.on_server([](Server&) { return thread_cpu(); }); };

    Duration spent{0};
    size_t calls = 0;
    for (auto _ : state) {
        const Duration before = server_cpu();
        runtime::TaskGroup group(load.reactor);
        for (const auto& client : load.clients) {
            for (int64_t i = 0; i < state.range(1); ++i) {
                group.spawn("load", call_repeatedly(*client, request, calls_per_task));
                calls += calls_per_task;
            }
        }
        (void)runtime::run(load.reactor, group.join());
        spent += server_cpu() - before;
    }
    state.SetItemsProcessed(static_cast<int64_t>(calls));
    state.counters["server_cpu_us_per_call"] =
        static_cast<double>(std::chrono::duration_cast<std::chrono::nanoseconds>(spent).count()) / 1e3 /
        static_cast<double>(calls);
}
BENCHMARK(UnaryEcho)->Args({64, 1})->Args({4, 64})->Args({1, 1})->UseRealTime()->Unit(benchmark::kMillisecond);

size_t allocated() { return mallinfo2().uordblks + mallinfo2().hblkhd; }

runtime::Task<void> open_streams(Client& client, size_t count, std::vector<std::unique_ptr<ClientStream>>& streams) {
    for (size_t i = 0; i < count; ++i) {
        CO_LET(std::unique_ptr<ClientStream> stream, co_await client.open("/interop.Test/PingPong"));
        CO_TRY(co_await stream->write(Bytes::forever("8")));
        CO_LET(const std::optional<Bytes> answer, co_await stream->read());
        ENSURE(answer.has_value());
        streams.push_back(std::move(stream));
    }
    co_return runtime::done();
}

// A process of its own: opens the streams, says so, and holds them until its input ends.
[[noreturn]] void be_client(uint16_t port, size_t connections, size_t streams_each, int said, int held) {
    {
        Load load(port, connections);
        std::vector<std::unique_ptr<ClientStream>> streams;
        for (const auto& client : load.clients) {
            (void)runtime::run(load.reactor, open_streams(*client, streams_each, streams));
        }
        char octet = 0;
        ENSURE(::write(said, &octet, 1) == 1);
        (void)::read(held, &octet, 1);
        streams.clear();
    }
    _exit(0);
}

// Octets of the server's heap for each open stream whose handler waits in read(), and for each connection. The clients are
// forked off, so that the heap is the server's alone.
void IdleStreams(benchmark::State& state) {
    testing::InteropService service;
    Routes routes;
    service.add_to(routes);
    for (auto _ : state) {
        runtime::EpollReactor reactor;
        runtime::TcpNetwork network(reactor);
        testing::NoDisk disk;
        testing::NoPool pool;
        runtime::SystemRandom random;
        const auto server = Server::create(runtime::World{reactor, network, disk, random, pool}, routes, {});
        auto listener = network.listen({"127.0.0.1", 0}, nullptr);
        const uint16_t port = (*listener)->address().port;
        const auto connections = static_cast<size_t>(state.range(0));
        const auto streams_each = static_cast<size_t>(state.range(1));
        int said[2];
        int held[2];
        ENSURE(pipe(said) == 0 && pipe(held) == 0);
        if (const pid_t child = fork(); child == 0) {
            close(held[1]);
            be_client(port, connections, streams_each, said[1], held[0]);
        }
        runtime::TaskGroup group(reactor);
        group.spawn("serve", server->serve(*std::move(listener)));
        std::atomic<bool> opened = false;
        const size_t before = allocated();
        std::thread listening([&] {
            char octet = 0;
            ENSURE(::read(said[0], &octet, 1) == 1);
            opened = true;
            reactor.post([] {});  // Wakes it up, to look at its condition.
        });
        reactor.run_until([&] { return opened.load(); });
        listening.join();
        const double bytes = static_cast<double>(allocated() - before);
        state.counters["bytes_per_stream"] = bytes / static_cast<double>(connections * streams_each);
        state.counters["bytes_per_connection"] = bytes / static_cast<double>(connections);
        for (const int end : {held[0], held[1], said[0], said[1]}) close(end);
        reactor.run_until([&] { return server->stats().connections_open == 0; });
        (void)wait(nullptr);
        (void)runtime::run(reactor, server->stop());
        (void)runtime::run(reactor, group.stop());
    }
}
BENCHMARK(IdleStreams)->Args({1, 20'000})->Args({500, 1})->Iterations(1)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace polis::rpc
