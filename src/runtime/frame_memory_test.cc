#include "runtime/frame_memory.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "runtime/task.h"

namespace polis::runtime {
namespace {

TEST(FrameMemory, GivesAnEndedFrameToTheNextOfItsSize) {
    FrameMemory::free(FrameMemory::allocate(65), 65);  // A thread's first frame is not kept.
    void* const first = FrameMemory::allocate(65);
    FrameMemory::free(first, 65);
    EXPECT_EQ(FrameMemory::kept_bytes() > 0, FrameMemory::enabled);
    void* const second = FrameMemory::allocate(80);
    if (FrameMemory::enabled) {
        EXPECT_EQ(second, first);
    }
    FrameMemory::free(second, 80);
}

TEST(FrameMemory, KeepsSizesApart) {
    void* const small = FrameMemory::allocate(64);
    FrameMemory::free(small, 64);
    void* const large = FrameMemory::allocate(65);
    EXPECT_NE(large, small);
    FrameMemory::free(large, 65);
}

void keep_many() {
    FrameMemory::free(FrameMemory::allocate(1024), 1024);
    const size_t before = FrameMemory::kept_bytes();
    std::vector<void*> frames(1000);
    for (void*& frame : frames) frame = FrameMemory::allocate(1024);
    for (void* frame : frames) FrameMemory::free(frame, 1024);
    const size_t kept = FrameMemory::kept_bytes();
    EXPECT_EQ(kept > before, FrameMemory::enabled);
    EXPECT_LE(kept, before + FrameMemory::kept_bytes_max);

    std::vector<void*> large(100);
    for (void*& frame : large) frame = FrameMemory::allocate(FrameMemory::pooled_bytes_max + 1);
    for (void* frame : large) FrameMemory::free(frame, FrameMemory::pooled_bytes_max + 1);
    EXPECT_EQ(FrameMemory::kept_bytes(), kept);
}

TEST(FrameMemory, BoundsWhatItKeeps) { std::thread(keep_many).join(); }

TEST(FrameMemory, TakesFramesOfOtherThreads) {
    void* frame = nullptr;
    std::thread([&frame] { frame = FrameMemory::allocate(300); }).join();
    const size_t before = FrameMemory::kept_bytes();
    FrameMemory::free(frame, 300);
    EXPECT_GE(FrameMemory::kept_bytes(), before);
    std::thread([] { FrameMemory::free(FrameMemory::allocate(300), 300); }).join();
}

Task<int> child(int number) { co_return number; }
Task<int> parent() {
    int sum = 0;
    for (int i = 0; i < 10; ++i) {
        CO_LET(const int number, co_await child(i));
        sum += number;
    }
    co_return sum;
}

TEST(FrameMemory, ServesTasks) {
    const size_t before = FrameMemory::kept_bytes();
    EXPECT_EQ(parent().run_ready(), 45);
    EXPECT_EQ(parent().run_ready(), 45);
    const size_t kept = FrameMemory::kept_bytes() - before;
    EXPECT_LE(kept, 2048u);
}

}  // namespace
}  // namespace polis::runtime
