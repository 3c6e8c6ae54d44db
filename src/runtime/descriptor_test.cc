#include "runtime/descriptor.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <optional>
#include <string>

#include "runtime/task_group.h"
#include "runtime/wait.h"

namespace polis::runtime {
namespace {

// One end watched, the other moved by hand: nothing happens between two lines of a test but what they say.
class DescriptorTest : public ::testing::Test {
protected:
    DescriptorTest() : tasks_(reactor_) {
        std::array<int, 2> ends{};
        EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()), 0);
        ours_.emplace(reactor_, ends[0]);
        theirs_ = ends[1];
    }
    ~DescriptorTest() override {
        (void)run(reactor_, tasks_.stop());
        hang_up();
    }

    void send(std::string_view octets) {
        EXPECT_EQ(::send(theirs_, octets.data(), octets.size(), 0), static_cast<ssize_t>(octets.size()));
    }
    void hang_up() {
        if (theirs_ >= 0) ::close(theirs_);
        theirs_ = -1;
    }
    // At most `bytes` octets; "EAGAIN" if there are none; "" at the end.
    std::string receive(size_t bytes = 100) {
        std::string octets(bytes, '\0');
        const ssize_t count = ::recv(ours_->number(), octets.data(), octets.size(), 0);
        if (count < 0) return "EAGAIN";
        octets.resize(static_cast<size_t>(count));
        return octets;
    }
    // Whole turns, so that all that the kernel has to tell is told.
    void take_turns() {
        for (int i = 0; i < 3; ++i) {
            bool over = false;
            reactor_.post([&over] { over = true; });
            reactor_.run_until([&over] { return over; });
        }
    }
    // Begins to wait; the result stays empty until the wait has ended.
    void wait_to_read(std::optional<Result<void>>& ended) {
        tasks_.spawn("read", [](Descriptor& ours, std::optional<Result<void>>& result) -> Task<void> {
            result.emplace(co_await ours.readable());
            co_return done();
        }(*ours_, ended));
        take_turns();
    }
    void wait_to_write(std::optional<Result<void>>& ended) {
        tasks_.spawn("write", [](Descriptor& ours, std::optional<Result<void>>& result) -> Task<void> {
            result.emplace(co_await ours.writable());
            co_return done();
        }(*ours_, ended));
        take_turns();
    }

    EpollReactor reactor_;
    TaskGroup tasks_;
    std::optional<Descriptor> ours_;
    int theirs_ = -1;
};

TEST_F(DescriptorTest, ReaderWaitsUntilThereIsSomething) {
    std::optional<Result<void>> ended;
    wait_to_read(ended);
    EXPECT_FALSE(ended);
    EXPECT_TRUE(ours_->is_read());
    send("abc");
    take_turns();
    ASSERT_TRUE(ended);
    EXPECT_TRUE(*ended);
    EXPECT_EQ(receive(), "abc");
}

TEST_F(DescriptorTest, WhatIsThereAlreadyIsTold) {
    send("abc");
    std::optional<Result<void>> ended;
    wait_to_read(ended);
    EXPECT_TRUE(ended);
}

TEST_F(DescriptorTest, AfterAShortReadTheNextOneWaits) {
    send("abc");
    std::optional<Result<void>> first, second;
    wait_to_read(first);
    EXPECT_EQ(receive(), "abc");
    ours_->read_short();
    wait_to_read(second);
    EXPECT_FALSE(second);
    send("d");
    take_turns();
    EXPECT_TRUE(second);
    EXPECT_EQ(receive(), "d");
}

TEST_F(DescriptorTest, AfterAReadThatFilledItsTargetTheNextOneDoesNotWait) {
    send("abcd");
    std::optional<Result<void>> first, second;
    wait_to_read(first);
    EXPECT_EQ(receive(2), "ab");
    wait_to_read(second);
    EXPECT_TRUE(second);
    EXPECT_EQ(receive(2), "cd");
}

TEST_F(DescriptorTest, FindsAnEndToldWithTheLastOctets) {
    send("abc");
    hang_up();
    std::optional<Result<void>> first, second;
    wait_to_read(first);
    EXPECT_EQ(receive(), "abc");
    ours_->read_short();
    wait_to_read(second);
    EXPECT_TRUE(second);
    EXPECT_EQ(receive(), "");
}

// The end comes after the reactor has told of the octets, and before they are read.
TEST_F(DescriptorTest, FindsAnEndThatCameBetweenTheTellingAndTheRead) {
    send("abc");
    std::optional<Result<void>> first, second;
    wait_to_read(first);
    ASSERT_EQ(::shutdown(theirs_, SHUT_WR), 0);
    EXPECT_EQ(receive(), "abc");
    ours_->read_short();
    wait_to_read(second);
    EXPECT_TRUE(second);
    EXPECT_EQ(receive(), "");
}

