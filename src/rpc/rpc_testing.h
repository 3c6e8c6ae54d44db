// A server with its own thread, and a service that does what gRPC's interop cases ask for. For tests and benchmarks only.
#pragma once

#include <atomic>
#include <charconv>
#include <future>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "rpc/server.h"
#include "runtime/epoll_reactor.h"
#include "runtime/system_random.h"
#include "runtime/tcp_network.h"
#include "runtime/wait.h"

namespace polis::rpc::testing {

/// A disk and a pool for worlds in which neither is used: doing so is a bug of the code under test.
class NoDisk : public runtime::Disk {
public:
    runtime::Task<std::unique_ptr<runtime::File>> open(std::string, runtime::OpenMode) override { co_return none(); }
    runtime::Task<void> make_directories(std::string) override { co_return none(); }
    runtime::Task<std::vector<std::string>> list(std::string) override { co_return none(); }
    runtime::Task<void> rename(std::string, std::string) override { co_return none(); }
    runtime::Task<void> remove(std::string) override { co_return none(); }
    runtime::Task<void> sync_directory(std::string) override { co_return none(); }
    runtime::Task<uint64_t> free_bytes() override { co_return none(); }
    std::string root() const override { return {}; }

private:
    static std::unexpected<Error> none() { return fail(Code::Unavailable, "this world has no disk"); }
};

class NoPool : public runtime::Pool {
public:
    runtime::Task<void> run(std::function<void()>) override {
        co_return fail(Code::Unavailable, "this world has no pool");
    }
};

inline size_t number_in(std::string_view text) {
    size_t number = 0;
    std::from_chars(text.data(), text.data() + text.size(), number);
    return number;
}

/// Methods of /interop.Test; requests and answers are plain texts instead of protobuf.
class InteropService {
public:
    /// The handlers refer to this.
    void add_to(Routes& routes) {
        routes.unary("/interop.Test/Echo", [](Call&, Bytes request) { return echo(std::move(request)); });
        routes.unary("/interop.Test/Sized", [](Call&, Bytes request) { return sized(std::move(request)); });
        routes.unary("/interop.Test/Fail", [](Call&, Bytes request) { return fail_as_asked(std::move(request)); });
        routes.unary("/interop.Test/Sleep", [this](Call&, Bytes) { return sleep(*this); });
        routes.unary("/interop.Test/Metadata",
                     [](Call& call, Bytes request) { return echo_metadata(call, std::move(request)); });
        routes.stream("/interop.Test/Sum", [](Call& call) { return sum(call); });
        routes.stream("/interop.Test/Many", [](Call& call) { return many(call); });
        routes.stream("/interop.Test/PingPong", [this](Call& call) { return ping_pong(*this, call); });
        routes.stream("/interop.Test/Flood", [this](Call& call) { return flood(*this, call); });
        routes.stream("/interop.Test/Deaf", [this](Call& call) { return deaf(*this, call); });
        routes.http("/health", [](HttpExchange& exchange) { return health(exchange); });
        routes.http("/echo", [](HttpExchange& exchange) { return echo_body(exchange); });
        routes.http("/pieces/", [](HttpExchange& exchange) { return pieces(exchange); });
        routes.http("/slow", [this](HttpExchange& exchange) { return slow(*this, exchange); });
    }

    /// Handlers that ended because their scope was cancelled.
    std::atomic<int> cancelled = 0;
    std::atomic<int> running = 0;
    /// What Flood has had accepted.
    std::atomic<size_t> flooded_bytes = 0;

private:
    static runtime::Task<Outcome> echo(Bytes request) { co_return Outcome::of(std::move(request)); }

    // "N" or "N,padding": N octets.
    static runtime::Task<Outcome> sized(Bytes request) {
        co_return Outcome::of(Bytes::take(std::string(number_in(request), '\0')));
    }

    // "code message".
    static runtime::Task<Outcome> fail_as_asked(Bytes request) {
        const std::string_view text = request;
        const size_t space = text.find(' ');
        Status status{static_cast<StatusCode>(number_in(text)), std::string(text.substr(space + 1)), {}};
        if (status.message == "details") status.details = std::string("\x01\x00\xff", 3);
        co_return Outcome::of(std::move(status));
    }

    static runtime::Task<Outcome> sleep(InteropService& self) {
        ++self.running;
        Result<void> slept = co_await runtime::sleep_for(std::chrono::seconds(60));
        --self.running;
        if (!slept) ++self.cancelled;
        CO_TRY(std::move(slept));
        co_return Outcome();
    }

    static runtime::Task<Outcome> echo_metadata(Call& call, Bytes request) {
        if (const auto initial = call.metadata().find("x-grpc-test-echo-initial")) {
            call.initial_metadata().add("x-grpc-test-echo-initial", std::string(*initial));
        }
        if (const auto trailing = call.metadata().find("x-grpc-test-echo-trailing-bin")) {
            call.trailing_metadata().add("x-grpc-test-echo-trailing-bin", std::string(*trailing));
        }
        co_return Outcome::of(std::move(request));
    }

    static runtime::Task<Status> sum(Call& call) {
        size_t total = 0;
        for (;;) {
            CO_LET(const std::optional<Bytes> message, co_await call.read());
            if (!message) break;
            total += message->size();
        }
        CO_TRY(co_await call.write(Bytes::take(std::to_string(total))));
        co_return Status();
    }

