#include "runtime/epoll_reactor.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <thread>

#include "runtime/wait.h"

namespace polis::runtime {
namespace {

using namespace std::chrono_literals;

Task<int> add_later(int a, int b) {
    CO_TRY(co_await sleep_for(2ms));
    co_return a + b;
}

TEST(EpollReactor, RunsATaskThatSleeps) {
    EpollReactor reactor;
    const Instant start = reactor.now();
    EXPECT_EQ(run(reactor, add_later(2, 3)).value(), 5);
    EXPECT_GE(reactor.now() - start, Duration(2ms));
}

TEST(EpollReactor, DeadlineCutsASleepShort) {
    EpollReactor reactor;
    const auto result = run(reactor, with_deadline(reactor.now() + 1ms, sleep_for(1h)));
    ASSERT_FALSE(result.has_value());
    EXPECT_EQ(result.error().code, Code::Timeout);
}

TEST(EpollReactor, EarlierAlarmSetWhileAnotherIsArmedRingsFirst) {
    EpollReactor reactor;
    std::vector<int> rung;
    const auto later = reactor.make_alarm([&] { rung.push_back(2); });
    const auto sooner = reactor.make_alarm([&] { rung.push_back(1); });
    later->set(reactor.now() + 20ms);
    reactor.post([&] { sooner->set(reactor.now() + 1ms); });
    reactor.run_until([&] { return rung.size() == 2; });
    EXPECT_EQ(rung, (std::vector<int>{1, 2}));
}

TEST(EpollReactor, ClearedAlarmDoesNotRing) {
    EpollReactor reactor;
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

TEST(EpollReactor, RunsWhatOtherThreadsPostInTheirOrder) {
    EpollReactor reactor;
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

// Each post finds the other reactor about to sleep: a wake-up that was lost would leave both asleep for good.
TEST(EpollReactor, APostWakesASleeperEachTime) {
    constexpr int rounds = 20'000;
    EpollReactor here, there;
    int round = 0;
    bool over = false;
    std::thread other([&] { there.run_until([&over] { return over; }); });
    std::function<void()> ask = [&] {
        there.post([&] {
            here.post([&] {
                if (++round < rounds) ask();
            });
        });
    };
    ask();
    here.run_until([&] { return round == rounds; });
    there.post([&over] { over = true; });
    other.join();
    EXPECT_EQ(round, rounds);
}

TEST(EpollReactor, AnotherRunStillSleepsAfterAStopThatNobodyWaitedFor) {
    EpollReactor reactor;
    reactor.stop();
    int turns = 0;
    bool rang = false;
    const auto alarm = reactor.make_alarm([&rang] { rang = true; });
    alarm->set(reactor.now() + 20ms);
    reactor.run_until([&] {
        ++turns;
        return rang;
    });
    EXPECT_LT(turns, 20);
}

// Resumes its coroutine in the next turn.
struct Pause {
    EpollReactor& reactor;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> self) { reactor.schedule_next_turn(self); }
    void await_resume() const noexcept {}
};

Task<void> pause_often(EpollReactor& reactor, const bool& over, int& pauses) {
    while (!over) {
        co_await Pause{reactor};
        ++pauses;
    }
    co_return done();
}

TEST(EpollReactor, WhatWaitsForTheNextTurnLetsAlarmsRingBetween) {
    EpollReactor reactor;
    bool rang = false;
    int pauses = 0;
    const auto alarm = reactor.make_alarm([&rang] { rang = true; });
    alarm->set(reactor.now() + 2ms);
    EXPECT_TRUE(run(reactor, pause_often(reactor, rang, pauses)));
    EXPECT_GT(pauses, 0);
}

TEST(EpollReactor, PostRunsLaterEvenOnItsOwnThread) {
    EpollReactor reactor;
    std::vector<int> order;
    reactor.post([&] {
        reactor.post([&] { order.push_back(2); });
        order.push_back(1);
    });
    reactor.run_until([&] { return order.size() == 2; });
    EXPECT_EQ(order, (std::vector<int>{1, 2}));
}

TEST(EpollReactor, StopsFromAnotherThread) {
    for (int i = 0; i < 200; ++i) {
        auto reactor = std::make_unique<EpollReactor>();
        std::thread stopper([&reactor = *reactor] { reactor.stop(); });
        reactor->run();
        reactor.reset();  // The stopper may still be inside stop().
        stopper.join();
    }
}

TEST(EpollReactor, HandlesASignal) {
    EpollReactor reactor;
    int got = 0;
    reactor.on_signal(SIGHUP, [&] { ++got; });
    ::raise(SIGHUP);
    reactor.run_until([&] { return got == 1; });
    ::raise(SIGHUP);
    reactor.run_until([&] { return got == 2; });
    EXPECT_EQ(got, 2);
}

TEST(EpollReactor, AnotherReactorMayHandleSignalsAfterTheFirst) {
    for (int i = 0; i < 2; ++i) {
        EpollReactor reactor;
        bool got = false;
        reactor.on_signal(SIGHUP, [&got] { got = true; });
        std::thread([] { ::kill(::getpid(), SIGHUP); }).join();
        reactor.run_until([&got] { return got; });
        EXPECT_TRUE(got);
    }
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

TEST(EpollReactor, CallsAHookOnceATurn) {
    EpollReactor reactor;
    CountingHook hook;
    reactor.post([&] {
        reactor.at_turn_end(hook);
        reactor.at_turn_end(hook);
    });
    reactor.run_until([&] { return hook.calls > 0; });
    EXPECT_EQ(hook.calls, 1);
}

TEST(EpollReactor, CoroutinesReadyByAHookRunBeforeTheNextHook) {
    EpollReactor reactor;
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

TEST(EpollReactor, ForgottenHookIsNotCalled) {
    EpollReactor reactor;
    CountingHook first, second, third;
    first.then = [&] { reactor.forget(second); };
    for (CountingHook* hook : {&first, &second, &third}) reactor.at_turn_end(*hook);
    reactor.run_until([&] { return third.calls > 0; });
    EXPECT_EQ(second.calls, 0);
    reactor.at_turn_end(second);
    reactor.run_until([&] { return second.calls > 0; });
    EXPECT_EQ(second.calls, 1);
}

TEST(EpollReactor, SpinningReactorStillSleepsAndWakes) {
    EpollReactor reactor({.spin = 50us});
    for (int i = 0; i < 20; ++i) EXPECT_TRUE(run(reactor, sleep_for(100us)));
    bool posted = false;
    std::thread poster([&] { reactor.post([&posted] { posted = true; }); });
    reactor.run_until([&posted] { return posted; });
    poster.join();
}

TEST(EpollReactor, NowCountsFromBoot) {
    EpollReactor reactor;
    timespec time{};
    clock_gettime(CLOCK_BOOTTIME, &time);
    const Duration boot = std::chrono::seconds(time.tv_sec) + Duration(time.tv_nsec);
    EXPECT_LE(reactor.now().since_boot, boot);
    EXPECT_GT(reactor.now().since_boot, boot - Duration(60s));
}

}  // namespace
}  // namespace polis::runtime
