#include "runtime/wait.h"

#include <gtest/gtest.h>

#include "runtime/sim_reactor.h"

namespace polis::runtime {
namespace {

using namespace std::chrono_literals;

Task<int> add_later(int a, int b) {
    CO_TRY(co_await sleep_for(1s));
    co_return a + b;
}

TEST(Task, EndsWithTheValueOfItsChild) {
    SimReactor reactor(1);
    const Instant start = reactor.now();
    EXPECT_EQ(run(reactor, add_later(2, 3)).value(), 5);
    EXPECT_EQ(reactor.now() - start, Duration(1s));
}

TEST(Task, DeadlineCutsAWaitShort) {
    SimReactor reactor(1);
    const Instant start = reactor.now();
    const auto result = run(reactor, with_deadline(start + 10ms, add_later(2, 3)));
    ASSERT_FALSE(result.has_value());
    EXPECT_EQ(result.error().code, Code::Timeout);
    EXPECT_EQ(reactor.now() - start, Duration(10ms));
}

TEST(Task, EarlierOfNestedDeadlinesWins) {
    SimReactor reactor(1);
    const Instant start = reactor.now();
    const auto result = run(reactor, with_deadline(start + 5ms, with_deadline(start + 10ms, add_later(2, 3))));
    EXPECT_EQ(result.error().code, Code::Timeout);
    EXPECT_EQ(reactor.now() - start, Duration(5ms));
}

TEST(TaskGroup, StopCancelsAndWaitsForAllTasks) {
    SimReactor reactor(1);
    TaskGroup group(reactor);
    int ended = 0;
    const auto sleeper = [](int& count) -> Task<void> {
        const auto slept = co_await sleep_for(1h);
        if (!slept && slept.error().code == Code::Canceled) ++count;
        co_return done();
    };
    for (int i = 0; i < 3; ++i) group.spawn("sleeper", sleeper(ended));
    reactor.run_for(1s);
    EXPECT_EQ(group.running(), 3u);
    EXPECT_TRUE(run(reactor, group.stop()));
    EXPECT_EQ(ended, 3);
}

TEST(Channel, PusherWaitsWhileFull) {
    SimReactor reactor(1);
    Channel<int> channel(2);
    std::vector<int> got;
    const auto push = [](Channel<int>& to) -> Task<void> {
        for (int i = 0; i < 5; ++i) CO_TRY(co_await to.push(i));
        to.close();
        co_return done();
    };
    const auto pop = [](Channel<int>& from, std::vector<int>& into) -> Task<void> {
        for (;;) {
            const auto item = co_await from.pop();
            if (!item) co_return done();
            into.push_back(*item);
            CO_TRY(co_await sleep_for(1ms));
        }
    };
    TaskGroup group(reactor);
    group.spawn("push", push(channel));
    reactor.run_for(1ms);
    EXPECT_EQ(channel.size(), 2u);
    group.spawn("pop", pop(channel, got));
    EXPECT_TRUE(run(reactor, group.join()));
    EXPECT_EQ(got, (std::vector<int>{0, 1, 2, 3, 4}));
}

TEST(Signal, WakesAllWhoWait) {
    SimReactor reactor(1);
    Signal signal;
    int woken = 0;
    const auto wait = [](Signal& on, int& count) -> Task<void> {
        CO_TRY(co_await on.wait());
        ++count;
        co_return done();
    };
    TaskGroup group(reactor);
    group.spawn("a", wait(signal, woken));
    group.spawn("b", wait(signal, woken));
    reactor.run_for(1ms);
    signal.notify_all();
    EXPECT_TRUE(run(reactor, group.join()));
    EXPECT_EQ(woken, 2);
}

TEST(SimReactor, SameSeedGivesTheSameEvents) {
    const auto hash_of = [](uint64_t seed) {
        SimReactor reactor(seed);
        TaskGroup group(reactor);
        for (int i = 0; i < 10; ++i)
            group.spawn("add", [](int a) -> Task<void> {
                CO_TRY(co_await add_later(a, a));
                co_return done();
            }(i));
        EXPECT_TRUE(run(reactor, group.join()));
        return reactor.event_hash();
    };
    EXPECT_EQ(hash_of(7), hash_of(7));
    EXPECT_NE(hash_of(7), hash_of(8));
}

}  // namespace
}  // namespace polis::runtime