    // "a,b,c": messages of that many octets.
    static runtime::Task<Status> many(Call& call) {
        CO_LET(const std::optional<Bytes> message, co_await call.read());
        std::string_view sizes = message ? message->view() : std::string_view();
        while (!sizes.empty()) {
            CO_TRY(co_await call.write(Bytes::take(std::string(number_in(sizes), '\0'))));
            const size_t comma = sizes.find(',');
            sizes.remove_prefix(comma == std::string_view::npos ? sizes.size() : comma + 1);
        }
        co_return Status();
    }

    static runtime::Task<Status> ping_pong(InteropService& self, Call& call) {
        ++self.running;
        Result<Status> status = co_await ping_pong_loop(call);
        --self.running;
        if (!status && status.error().code == Code::Canceled) ++self.cancelled;
        co_return status;
    }
    static runtime::Task<Status> ping_pong_loop(Call& call) {
        for (;;) {
            CO_LET(const std::optional<Bytes> message, co_await call.read());
            if (!message) co_return Status();
            CO_TRY(co_await call.write(Bytes::take(std::string(number_in(*message), '\0'))));
        }
    }

    // Writes for ever, 64 KiB a message.
    static runtime::Task<Status> flood(InteropService& self, Call& call) {
        for (;;) {
            CO_TRY(co_await call.write(Bytes::take(std::string(64u << 10, 'x'))));
            self.flooded_bytes += 64u << 10;
        }
    }

    // Never reads.
    static runtime::Task<Status> deaf(InteropService& self, Call&) {
        ++self.running;
        Result<void> slept = co_await runtime::sleep_for(std::chrono::seconds(60));
        --self.running;
        CO_TRY(std::move(slept));
        co_return Status();
    }

    static runtime::Task<void> health(HttpExchange& exchange) {
        Metadata headers;
        headers.add("content-type", "application/json");
        co_return co_await exchange.respond(200, std::move(headers), R"({"health":"true"})");
    }

    static runtime::Task<void> echo_body(HttpExchange& exchange) {
        Result<std::string> body = co_await exchange.read_body(1u << 20);
        const bool too_large = !body && body.error().code == Code::Invalid;
        if (too_large) co_return co_await exchange.respond(413, Metadata(), std::string());
        if (!body) co_return std::unexpected(body.error());
        co_return co_await exchange.respond(200, Metadata(), *std::move(body));
    }

    // "/pieces/N": N lines.
    static runtime::Task<void> pieces(HttpExchange& exchange) {
        const size_t count = number_in(std::string_view(exchange.request().path).substr(8));
        CO_TRY(co_await exchange.begin(200, Metadata()));
        for (size_t i = 0; i < count; ++i) {
            const std::string line = "line " + std::to_string(i) + "\n";
            CO_TRY(co_await exchange.write(line));
        }
        co_return co_await exchange.end();
    }

    static runtime::Task<void> slow(InteropService& self, HttpExchange& exchange) {
        ++self.running;
        Result<void> slept = co_await runtime::sleep_for(std::chrono::seconds(60));
        --self.running;
        if (!slept) ++self.cancelled;
        CO_TRY(std::move(slept));
        co_return co_await exchange.respond(200, Metadata(), "late");
    }
};

/// Serves `routes` on a free port of 127.0.0.1, on a thread of its own, from construction to destruction.
class ServerThread {
public:
    ServerThread(const Routes& routes, ServerOptions options,
                 std::shared_ptr<const runtime::TlsContext> tls = nullptr) {
        std::promise<uint16_t> port;
        std::future<uint16_t> known = port.get_future();
        thread_ = std::thread([this, &routes, options, tls, promise = std::move(port)]() mutable {
            runtime::EpollReactor reactor;
            runtime::TcpNetwork network(reactor);
            NoDisk disk;
            NoPool pool;
            runtime::SystemRandom random;
            const auto server = Server::create(runtime::World{reactor, network, disk, random, pool}, routes, options);
            auto listener = network.listen({"127.0.0.1", 0}, tls);
            ENSURE(listener.has_value());
            server_ = server.get();
            reactor_ = &reactor;
            promise.set_value((*listener)->address().port);
            runtime::TaskGroup group(reactor);
            group.spawn("serve", server->serve(*std::move(listener)));
            reactor.run();
            (void)runtime::run(reactor, server->stop());
            (void)runtime::run(reactor, group.stop());
        });
        port_ = known.get();
    }
    ~ServerThread() {
        reactor_->stop();
        thread_.join();
    }

    uint16_t port() const { return port_; }
    std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

    /// Runs `ask(server)` on the server's thread and returns its result.
    template <class Ask>
    auto on_server(Ask ask) {
        std::promise<decltype(ask(*server_))> answer;
        reactor_->post([&] { answer.set_value(ask(*server_)); });
        return answer.get_future().get();
    }
    runtime::EpollReactor& reactor() { return *reactor_; }
    Server& server() { return *server_; }

private:
    std::thread thread_;
    uint16_t port_ = 0;
    Server* server_ = nullptr;
    runtime::EpollReactor* reactor_ = nullptr;
};

}  // namespace polis::rpc::testing
