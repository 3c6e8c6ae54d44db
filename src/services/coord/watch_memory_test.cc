// What idle watches cost: octets of the heap, counted.
#include <gtest/gtest.h>
#include <malloc.h>

#include <memory>
#include <string>
#include <vector>

#include "services/coord/coord_fixture.h"

namespace polis::services {
namespace {

constexpr size_t bytes_per_watch_max = 1024;

/// Zero under AddressSanitizer, whose allocator is its own.
size_t heap_bytes() { return mallinfo2().uordblks; }

/// Opens `streams` with `watches` each, takes all answers, and gives what one watch has cost.
size_t bytes_per_watch(CoordFixture& fixture, std::vector<std::unique_ptr<WatchStream>>& open, size_t streams,
                       size_t watches, bool ranges) {
    const size_t before = heap_bytes();
    pb::WatchRequest request;
    for (size_t i = 0; i < streams; ++i) {
        open.push_back(fixture.coord->watch(fixture.nobody));
        for (size_t n = 0; n < watches; ++n) {
            // As Kubernetes names what it watches.
            const std::string key = "/registry/pods/namespace-" + std::to_string(i) + "/pod-" + std::to_string(n);
            request.mutable_create_request()->set_key(key);
            if (ranges) request.mutable_create_request()->set_range_end(key + "0");
            open.back()->request(request);
            EXPECT_TRUE(fixture.next(*open.back()).head.created());
        }
    }
    fixture.reactor.run_for(std::chrono::minutes(2));  // The deadlines that the test itself has set are over.
    return (heap_bytes() - before) / (streams * watches);
}

class WatchMemory : public testing::Test {
protected:
    CoordFixture fixture_;
    std::vector<std::unique_ptr<WatchStream>> open_;
};

TEST_F(WatchMemory, AHundredThousandWatchesOfKeysOnTenStreams) {
    const size_t bytes = bytes_per_watch(fixture_, open_, 10, 10'000, false);
    RecordProperty("bytes_per_watch", static_cast<int>(bytes));
    EXPECT_LE(bytes, bytes_per_watch_max);
    // They work: one of them hears of its key.
    fixture_.put("/registry/pods/namespace-3/pod-77", "1");
    EXPECT_EQ(fixture_.next(*open_[3]).head.watch_id(), 77);
}

TEST_F(WatchMemory, AHundredThousandWatchesOfRangesOnTenStreams) {
    const size_t bytes = bytes_per_watch(fixture_, open_, 10, 10'000, true);
    RecordProperty("bytes_per_watch", static_cast<int>(bytes));
    EXPECT_LE(bytes, bytes_per_watch_max);
}

TEST_F(WatchMemory, TenThousandStreamsWithOneWatchEach) {
    const size_t bytes = bytes_per_watch(fixture_, open_, 10'000, 1, true);
    RecordProperty("bytes_per_watch", static_cast<int>(bytes));
    EXPECT_LE(bytes, bytes_per_watch_max);
}

TEST_F(WatchMemory, IsGivenBack) {
    (void)bytes_per_watch(fixture_, open_, 10, 1000, true);
    open_.clear();
    const size_t before = heap_bytes();
    for (int round = 0; round < 5; ++round) {
        (void)bytes_per_watch(fixture_, open_, 10, 1000, true);
        open_.clear();
    }
    EXPECT_LE(heap_bytes(), before + (64u << 10));
}

}  // namespace
}  // namespace polis::services
