// What IoThreads adds to a network. What every network does is tested on it too: network_test.cc, tls_test.cc.
#include "runtime/io_threads.h"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "runtime/mailbox.h"
#include "runtime/stream_testing.h"
#include "runtime/task_group.h"
#include "runtime/tcp_network.h"
#include "runtime/wait.h"

namespace polis::runtime {
namespace {

using namespace testing;

Task<std::vector<Pair>> connect_pairs(Network& network, Listener& listener, size_t count) {
    std::vector<Pair> pairs;
    for (size_t i = 0; i < count; ++i) {
        CO_LET(Pair pair, co_await connect_pair(network, listener));
        pairs.push_back(std::move(pair));
    }
    co_return pairs;
}

TEST(IoThreads, GivesAConnectionToTheThreadWithTheFewest) {
    EpollReactor reactor;
    IoThreads network(reactor, 3);
    const auto listener = network.listen({"127.0.0.1", 0}, nullptr);
    auto pairs = run(reactor, connect_pairs(network, **listener, 7));
    ASSERT_TRUE(pairs.has_value());
    EXPECT_EQ(network.connections(), (std::vector<size_t>{3, 2, 2}));
    pairs->erase(pairs->begin(), pairs->begin() + 6);  // The first thread's third is left.
    EXPECT_EQ(network.connections(), (std::vector<size_t>{1, 0, 0}));
    const auto more = run(reactor, connect_pairs(network, **listener, 2));
    ASSERT_TRUE(more.has_value());
    EXPECT_EQ(network.connections(), (std::vector<size_t>{1, 1, 1}));
}

TEST(IoThreads, ManyConnectionsKeepTheirOctetsApart) {
    EpollReactor reactor;
    IoThreads network(reactor, 3);
    const auto listener = network.listen({"127.0.0.1", 0}, nullptr);
    auto pairs = run(reactor, connect_pairs(network, **listener, 20));
    ASSERT_TRUE(pairs.has_value());
    TaskGroup echoes(reactor);
    TaskGroup askers(reactor);
    size_t right = 0;
    for (size_t i = 0; i < pairs->size(); ++i) {
        echoes.spawn("echo", echo(*(*pairs)[i].server));
        askers.spawn("ask", [](Stream& stream, size_t number, size_t& answered) -> Task<void> {
            for (size_t round = 0; round < 200; ++round) {
                const std::string question = std::to_string(number) + ":" + std::to_string(round) + ";";
                CO_LET(const std::string answer, co_await ask(stream, question));
                if (answer == question) ++answered;
            }
            co_return co_await stream.finish();
        }(*(*pairs)[i].client, i, right));
    }
    EXPECT_TRUE(run(reactor, askers.join()));
    EXPECT_TRUE(run(reactor, echoes.join()));
    EXPECT_EQ(right, 20u * 200u);
}

TEST(IoThreads, DeliversWhatWasWrittenBeforeItEnds) {
    EpollReactor reactor;
    TcpNetwork clients(reactor);
    const std::string octets = pattern(100'000);
    std::unique_ptr<Stream> client;
    {
        IoThreads network(reactor, 1);
        const auto listener = network.listen({"127.0.0.1", 0}, nullptr);
        auto pair = run(reactor, connect_pair(clients, **listener));
        ASSERT_TRUE(pair.has_value());
        client = std::move(pair->client);
        EXPECT_TRUE(run(reactor, pair->server->write(octets)));
    }
    EXPECT_TRUE(run(reactor, read_to_end(*client)).value() == octets);
}

// One connection from a client of the reactor itself to an end that a thread serves.
class OneIoThread : public ::testing::Test {
protected:
    OneIoThread() {
        const auto listener = network_.listen({"127.0.0.1", 0}, nullptr);
        auto pair = run(reactor_, connect_pair(clients_, **listener));
        EXPECT_TRUE(pair.has_value());
        if (pair) pair_ = *std::move(pair);
    }

    EpollReactor reactor_;
    TcpNetwork clients_{reactor_};
    IoThreads network_{reactor_, 1};
    Pair pair_;
};

// A client that sends octet by octet to somebody who does not read must not cost more than what it sent.
TEST_F(OneIoThread, SmallPiecesArePutTogether) {
    const std::string octets = pattern(3000);
    for (const char octet : octets) EXPECT_TRUE(run(reactor_, pair_.client->write(std::string(1, octet))));
    EXPECT_TRUE(run(reactor_, read_exactly(*pair_.server, octets.size())).value() == octets);
}

TEST_F(OneIoThread, ClosedStreamGivesNothingThatCameBefore) {
    EXPECT_TRUE(run(reactor_, pair_.client->write("ab")));
    EXPECT_EQ(run(reactor_, read_exactly(*pair_.server, 1)).value(), "a");
    pair_.server->close();
    EXPECT_EQ(run(reactor_, read_exactly(*pair_.server, 1)).error().code, Code::Io);
    EXPECT_EQ(run(reactor_, pair_.server->write("c")).error().code, Code::Io);
}

TEST_F(OneIoThread, WriterOfAnAcceptedStreamWaitsWhileThePeerDoesNotRead) {
    size_t written = 0;
    TaskGroup group(reactor_);
    constexpr size_t chunks = 1000;
    group.spawn("write", [](Stream& stream, size_t& count) -> Task<void> {
        const std::string chunk(100'000, 'x');
        for (; count < chunks; ++count) CO_TRY(co_await stream.write(chunk));
        co_return co_await stream.finish();
    }(*pair_.server, written));
    size_t before = 1;
    // Until it stands still, well before the end.
    for (int quiet = 0; quiet < 3;) {
        EXPECT_TRUE(run(reactor_, sleep_for(std::chrono::milliseconds(50))));
        quiet = written == before ? quiet + 1 : 0;
        before = written;
    }
    EXPECT_LT(written, chunks / 2);
    EXPECT_EQ(run(reactor_, read_to_end(*pair_.client)).value().size(), chunks * 100'000);
    EXPECT_TRUE(run(reactor_, group.join()));
}

TEST(Mailbox, RunsATurnsWorkInOrderOnTheOtherReactor) {
    EpollReactor here;
    EpollReactor there;
    Mailbox mailbox(here, there);
    std::vector<int> order;
    for (int i = 0; i < 5; ++i) mailbox.put([&order, i] { order.push_back(i); });
    EXPECT_TRUE(order.empty());
    here.run_until([] { return true; });  // The end of a turn.
    EXPECT_TRUE(order.empty());
    there.run_until([&order] { return !order.empty(); });
    EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4}));
}

}  // namespace
}  // namespace polis::runtime
