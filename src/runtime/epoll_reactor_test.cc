#include "runtime/asio_reactor.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <thread>

#include "runtime/wait.h"

namespace polis::runtime {
namespace {

using namespace std::chrono_literals;

Task<int> add_later(int a, int b) {
    CO_TRY(co_await sleep_for(2ms));
    co_return a + b;
}

TEST(AsioReactor, RunsATaskThatSleeps) {
    AsioReactor reactor;
    const Instant start = reactor.now();
    EXPECT_EQ(run(reactor, add_later(2, 3)).value(), 5);
    EXPECT_GE(reactor.now() - start, Duration(2ms));
}

TEST(AsioReactor, DeadlineCutsASleepShort) {
    AsioReactor reactor;
    const auto result = run(reactor, with_deadline(reactor.now() + 1ms, sleep_for(1h)));
    ASSERT_FALSE(result.has_value());
    EXPECT_EQ(result.error().code, Code::Timeout);
}

TEST(AsioReactor, EarlierAlarmSetWhileAnotherIsArmedRingsFirst) {
    AsioReactor reactor;
    std::vector<int> rung;
    const auto later = reactor.make_alarm([&] { rung.push_back(2); });
    const auto sooner = reactor.make_alarm([&] { rung.push_back(1); });
    later->set(reactor.now() + 20ms);
    reactor.post([&] { sooner->set(reactor.now() + 1ms); });
    reactor.run_until([&] { return rung.size() == 2; });
    EXPECT_EQ(rung, (std::vector<int>{1, 2}));
}

TEST(AsioReactor, ClearedAlarmDoesNotRing) {
    AsioReactor reactor;
    bool cleared_rang = false;
    bool other_rang = false;
    const auto cleared = reactor.make_alarm([&] { cleared_rang = true; });
    const auto other = reactor.make_alarm([&] { other_rang = true; });
    cleared->set(reactor.now() + 1ms);
    other->set(reactor.now() + 3ms);
    cleared->clear();
    reactor.run_until([&] { return other_rang; });
    EXPECT_FALSE(cleared_rang);
}

TEST(AsioReactor, RunsWhatOtherThreadsPostInTheirOrder) {
    AsioReactor reactor;
    constexpr int threads = 4;
    constexpr int posts = 5000;
    std::vector<std::vector<int>> got(threads);
    int total = 0;
    std::vector<std::thread> posters;
    for (int t = 0; t < threads; ++t) {
        posters.emplace_back([&, t] {
            for (int i = 0; i < posts; ++i) {
                reactor.post([&, t, i] {
                    EXPECT_TRUE(reactor.is_current());
                    got[t].push_back(i);
                    ++total;
                });
            }
        });
    }
    reactor.run_until([&] { return total == threads * posts; });
    for (auto& poster : posters) poster.join();
    for (const auto& one : got) EXPECT_TRUE(std::ranges::is_sorted(one));
}

TEST(AsioReactor, PostRunsLaterEvenOnItsOwnThread) {
    AsioReactor reactor;
    std::vector<int> order;
    reactor.post([&] {
        reactor.post([&] { order.push_back(2); });
        order.push_back(1);
    });
    reactor.run_until([&] { return order.size() == 2; });
    EXPECT_EQ(order, (std::vector<int>{1, 2}));
}

TEST(AsioReactor, StopsFromAnotherThread) {
    for (int i = 0; i < 200; ++i) {
        auto reactor = std::make_unique<AsioReactor>();
        std::thread stopper([&reactor = *reactor] { reactor.stop(); });
        reactor->run();
        reactor.reset();  // The stopper may still be inside stop().
        stopper.join();
    }
}

TEST(AsioReactor, HandlesASignal) {
    AsioReactor reactor;
    int got = 0;
    reactor.on_signal(SIGHUP, [&] { ++got; });
    ::raise(SIGHUP);
    reactor.run_until([&] { return got == 1; });
    ::raise(SIGHUP);
    reactor.run_until([&] { return got == 2; });
    EXPECT_EQ(got, 2);
}

class CountingHook : public TurnHook {
public:
    void turn_end() override {
        ++calls;
        if (then) then();
    }
    int calls = 0;
    std::function<void()> then;
};

TEST(AsioReactor, CallsAHookOnceATurn) {
    AsioReactor reactor;
    CountingHook hook;
    reactor.post([&] {
        reactor.at_turn_end(hook);
        reactor.at_turn_end(hook);
    });
    reactor.run_until([&] { return hook.calls > 0; });
    EXPECT_EQ(hook.calls, 1);
}

TEST(AsioReactor, CoroutinesReadyByAHookRunBeforeTheNextHook) {
    AsioReactor reactor;
    TaskGroup group(reactor);
    std::vector<std::string> order;
    CountingHook first, second;
    const auto note = [](std::vector<std::string>& into) -> Task<void> {
        into.push_back("coroutine");
        co_return done();
    };
    first.then = [&] {
        order.push_back("first");
        group.spawn("note", note(order));
    };
    second.then = [&] { order.push_back("second"); };
    reactor.at_turn_end(first);
    reactor.at_turn_end(second);
    reactor.run_until([&] { return order.size() == 3; });
    EXPECT_EQ(order, (std::vector<std::string>{"first", "coroutine", "second"}));
}

TEST(AsioReactor, ForgottenHookIsNotCalled) {
    AsioReactor reactor;
    CountingHook first, second, third;
    first.then = [&] { reactor.forget(second); };
    for (CountingHook* hook : {&first, &second, &third}) reactor.at_turn_end(*hook);
    reactor.run_until([&] { return third.calls > 0; });
    EXPECT_EQ(second.calls, 0);
    reactor.at_turn_end(second);
    reactor.run_until([&] { return second.calls > 0; });
    EXPECT_EQ(second.calls, 1);
}

TEST(AsioReactor, SpinningReactorStillSleepsAndWakes) {
    AsioReactor reactor({.spin = 50us});
    for (int i = 0; i < 20; ++i) EXPECT_TRUE(run(reactor, sleep_for(100us)));
}

TEST(AsioReactor, NowCountsFromBoot) {
    AsioReactor reactor;
    timespec time{};
    clock_gettime(CLOCK_BOOTTIME, &time);
    const Duration boot = std::chrono::seconds(time.tv_sec) + Duration(time.tv_nsec);
    EXPECT_LE(reactor.now().since_boot, boot);
    EXPECT_GT(reactor.now().since_boot, boot - Duration(60s));
}

}  // namespace
}  // namespace polis::runtime
