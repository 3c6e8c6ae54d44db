// The resolver's threads: what happens when the system gives none.
#include "runtime/socket_address.h"

#include <gtest/gtest.h>
#include <pthread.h>

#include "runtime/epoll_reactor.h"

namespace polis::runtime {
namespace {

// While it lives no thread can be started: none has room for such a stack.
class NoThreads {
public:
    NoThreads() {
        pthread_getattr_default_np(&usual_);
        pthread_attr_t huge;
        pthread_attr_init(&huge);
        pthread_attr_setstacksize(&huge, size_t{1} << 50);
        refused_ = pthread_setattr_default_np(&huge) == 0;
        pthread_attr_destroy(&huge);
    }
    ~NoThreads() {
        pthread_setattr_default_np(&usual_);
        pthread_attr_destroy(&usual_);
    }
    bool refused() const { return refused_; }

private:
    pthread_attr_t usual_;
    bool refused_ = false;
};

TEST(Resolver, FailsLookUpsForWhichThereIsNoThreadAndWorksAgainAfterwards) {
    EpollReactor reactor;
    Resolver resolver(reactor);
    {
        const NoThreads none;
        ASSERT_TRUE(none.refused());
        for (int i = 0; i < 20; ++i) {
            const auto found = run(reactor, resolver.resolve({"localhost", 80}));
            ASSERT_FALSE(found.has_value());
            EXPECT_EQ(found.error().code, Code::Unavailable);
        }
    }
    EXPECT_TRUE(run(reactor, resolver.resolve({"localhost", 80})).has_value());
}

}  // namespace
}  // namespace polis::runtime
