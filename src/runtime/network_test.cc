// Real sockets over loopback. TLS over them: tls_test.cc.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <vector>

#include "base/log.h"
#include "runtime/epoll_reactor.h"
#include "runtime/network_testing.h"
#include "runtime/stream_testing.h"
#include "runtime/task_group.h"
#include "runtime/wait.h"

namespace polis::runtime {
namespace {

using namespace std::chrono_literals;
using namespace testing;

// Too long a label for any name: refused by the system's resolver without asking a server.
const std::string unusable_name = std::string(70, 'x') + ".invalid";

class TcpNetwork : public ::testing::TestWithParam<Sockets> {
protected:
    std::unique_ptr<Listener> listen(const std::string& host = "127.0.0.1") {
        auto listener = network_.listen({host, 0}, nullptr);
        EXPECT_TRUE(listener.has_value()) << listener.error().what;
        return *std::move(listener);
    }
    Pair connected() {
        const auto listener = listen();
        auto pair = run(reactor_, connect_pair(network_, *listener));
        EXPECT_TRUE(pair.has_value()) << pair.error().what;
        return *std::move(pair);
    }

    EpollReactor reactor_;
    std::unique_ptr<Network> made_network_ = make_network(GetParam(), reactor_);
    Network& network_ = *made_network_;
};

Task<std::string> echo_through(Stream& client, Stream& server, std::string octets) {
    const Context here = co_await this_context();
    TaskGroup group(*here.reactor);
    group.spawn("echo", echo(server));
    group.spawn("write", [](Stream& to, std::string what) -> Task<void> {
        CO_TRY(co_await to.write(what));
        co_return co_await to.finish();
    }(client, octets));
    const Result<std::string> answer = co_await read_to_end(client);
    CO_TRY(co_await group.join());
    co_return answer;
}

TEST_P(TcpNetwork, CarriesOctetsBothWaysAndHalfClose) {
    auto [client, server] = connected();
    EXPECT_EQ(run(reactor_, echo_through(*client, *server, "hello")).value(), "hello");
}

TEST_P(TcpNetwork, CarriesMoreThanTheSocketBuffersHold) {
    auto [client, server] = connected();
    const std::string big = pattern(8u << 20);
    EXPECT_TRUE(run(reactor_, echo_through(*client, *server, big)).value() == big);
}

TEST_P(TcpNetwork, GathersManyPartsInOrder) {
    auto [client, server] = connected();
    std::vector<std::string_view> parts;
    std::string expected;
    for (int i = 0; i < 300; ++i) parts.push_back(i % 3 == 0 ? "" : i % 3 == 1 ? "ab" : "cde");
    for (const auto part : parts) expected += part;
    EXPECT_TRUE(run(reactor_, client->write(parts)));
    EXPECT_EQ(run(reactor_, read_exactly(*server, expected.size())).value(), expected);
}

TEST_P(TcpNetwork, WriterWaitsWhileTheReaderDoesNotRead) {
    auto [client, server] = connected();
    TaskGroup group(reactor_);
    const std::string big = pattern(16u << 20);
    group.spawn("write", write_all(*client, big));
    EXPECT_TRUE(run(reactor_, sleep_for(20ms)));
    EXPECT_EQ(group.running(), 1u);
    EXPECT_TRUE(run(reactor_, read_exactly(*server, big.size())).value() == big);
    EXPECT_TRUE(run(reactor_, group.join()));
}

// On threads nothing can be written at once: all is left to write().
TEST_P(TcpNetwork, WritesAtOnceNoMoreThanTheSocketTakes) {
    auto [client, server] = connected();
    const std::string big = pattern(64u << 20);
    size_t written = 0;
    for (size_t sent = 1; sent > 0 && written < big.size(); written += sent) {
        const std::string_view rest = std::string_view(big).substr(written);
        const std::string_view parts[] = {rest.substr(0, 10), rest.substr(10)};
        sent = server->try_write(parts).value_or(0);
    }
    EXPECT_LT(written, big.size());
    EXPECT_EQ(written > 10, GetParam() == Sockets::OnTheReactor);
    if (written > 0) {
        EXPECT_TRUE(run(reactor_, read_exactly(*client, written)).value() == big.substr(0, written));
    }
    EXPECT_EQ(server->try_write({}).value(), 0u);
}

TEST_P(TcpNetwork, CancelledReadLeavesTheStreamUsable) {
    auto [client, server] = connected();
    std::array<std::byte, 16> room;
    const auto cut = run(reactor_, with_deadline(reactor_.now() + 2ms, server->read_some(room)));
    ASSERT_FALSE(cut.has_value());
    EXPECT_EQ(cut.error().code, Code::Timeout);
    EXPECT_TRUE(run(reactor_, client->write("still here")));
    EXPECT_EQ(run(reactor_, read_exactly(*server, 10)).value(), "still here");
}

TEST_P(TcpNetwork, CancelledReadDoesNotDisturbAWriteOfTheSameStream) {
    auto [client, server] = connected();
    TaskGroup group(reactor_);
    const std::string big = pattern(8u << 20);
    std::optional<Result<void>> written;
    group.spawn("write", [](Stream& to, std::string_view what, std::optional<Result<void>>& result) -> Task<void> {
        result.emplace(co_await to.write(what));
        co_return done();
    }(*client, big, written));
    std::array<std::byte, 16> room;
    for (int i = 0; i < 3; ++i) {
        EXPECT_FALSE(run(reactor_, with_deadline(reactor_.now() + 1ms, client->read_some(room))).has_value());
    }
    EXPECT_FALSE(written.has_value());
    EXPECT_TRUE(run(reactor_, read_exactly(*server, big.size())).value() == big);
    EXPECT_TRUE(run(reactor_, group.join()));
    EXPECT_TRUE(written->has_value());
}

TEST_P(TcpNetwork, ReadInACancelledScopeEndsAtOnce) {
    auto [client, server] = connected();
    Scope scope;
    scope.cancel();
    std::array<std::byte, 16> room;
    EXPECT_EQ(run(reactor_, in_scope(scope, server->read_some(room))).error().code, Code::Canceled);
}

TEST_P(TcpNetwork, CloseEndsAReadUnderWay) {
    auto [client, server] = connected();
    reactor_.post([&stream = *server] { stream.close(); });
    std::array<std::byte, 16> room;
    EXPECT_EQ(run(reactor_, server->read_some(room)).error().code, Code::Io);
    EXPECT_EQ(run(reactor_, server->read_some(room)).error().code, Code::Io);
    EXPECT_EQ(run(reactor_, server->write("x")).error().code, Code::Io);
    EXPECT_EQ(run(reactor_, client->read_some(room)).value(), 0u);
}

TEST_P(TcpNetwork, CloseEndsAWriteUnderWay) {
    auto [client, server] = connected();
    reactor_.post([&stream = *client] { stream.close(); });
    EXPECT_EQ(run(reactor_, write_all(*client, pattern(16u << 20))).error().code, Code::Io);
}

TEST_P(TcpNetwork, WritingToAGonePeerIsAnError) {
    auto [client, server] = connected();
    server.reset();
    const auto insist = [](Stream& to) -> Task<void> {
        for (;;) CO_TRY(co_await to.write("anybody there?"));
    };
    EXPECT_EQ(run(reactor_, insist(*client)).error().code, Code::Io);
}

TEST_P(TcpNetwork, WhatWasWrittenBeforeDestructionStillArrives) {
    auto [client, server] = connected();
    const std::string octets = pattern(100'000);
    EXPECT_TRUE(run(reactor_, client->write(octets)));
    client.reset();
    EXPECT_TRUE(run(reactor_, read_to_end(*server)).value() == octets);
}

TEST_P(TcpNetwork, RefusedConnectionIsUnavailable) {
    Address closed = listen()->address();
    const auto stream = run(reactor_, network_.connect(closed, nullptr));
    ASSERT_FALSE(stream.has_value());
    EXPECT_EQ(stream.error().code, Code::Unavailable);
    EXPECT_NE(stream.error().what.find(to_string(closed)), std::string::npos) << stream.error().what;
}

TEST_P(TcpNetwork, UnknownNameIsUnavailable) {
    const auto stream = run(reactor_, network_.connect({unusable_name, 1}, nullptr));
    ASSERT_FALSE(stream.has_value());
    EXPECT_EQ(stream.error().code, Code::Unavailable);
}

TEST_P(TcpNetwork, ConnectsToAName) {
    const auto listener = listen();
    const auto stream = run(reactor_, network_.connect({"localhost", listener->address().port}, nullptr));
    ASSERT_TRUE(stream.has_value()) << stream.error().what;
    EXPECT_EQ((*stream)->peer().address.port, listener->address().port);
}

// A full backlog of one makes the kernel drop further SYNs, so the connect really hangs.
TEST_P(TcpNetwork, ConnectIsCutShortByADeadline) {
    const int port = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    auto where = numeric_address({"127.0.0.1", 0}).value();
    ASSERT_EQ(::bind(port, &where.any, where.bytes), 0);
    ASSERT_EQ(::listen(port, 0), 0);
    ASSERT_EQ(::getsockname(port, &where.any, &where.bytes), 0);
    std::vector<std::unique_ptr<Stream>> fillers;
    for (;;) {
        auto one = run(reactor_, with_deadline(reactor_.now() + 50ms, network_.connect(where.address(), nullptr)));
        if (!one) {
            EXPECT_EQ(one.error().code, Code::Timeout);
            break;
        }
        fillers.push_back(*std::move(one));
        ASSERT_LT(fillers.size(), 10u);
    }
    ::close(port);
}

TEST_P(TcpNetwork, CancelledAcceptLeavesTheListenerUsable) {
    const auto listener = listen();
    const auto cut = run(reactor_, with_deadline(reactor_.now() + 1ms, listener->accept()));
    EXPECT_EQ(cut.error().code, Code::Timeout);
    EXPECT_TRUE(run(reactor_, connect_pair(network_, *listener)));
}

TEST_P(TcpNetwork, PortThatIsTakenIsReported) {
    const auto listener = listen();
    const auto second = network_.listen(listener->address(), nullptr);
    ASSERT_FALSE(second.has_value());
    EXPECT_EQ(second.error().code, Code::Exists);
}

TEST_P(TcpNetwork, AddressOfAnotherMachineIsInvalid) {
    EXPECT_EQ(network_.listen({"192.0.2.1", 0}, nullptr).error().code, Code::Invalid);
    EXPECT_EQ(network_.listen({unusable_name, 0}, nullptr).error().code, Code::Invalid);
}

TEST_P(TcpNetwork, ServesIpv6Only) {
    const auto listener = listen("::1");
    EXPECT_EQ(listener->address().host, "::1");
    auto pair = run(reactor_, connect_pair(network_, *listener));
    ASSERT_TRUE(pair.has_value()) << pair.error().what;
    EXPECT_EQ(pair->server->peer().address.host, "::1");
    EXPECT_EQ(run(reactor_, echo_through(*pair->client, *pair->server, "six")).value(), "six");

    const auto any = listen("::");
    const auto as_v4 = run(reactor_, network_.connect({"127.0.0.1", any->address().port}, nullptr));
    EXPECT_EQ(as_v4.error().code, Code::Unavailable);
}

Task<void> ask_repeatedly(Network& network, Address address, int times) {
    CO_LET(auto stream, co_await network.connect(address, nullptr));
    for (int i = 0; i < times; ++i) {
        const std::string question = "question " + std::to_string(i);
        CO_LET(const std::string answer, co_await ask(*stream, question));
        if (answer != question) co_return fail(Code::Corrupt, answer);
    }
    co_return done();
}

TEST_P(TcpNetwork, ServesFiveHundredConnectionsAtOnce) {
    const auto listener = listen();
    TaskGroup servers(reactor_), clients(reactor_);
    servers.spawn("accept", serve_echo(*listener, servers));
    int succeeded = 0;
    const auto client = [](Network& network, Address address, int& count) -> Task<void> {
        CO_TRY(co_await ask_repeatedly(network, address, 20));
        ++count;
        co_return done();
    };
    for (int i = 0; i < 500; ++i) clients.spawn("client", client(network_, listener->address(), succeeded));
    EXPECT_TRUE(run(reactor_, clients.join()));
    EXPECT_EQ(succeeded, 500);
    EXPECT_TRUE(run(reactor_, servers.stop()));
}

std::atomic<int> starved_lines = 0;

TEST_P(TcpNetwork, AcceptOutlastsTheLackOfDescriptors) {
    starved_lines = 0;
    log::set_sink([](log::Level, std::string_view event, std::span<const log::Field>) {
        if (event == "accept_starved") ++starved_lines;
    });
    const auto listener = listen();
    TaskGroup servers(reactor_);
    servers.spawn("accept", serve_echo(*listener, servers));
    const auto client = run(reactor_, network_.connect(listener->address(), nullptr));
    ASSERT_TRUE(client.has_value());
    EXPECT_EQ(run(reactor_, ask(**client, "a")).value(), "a");

    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
    const int lowest_free = ::dup(0);
    ::close(lowest_free);
    // One descriptor is left, which the client takes.
    const rlimit tight{static_cast<rlim_t>(lowest_free) + 1, before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &tight), 0);
    const auto second = run(reactor_, network_.connect(listener->address(), nullptr));
    ASSERT_TRUE(second.has_value());
    EXPECT_TRUE(run(reactor_, sleep_for(250ms)));
    EXPECT_EQ(starved_lines, 1);
    EXPECT_EQ(run(reactor_, ask(**client, "b")).value(), "b");  // Others are served meanwhile.

    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
    EXPECT_EQ(run(reactor_, ask(**second, "c")).value(), "c");
    EXPECT_TRUE(run(reactor_, servers.stop()));
    log::set_sink(nullptr);
}

INSTANTIATE_TEST_SUITE_P(Network, TcpNetwork, ::testing::Values(Sockets::OnTheReactor, Sockets::OnThreads), name_of);

}  // namespace
}  // namespace polis::runtime
