#include "runtime/sim_network.h"

#include <gtest/gtest.h>

#include <functional>

#include "base/random.h"
#include "runtime/stream_testing.h"
#include "runtime/wait.h"

namespace polis::runtime {
namespace {

using namespace std::chrono_literals;
using namespace testing;

// Two hosts, a and b; b listens.
class SimNetworkTest : public ::testing::Test {
protected:
    explicit SimNetworkTest(uint64_t seed = 1) : reactor_(seed), network_(reactor_, seed) {}

    Pair connected() {
        auto pair = run(reactor_, connect_pair(network_.host("a"), *listener_));
        EXPECT_TRUE(pair.has_value()) << pair.error().what;
        return *std::move(pair);
    }
    Result<std::string> ask_b(Pair& pair, const std::string& question) {
        EXPECT_TRUE(run(reactor_, pair.client->write(question)));
        return run(reactor_, read_exactly(*pair.server, question.size()));
    }
    Result<size_t> read_one(Stream& stream, Duration limit = 1h) {
        return run(reactor_, with_deadline(reactor_.now() + limit, stream.read_some(room_)), 10h);
    }

    SimReactor reactor_;
    SimNetwork network_;
    std::unique_ptr<Listener> listener_ = network_.host("b").listen({"b", 7000}, nullptr).value();
    std::array<std::byte, 16> room_;
};

TEST_F(SimNetworkTest, CarriesOctetsInOrderAndThenTheEnd) {
    Pair pair = connected();
    const std::string big = pattern(3u << 20);
    TaskGroup group(reactor_);
    group.spawn("write", [](Stream& to, const std::string& octets) -> Task<void> {
        CO_TRY(co_await to.write(octets));
        co_return co_await to.finish();
    }(*pair.client, big));
    EXPECT_TRUE(run(reactor_, read_to_end(*pair.server)).value() == big);
    EXPECT_TRUE(run(reactor_, group.join()));
}

TEST_F(SimNetworkTest, EveryFragmentationMeansTheSameOctets) {
    network_.options().fragment_permille = 1000;
    Pair pair = connected();
    const std::string octets = pattern(5000);
    EXPECT_TRUE(run(reactor_, pair.client->write(octets)));
    const auto first = read_one(*pair.server);
    EXPECT_LE(first.value(), 16u);
    EXPECT_TRUE(run(reactor_, read_exactly(*pair.server, octets.size() - *first)).value() == octets.substr(*first));
}

TEST_F(SimNetworkTest, TakesTheTimeThatLatencyAndBandwidthAsk) {
    network_.options().latency_min = network_.options().latency_max = 10ms;
    network_.options().tail_permille = 0;
    network_.options().bytes_per_second = 1'000'000;
    network_.options().window_bytes = 1u << 20;
    Pair pair = connected();
    const Instant start = reactor_.now();
    EXPECT_TRUE(run(reactor_, pair.client->write(pattern(100'000))));
    EXPECT_EQ(reactor_.now() - start, Duration(0));
    EXPECT_TRUE(run(reactor_, read_exactly(*pair.server, 100'000)));
    EXPECT_GE(reactor_.now() - start, Duration(110ms));
    EXPECT_LE(reactor_.now() - start, Duration(111ms));
}

TEST_F(SimNetworkTest, WriterWaitsForTheReader) {
    Pair pair = connected();
    TaskGroup group(reactor_);
    const std::string big = pattern(1u << 20);
    group.spawn("write", write_all(*pair.client, big));
    reactor_.run_for(10s);
    EXPECT_EQ(group.running(), 1u);
    EXPECT_TRUE(run(reactor_, read_exactly(*pair.server, big.size())).value() == big);
    EXPECT_TRUE(run(reactor_, group.join()));
}

TEST_F(SimNetworkTest, ReadEndsAtItsDeadlineAndTheStreamStaysUsable) {
    Pair pair = connected();
    EXPECT_EQ(read_one(*pair.server, 1s).error().code, Code::Timeout);
    EXPECT_EQ(ask_b(pair, "hello").value(), "hello");
}

TEST_F(SimNetworkTest, ClosedPortRefuses) {
    const auto stream = run(reactor_, network_.host("a").connect({"b", 7001}, nullptr));
    EXPECT_EQ(stream.error().code, Code::Unavailable);
    listener_.reset();
    EXPECT_EQ(run(reactor_, network_.host("a").connect({"b", 7000}, nullptr)).error().code, Code::Unavailable);
}

TEST_F(SimNetworkTest, UnknownHostIsUnavailableAndTakenPortExists) {
    EXPECT_EQ(run(reactor_, network_.host("a").connect({"nowhere", 7000}, nullptr)).error().code, Code::Unavailable);
    EXPECT_EQ(network_.host("b").listen({"0.0.0.0", 7000}, nullptr).error().code, Code::Exists);
    EXPECT_EQ(network_.host("b").listen({"a", 7001}, nullptr).error().code, Code::Invalid);
    EXPECT_TRUE(network_.host("a").listen({"a", 7000}, nullptr).has_value());
}

TEST_F(SimNetworkTest, PortZeroGivesPortsOfTheirOwn) {
    const auto one = network_.host("b").listen({"b", 0}, nullptr);
    const auto two = network_.host("b").listen({"b", 0}, nullptr);
    EXPECT_NE((*one)->address().port, 0);
    EXPECT_NE((*one)->address().port, (*two)->address().port);
}

TEST_F(SimNetworkTest, ConnectingThroughAPartitionSucceedsOnceHealed) {
    network_.partition("a", "b");
    const Instant start = reactor_.now();
    reactor_.call_at(start + 20s, [&] { network_.join("a", "b"); });
    EXPECT_TRUE(run(reactor_, network_.host("a").connect({"b", 7000}, nullptr)));
    EXPECT_GE(reactor_.now() - start, Duration(20s));
}

TEST_F(SimNetworkTest, ConnectingThroughALastingPartitionTimesOut) {
    network_.partition("a", "b");
    const Instant start = reactor_.now();
    EXPECT_EQ(run(reactor_, network_.host("a").connect({"b", 7000}, nullptr)).error().code, Code::Unavailable);
    EXPECT_EQ(reactor_.now() - start, network_.options().connect_timeout);
}

TEST_F(SimNetworkTest, ShortCutOnlyDelays) {
    Pair pair = connected();
    network_.cut("a", "b");
    EXPECT_TRUE(run(reactor_, pair.client->write("hello")));
    EXPECT_EQ(read_one(*pair.server, 10s).error().code, Code::Timeout);
    network_.heal("a", "b");
    EXPECT_EQ(run(reactor_, read_exactly(*pair.server, 5)).value(), "hello");
}

TEST_F(SimNetworkTest, CutIsOneWay) {
    Pair pair = connected();
    network_.cut("a", "b");
    EXPECT_TRUE(run(reactor_, pair.server->write("hello")));
    EXPECT_EQ(run(reactor_, read_exactly(*pair.client, 5)).value(), "hello");
}

TEST_F(SimNetworkTest, LastingCutBreaksTheConnectionAtBothEnds) {
    Pair pair = connected();
    network_.cut("a", "b");
    const Instant start = reactor_.now();
    EXPECT_EQ(read_one(*pair.server).error().code, Code::Io);
    EXPECT_EQ(reactor_.now() - start, network_.options().give_up_after);
    EXPECT_EQ(run(reactor_, pair.client->write("x")).error().code, Code::Io);
}

TEST_F(SimNetworkTest, CutThatWasHealedInTimeBreaksNothingLater) {
    Pair pair = connected();
    network_.cut("a", "b");
    reactor_.run_for(50s);
    network_.heal("a", "b");
    network_.cut("a", "b");
    reactor_.run_for(50s);
    network_.heal("a", "b");
    EXPECT_EQ(ask_b(pair, "still there").value(), "still there");
}

TEST_F(SimNetworkTest, DelayedLinkIsSlow) {
    Pair pair = connected();
    network_.set_delay("a", "b", 2s);
    const Instant start = reactor_.now();
    EXPECT_EQ(ask_b(pair, "x").value(), "x");
    EXPECT_GE(reactor_.now() - start, Duration(2s));
}

TEST_F(SimNetworkTest, ResetCutsAFrameShort) {
    bool partial = false;
    for (int attempt = 0; attempt < 50 && !partial; ++attempt) {
        Pair pair = connected();
        EXPECT_TRUE(run(reactor_, pair.client->write(pattern(1000))));
        network_.reset("b", "a");
        const auto count = read_one(*pair.server);
        EXPECT_LE(count.value_or(0), 1000u);
        partial = partial || (count && *count < 1000);
        Result<size_t> last = read_one(*pair.server);
        while (last) last = read_one(*pair.server);
        EXPECT_EQ(last.error().code, Code::Io);
        EXPECT_EQ(run(reactor_, pair.client->write("x")).error().code, Code::Io);
    }
    EXPECT_TRUE(partial);
}

TEST_F(SimNetworkTest, RandomResetsHappen) {
    network_.options().reset_per_million = 100'000;
    network_.options().window_bytes = 4096;
    Pair pair = connected();
    TaskGroup group(reactor_);
    group.spawn("drain", [](Stream& from) -> Task<void> {
        CO_TRY(co_await read_to_end(from));
        co_return done();
    }(*pair.server));
    const auto insist = [](Stream& to) -> Task<void> {
        for (;;) CO_TRY(co_await to.write("anybody there?"));
    };
    EXPECT_EQ(run(reactor_, insist(*pair.client)).error().code, Code::Io);
    EXPECT_TRUE(run(reactor_, group.join()));
}

TEST_F(SimNetworkTest, DestroyedStreamDeliversWhatWasWrittenThenTheEnd) {
    Pair pair = connected();
    EXPECT_TRUE(run(reactor_, pair.client->write("last words")));
    pair.client.reset();
    EXPECT_EQ(run(reactor_, read_to_end(*pair.server)).value(), "last words");
    EXPECT_TRUE(run(reactor_, pair.server->write("too late")));  // As with TCP, only the next write knows.
    reactor_.run_for(1s);
    EXPECT_EQ(run(reactor_, pair.server->write("x")).error().code, Code::Io);
}

TEST_F(SimNetworkTest, DestroyingAStreamWithUnreadInputResets) {
    Pair pair = connected();
    EXPECT_TRUE(run(reactor_, pair.client->write("never read")));
    reactor_.run_for(1s);
    pair.server.reset();
    EXPECT_EQ(read_one(*pair.client).error().code, Code::Io);
}

TEST_F(SimNetworkTest, CloseEndsAReadUnderWay) {
    Pair pair = connected();
    reactor_.call_at(reactor_.now() + 1s, [&] { pair.client->close(); });
    EXPECT_EQ(read_one(*pair.client).error().code, Code::Io);
    EXPECT_EQ(read_one(*pair.server).value(), 0u);
}

TEST_F(SimNetworkTest, CrashedHostResetsItsPeers) {
    Pair pair = connected();
    network_.crash("b");
    EXPECT_EQ(read_one(*pair.client, 5s).error().code, Code::Io);
    EXPECT_EQ(run(reactor_, network_.host("a").connect({"b", 7000}, nullptr)).error().code, Code::Unavailable);
    EXPECT_EQ(run(reactor_, pair.server->write("x")).error().code, Code::Io);
    listener_ = network_.host("b").listen({"b", 7000}, nullptr).value();  // It is started again.
    connected();
}

TEST_F(SimNetworkTest, PoweredOffHostIsSilentUntilItIsBack) {
    Pair pair = connected();
    network_.power_off("b");
    EXPECT_EQ(read_one(*pair.client, 30s).error().code, Code::Timeout);
    network_.power_on("b");
    EXPECT_EQ(read_one(*pair.client, 5s).error().code, Code::Io);
}

TEST_F(SimNetworkTest, PoweredOffHostIsGivenUpByKeepAlive) {
    Pair pair = connected();
    network_.power_off("b");
    const Instant start = reactor_.now();
    EXPECT_EQ(read_one(*pair.client).error().code, Code::Io);
    EXPECT_EQ(reactor_.now() - start, network_.options().give_up_after);
}

TEST_F(SimNetworkTest, TrafficInsideAHostSurvivesItsIsolation) {
    network_.partition("a", "b");
    EXPECT_TRUE(run(reactor_, network_.host("b").connect({"127.0.0.1", 7000}, nullptr)));
}

TEST_F(SimNetworkTest, ConnectionsThatAreGoneAreForgotten) {
    for (int i = 0; i < 10; ++i) connected();
    EXPECT_EQ(network_.connections(), 0u);
    const Pair pair = connected();
    EXPECT_EQ(network_.connections(), 1u);
}

// What a run observes, from chatter under random faults.
uint64_t history_of(uint64_t seed) {
    SimReactor reactor(seed);
    SimNetwork network(reactor, seed);
    network.options().reset_per_million = 2000;
    const auto listener = network.host("b").listen({"b", 1}, nullptr).value();
    TaskGroup servers(reactor), clients(reactor);
    servers.spawn("serve", serve_echo(*listener, servers));
    const auto chatter = [](Network& from) -> Task<void> {
        for (int i = 0; i < 5; ++i) {
            const Address server{"b", 1};
            auto stream = co_await from.connect(server, nullptr);
            if (!stream) continue;
            for (int j = 0; j < 20; ++j) {
                const std::string question = pattern(200 + j);
                CO_TRY(co_await ask(**stream, question));
            }
        }
        co_return done();
    };
    for (const char* name : {"a", "c", "d"}) clients.spawn("chatter", chatter(network.host(name)));
    Chance chance(seed);
    for (int i = 0; i < 20; ++i) {
        reactor.run_for(Duration(chance.below(3'000'000)));
        chance.happens(500) ? network.partition("a", "b") : network.join("a", "b");
        if (chance.happens(200)) network.reset("b", "c");
    }
    network.heal_all();
    EXPECT_TRUE(run(reactor, clients.join()));
    EXPECT_TRUE(run(reactor, servers.stop()));
    return reactor.event_hash();
}

TEST(SimNetworkRuns, SameSeedGivesTheSameHistory) {
    for (uint64_t seed = 1; seed <= 20; ++seed) EXPECT_EQ(history_of(seed), history_of(seed)) << "seed " << seed;
    EXPECT_NE(history_of(1), history_of(2));
}

}  // namespace
}  // namespace polis::runtime