TEST_F(DescriptorTest, FindsAnEndThatComesAfterAShortRead) {
    send("abc");
    std::optional<Result<void>> first, second;
    wait_to_read(first);
    EXPECT_EQ(receive(), "abc");
    ours_->read_short();
    ASSERT_EQ(::shutdown(theirs_, SHUT_WR), 0);
    wait_to_read(second);
    EXPECT_TRUE(second);
    EXPECT_EQ(receive(), "");
}

TEST_F(DescriptorTest, LosesNoOctetThatCameBetweenTheTellingAndTheRead) {
    send("abc");
    std::optional<Result<void>> first, second, third;
    wait_to_read(first);
    send("def");
    EXPECT_EQ(receive(), "abcdef");
    ours_->read_short();
    // The second arrival may be told of although its octets are gone.
    wait_to_read(second);
    if (second) {
        EXPECT_EQ(receive(), "EAGAIN");
        ours_->read_nothing();
        wait_to_read(third);
    }
    send("ghi");
    take_turns();
    EXPECT_TRUE(second);
    EXPECT_EQ(receive(), "ghi");
}

TEST_F(DescriptorTest, AHalfClosedPeerCanStillBeWrittenTo) {
    ASSERT_EQ(::shutdown(theirs_, SHUT_WR), 0);
    std::optional<Result<void>> ended;
    wait_to_write(ended);
    EXPECT_TRUE(ended);
    EXPECT_EQ(::send(ours_->number(), "x", 1, MSG_NOSIGNAL), 1);
}

TEST_F(DescriptorTest, WriterWaitsUntilThereIsRoom) {
    const std::string piece(64u << 10, 'x');
    while (::send(ours_->number(), piece.data(), piece.size(), 0) > 0) continue;
    ours_->wrote_nothing();
    std::optional<Result<void>> ended;
    wait_to_write(ended);
    EXPECT_FALSE(ended);
    EXPECT_TRUE(ours_->is_written());
    std::string room(1u << 20, '\0');
    while (::recv(theirs_, room.data(), room.size(), 0) > 0) continue;
    take_turns();
    EXPECT_TRUE(ended);
}

TEST_F(DescriptorTest, ACancelledWaitEndsWithTheScopesErrorAndDoesNoHarm) {
    std::array<std::optional<Result<void>>, 2> ended;
    Scope scope;
    tasks_.spawn("read", in_scope(scope, [](Descriptor& ours, std::optional<Result<void>>& result) -> Task<void> {
                     result.emplace(co_await ours.readable());
                     co_return done();
                 }(*ours_, ended[0])));
    take_turns();
    scope.cancel(Code::Timeout);
    send("abc");
    take_turns();
    ASSERT_TRUE(ended[0]);
    EXPECT_EQ(ended[0]->error().code, Code::Timeout);
    wait_to_read(ended[1]);
    EXPECT_TRUE(ended[1]);
    EXPECT_EQ(receive(), "abc");
}

TEST_F(DescriptorTest, WakingAllEndsBothWaits) {
    const std::string piece(64u << 10, 'x');
    while (::send(ours_->number(), piece.data(), piece.size(), 0) > 0) continue;
    ours_->wrote_nothing();
    std::optional<Result<void>> read, written;
    wait_to_read(read);
    wait_to_write(written);
    ours_->wake_all();
    take_turns();
    EXPECT_TRUE(read && *read);
    EXPECT_TRUE(written && *written);
}

// A peer that sends without pause must not keep other connections from being served.
TEST_F(DescriptorTest, ABusyReaderLetsOthersGoFirstNowAndThen) {
    send("abc");
    struct Counts {
        int waits = 0;
        bool others = false;
        bool stop = false;
    } counts;
    tasks_.spawn("busy", [](Descriptor& ours, Counts& seen) -> Task<void> {
        while (!seen.stop && seen.waits < 100'000) {
            CO_TRY(co_await ours.readable());
            ++seen.waits;
        }
        co_return done();
    }(*ours_, counts));
    const auto alarm = reactor_.make_alarm([&counts] { counts.others = true; });
    alarm->set(reactor_.now() + std::chrono::milliseconds(1));
    reactor_.run_until([&counts] { return counts.others; });
    EXPECT_LT(counts.waits, 100'000);
    EXPECT_GT(counts.waits, 16);
    counts.stop = true;
}

TEST_F(DescriptorTest, AReleasedDescriptorStaysOpenAndCanBeWatchedAnew) {
    const int number = ours_->release();
    ours_.reset();
    send("abc");
    ours_.emplace(reactor_, number);
    std::optional<Result<void>> ended;
    wait_to_read(ended);
    EXPECT_TRUE(ended);
    EXPECT_EQ(receive(), "abc");
}

}  // namespace
}  // namespace polis::runtime
