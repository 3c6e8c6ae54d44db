// Stories about RangeStream: parts of bounded size, one revision, a client that takes its time.
#include <gtest/gtest.h>

#include "services/coord/coord_fixture.h"

namespace polis::services {
namespace {

const std::string everything(1, '\0');

/// Takes the parts of one stream, after each doing what the test wants done meanwhile.
struct Taken {
    std::vector<pb::RangeResponse> parts;
    std::vector<std::string> keys;

    int pairs() const { return static_cast<int>(keys.size()); }
};

class StreamFixture : public CoordFixture {
public:
    using CoordFixture::CoordFixture;

    Result<Reply<void>> stream(pb::RangeRequest request, Taken& taken, const std::function<void()>& meanwhile = {}) {
        return run(reactor, coord->range_stream(nobody, std::move(request), [&](pb::RangeStreamResponse part) {
            taken.parts.push_back(part.range_response());
            for (const auto& pair : part.range_response().kvs()) taken.keys.push_back(pair.key());
            if (meanwhile) meanwhile();
            return []() -> runtime::Task<void> { co_return runtime::done(); }();
        }));
    }
    Taken take(pb::RangeRequest request) {
        Taken taken;
        const auto ended = stream(std::move(request), taken);
        EXPECT_TRUE(ended && *ended);
        return taken;
    }
    void put_many(int count, size_t value_bytes) {
        for (int i = 0; i < count; ++i) put(key(i), std::string(value_bytes, 'x'));
    }
    static std::string key(int i) {
        std::string number = std::to_string(i);
        return "k" + std::string(6 - number.size(), '0') + number;
    }
};

TEST(RangeStream, GivesWhatRangeGivesInPartsOfBoundedSize) {
    CoordOptions options = CoordFixture::fast_options();
    options.request_bytes_max = 64u << 10;
    StreamFixture fixture(options);
    fixture.put_many(3000, 500);
    const auto request = fixture.range_of("k", everything);
    const Taken taken = fixture.take(request);
    const auto whole = fixture.get(fixture.coord->range(fixture.nobody, request));
    ASSERT_EQ(taken.pairs(), whole.kvs_size());
    for (int i = 0; i < whole.kvs_size(); ++i) EXPECT_EQ(taken.keys[static_cast<size_t>(i)], whole.kvs(i).key());
    EXPECT_GT(taken.parts.size(), 20u);
    for (const pb::RangeResponse& part : taken.parts) {
        EXPECT_GT(part.kvs_size(), 0);
        EXPECT_LE(part.ByteSizeLong(), options.request_bytes_max + (16u << 10));
    }
    EXPECT_EQ(taken.parts.back().count(), 3000);
    EXPECT_EQ(taken.parts.back().header().revision(), 3001);
    EXPECT_FALSE(taken.parts.back().more());
}

TEST(RangeStream, BeginsWithTenKeysAndGrows) {
    StreamFixture fixture;
    fixture.put_many(100, 1);
    const Taken taken = fixture.take(fixture.range_of("k", everything));
    ASSERT_EQ(taken.parts.size(), 4u);
    EXPECT_EQ(taken.parts[0].kvs_size(), 10);
    EXPECT_EQ(taken.parts[1].kvs_size(), 20);
    EXPECT_EQ(taken.parts[2].kvs_size(), 40);
    EXPECT_EQ(taken.parts[3].kvs_size(), 30);
    for (size_t i = 0; i < 3; ++i) {
        EXPECT_FALSE(taken.parts[i].has_header());
        EXPECT_EQ(taken.parts[i].count(), 0);
    }
}

TEST(RangeStream, ShowsOneRevisionWhateverIsWrittenMeanwhile) {
    StreamFixture fixture;
    fixture.put_many(100, 1);
    Taken taken;
    int round = 0;
    const auto ended = fixture.stream(fixture.range_of("k", everything), taken, [&] {
        ++round;
        // The twin applies at once; no loop is run inside the stream's own.
        fixture.replica.apply_now(CommandKind::Put, fixture.put_of("k" + std::to_string(round) + "new", "1"));
        pb::DeleteRangeRequest removal;
        removal.set_key(fixture.key(99));
        fixture.replica.apply_now(CommandKind::DeleteRange, removal);
    });
    ASSERT_TRUE(ended && *ended);
    EXPECT_EQ(taken.pairs(), 100);
    EXPECT_EQ(taken.keys.back(), fixture.key(99));
    EXPECT_EQ(taken.parts.back().count(), 100);
    EXPECT_EQ(taken.parts.back().header().revision(), 101);
    EXPECT_GT(fixture.coord->status().revision, 101);
}

// A client that takes hours must not keep the store from forgetting; etcd's stream ends the same way.
TEST(RangeStream, EndsWhenItsRevisionIsCompacted) {
    StreamFixture fixture;
    fixture.put_many(100, 1);
    Taken taken;
    const auto ended = fixture.stream(fixture.range_of("k", everything), taken, [&] {
        fixture.replica.apply_now(CommandKind::Put, fixture.put_of("other", "1"));
        pb::CompactionRequest compaction;
        compaction.set_revision(fixture.coord->status().revision);
        fixture.replica.apply_now(CommandKind::Compact, compaction);
    });
    ASSERT_TRUE(ended.has_value());
    ASSERT_FALSE(ended->has_value());
    EXPECT_EQ(ended->error(), Refusal::Compacted);
    EXPECT_EQ(taken.pairs(), 10);
}

TEST(RangeStream, WaitsForTheClient) {
    StreamFixture fixture;
    fixture.put_many(100, 1);
    runtime::Signal ready;
    int begun = 0;
    runtime::TaskGroup group(fixture.reactor);
    group.spawn("stream", [](StreamFixture& on, runtime::Signal& signal, int& count) -> runtime::Task<void> {
        std::function<runtime::Task<void>(pb::RangeStreamResponse)> sink = [&](pb::RangeStreamResponse) {
            ++count;
            return [](runtime::Signal& until) -> runtime::Task<void> { co_return co_await until.wait(); }(signal);
        };
        auto streaming = on.coord->range_stream(on.nobody, on.range_of("k", everything), std::move(sink));
        CO_LET(const Reply<void> ended, co_await streaming);
        EXPECT_TRUE(ended.has_value());
        co_return runtime::done();
    }(fixture, ready, begun));
    for (int part = 1; part <= 4; ++part) {
        fixture.reactor.run_for(std::chrono::hours(1));
        EXPECT_EQ(begun, part);
        ready.notify_all();
    }
    EXPECT_TRUE(run(fixture.reactor, group.join()).has_value());
    EXPECT_EQ(begun, 4);
}

TEST(RangeStream, CountsAllAndSendsUpToItsLimit) {
    StreamFixture fixture;
    fixture.put_many(100, 1);
    auto request = fixture.range_of("k", everything);
    request.set_limit(25);
    const Taken limited = fixture.take(request);
    EXPECT_EQ(limited.pairs(), 25);
    EXPECT_TRUE(limited.parts.back().more());
    EXPECT_EQ(limited.parts.back().count(), 100);
    request.set_limit(100);
    EXPECT_FALSE(fixture.take(request).parts.back().more());

    auto counting = fixture.range_of("k", everything);
    counting.set_count_only(true);
    const Taken counted = fixture.take(counting);
    ASSERT_EQ(counted.parts.size(), 1u);
    EXPECT_EQ(counted.parts[0].count(), 100);
    EXPECT_FALSE(counted.parts[0].more());

    auto keys = fixture.range_of("k", everything);
    keys.set_keys_only(true);
    for (const pb::RangeResponse& part : fixture.take(keys).parts)
        for (const auto& pair : part.kvs()) EXPECT_TRUE(pair.value().empty());
}

TEST(RangeStream, AnswersOnceWhenThereIsNothing) {
    StreamFixture fixture;
    const Taken nothing = fixture.take(fixture.range_of("k", everything));
    ASSERT_EQ(nothing.parts.size(), 1u);
    EXPECT_TRUE(nothing.parts[0].has_header());
    EXPECT_EQ(nothing.parts[0].count(), 0);
    fixture.put("k", "1");
    EXPECT_EQ(fixture.take(fixture.range_of("k")).pairs(), 1);
    EXPECT_EQ(fixture.take(fixture.range_of("z", "a")).pairs(), 0);
}

}  // namespace
}  // namespace polis::services
