// What one request costs the reactor: an echo server on one thread, clients with plain blocking sockets on another. Reports the
// server thread's CPU time a request.
#include <benchmark/benchmark.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include <future>
#include <thread>
#include <vector>

#include "runtime/epoll_reactor.h"
#include "runtime/stream_testing.h"
#include "runtime/tcp_network.h"
#include "runtime/tcp_stream.h"

namespace polis::runtime {
namespace {

constexpr size_t request_bytes = 64;

// One request in flight on each of `connections`, from one thread over epoll: the generator must not be the limit.
class Generator {
public:
    Generator(const Address& to, int connections) : epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
        const SocketAddress address = numeric_address(to).value();
        for (int i = 0; i < connections; ++i) {
            const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
            set_loopback_options(socket);
            ENSURE(::connect(socket, &address.any, address.bytes) == 0);
            epoll_event event{.events = EPOLLIN, .data = {.fd = socket}};
            ENSURE(::epoll_ctl(epoll_, EPOLL_CTL_ADD, socket, &event) == 0);
            sockets_.push_back(socket);
        }
    }
    Generator(const Generator&) = delete;
    Generator& operator=(const Generator&) = delete;
    ~Generator() {
        for (const int socket : sockets_) ::close(socket);
        ::close(epoll_);
    }

    void run(size_t requests) {
        char request[request_bytes] = {};
        size_t sent = 0;
        size_t answered = 0;
        for (const int socket : sockets_) {
            ENSURE(::send(socket, request, sizeof(request), 0) == sizeof(request));
            ++sent;
        }
        epoll_event events[64];
        while (answered < sent) {
            const int count = ::epoll_wait(epoll_, events, 64, -1);
            for (int i = 0; i < count; ++i) {
                if (::recv(events[i].data.fd, request, sizeof(request), 0) <= 0) return;
                ++answered;
                if (sent >= requests) continue;
                ENSURE(::send(events[i].data.fd, request, sizeof(request), 0) == sizeof(request));
                ++sent;
            }
        }
    }

private:
    int epoll_;
    std::vector<int> sockets_;
};

double thread_cpu_seconds(pthread_t thread) {
    clockid_t clock = 0;
    ENSURE(pthread_getcpuclockid(thread, &clock) == 0);
    timespec time{};
    clock_gettime(clock, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

void serve(std::promise<Address> ready, std::promise<EpollReactor*> running, Duration spin) {
    EpollReactor reactor({.spin = spin});
    TcpNetwork network(reactor);
    const auto listener = network.listen({"127.0.0.1", 0}, nullptr).value();
    TaskGroup group(reactor);
    group.spawn("accept", testing::serve_echo(*listener, group));
    ready.set_value(listener->address());
    running.set_value(&reactor);
    reactor.run();
    group.scope().cancel();
    reactor.run_until([&group] { return group.running() == 0; });
}

void echo_requests(benchmark::State& state) {
    const int connections = static_cast<int>(state.range(0));
    const auto requests = static_cast<size_t>(state.range(1));
    std::promise<Address> ready;
    std::promise<EpollReactor*> running;
    auto address = ready.get_future();
    auto reactor = running.get_future();
    std::thread server(serve, std::move(ready), std::move(running), std::chrono::microseconds(state.range(2)));
    double cpu = 0;
    {
        Generator generator(address.get(), connections);
        generator.run(1000);
        for (auto _ : state) {
            const double before = thread_cpu_seconds(server.native_handle());
            generator.run(requests);
            cpu += thread_cpu_seconds(server.native_handle()) - before;
        }
    }
    reactor.get()->stop();
    server.join();
    const auto total = static_cast<double>(state.iterations()) * static_cast<double>(requests);
    state.counters["server_us_per_request"] = cpu * 1e6 / total;
    state.counters["requests_per_second"] = benchmark::Counter(total, benchmark::Counter::kIsRate);
}
BENCHMARK(echo_requests)
    ->ArgNames({"connections", "requests", "spin_us"})
    ->Args({64, 100'000, 0})
    ->Args({64, 100'000, 20})
    ->Args({1, 20'000, 0})
    ->Args({1, 20'000, 50})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

}  // namespace
}  // namespace polis::runtime
