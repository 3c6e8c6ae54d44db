#include "runtime/idle_timer.h"

#include <gtest/gtest.h>

#include "runtime/sim_reactor.h"
#include "runtime/wait.h"

namespace polis::runtime {
namespace {

using namespace std::chrono_literals;

struct Idle {
    SimReactor reactor{1};
    Scope scope;
    IdleTimer timer{reactor, scope, 10ms};
};

TEST(IdleTimer, CancelsAWaitThatTakesTooLong) {
    Idle idle;
    idle.timer.begin();
    idle.reactor.run_for(9ms);
    EXPECT_FALSE(idle.scope.canceled());
    idle.reactor.run_for(2ms);
    ASSERT_TRUE(idle.scope.canceled());
    EXPECT_EQ(idle.scope.error().code, Code::Timeout);
}

TEST(IdleTimer, CountsFromTheBeginningOfTheWaitUnderWay) {
    Idle idle;
    for (int i = 0; i < 10; ++i) {
        idle.timer.begin();
        idle.reactor.run_for(7ms);
        EXPECT_FALSE(idle.scope.canceled());
        idle.timer.end();
    }
    idle.timer.begin();
    idle.reactor.run_for(9ms);
    EXPECT_FALSE(idle.scope.canceled());
    idle.reactor.run_for(2ms);
    EXPECT_TRUE(idle.scope.canceled());
}

TEST(IdleTimer, DoesNotCountWhatLiesBetweenWaits) {
    Idle idle;
    idle.timer.begin();
    idle.reactor.run_for(5ms);
    idle.timer.end();
    idle.reactor.run_for(100ms);
    EXPECT_FALSE(idle.scope.canceled());
    idle.timer.begin();
    idle.reactor.run_for(9ms);
    EXPECT_FALSE(idle.scope.canceled());
    idle.reactor.run_for(2ms);
    EXPECT_TRUE(idle.scope.canceled());
}

}  // namespace
}  // namespace polis::runtime
