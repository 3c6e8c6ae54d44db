// Stories about watches: live, from the past, slow, cancelled, refused.
#include <gtest/gtest.h>

#include <map>

#include "base/random.h"
#include "services/coord/coord_fixture.h"
#include "services/coord/watcher.h"

namespace polis::services {
namespace {

pb::WatchRequest create(std::string_view key, std::string_view range_end = {}, int64_t start = 0) {
    pb::WatchRequest request;
    request.mutable_create_request()->set_key(std::string(key));
    request.mutable_create_request()->set_range_end(std::string(range_end));
    request.mutable_create_request()->set_start_revision(start);
    return request;
}

pb::WatchRequest progress() {
    pb::WatchRequest request;
    request.mutable_progress_request();
    return request;
}

/// The message as a client reads it.
pb::WatchResponse whole(const WatchMessage& message) {
    std::string octets = message.head.SerializeAsString();
    for (const Bytes& event : message.events) octets.append(event.view());
    pb::WatchResponse response;
    EXPECT_TRUE(response.ParseFromString(octets));
    return response;
}

const std::string all_keys(1, '\0');

TEST(Watch, TellsOfChangesAsTheyCome) {
    CoordFixture fixture;
    fixture.put("a", "0");
    const auto stream = fixture.coord->watch(fixture.nobody);
    stream->request(create("a"));
    const auto created = whole(fixture.next(*stream));
    EXPECT_TRUE(created.created());
    EXPECT_EQ(created.watch_id(), 0);
    EXPECT_EQ(created.header().revision(), 2);
    fixture.put("b", "1");
    fixture.put("a", "2");
    const auto response = whole(fixture.next(*stream));
    ASSERT_EQ(response.events_size(), 1);
    EXPECT_EQ(response.events(0).kv().key(), "a");
    EXPECT_EQ(response.events(0).kv().mod_revision(), 4);
    EXPECT_EQ(response.events(0).kv().version(), 2);
    EXPECT_FALSE(response.events(0).has_prev_kv());
    EXPECT_TRUE(fixture.silent(*stream));
}

TEST(Watch, CatchesUpFromAPastRevision) {
    CoordFixture fixture;
    fixture.put("a", "1");
    fixture.put("b", "1");
    fixture.put("a", "2");
    const auto stream = fixture.coord->watch(fixture.nobody);
    stream->request(create("a", {}, 2));
    EXPECT_TRUE(fixture.next(*stream).head.created());
    const auto response = whole(fixture.next(*stream));
    ASSERT_EQ(response.events_size(), 2);
    EXPECT_EQ(response.events(0).kv().value(), "1");
    EXPECT_EQ(response.events(1).kv().value(), "2");
    fixture.put("a", "3");
    EXPECT_EQ(whole(fixture.next(*stream)).events(0).kv().value(), "3");
}

TEST(Watch, GivesThePreviousValueLiveAndFromThePast) {
    CoordFixture fixture;
    fixture.put("a", "1");
    auto request = create("a", {}, 2);
    request.mutable_create_request()->set_prev_kv(true);
    const auto live = fixture.coord->watch(fixture.nobody);
    live->request(request);
    fixture.next(*live);
    EXPECT_FALSE(whole(fixture.next(*live)).events(0).has_prev_kv());
    fixture.put("a", "2");
    EXPECT_EQ(whole(fixture.next(*live)).events(0).prev_kv().value(), "1");
    pb::DeleteRangeRequest remove;
    remove.set_key("a");
    fixture.get(fixture.coord->delete_range(fixture.nobody, remove));
    const auto removed = whole(fixture.next(*live)).events(0);
    EXPECT_EQ(removed.type(), mvccpb::Event::DELETE);
    EXPECT_EQ(removed.kv().mod_revision(), 4);
    EXPECT_EQ(removed.kv().create_revision(), 0);
    EXPECT_EQ(removed.prev_kv().value(), "2");

    const auto late = fixture.coord->watch(fixture.nobody);
    late->request(request);
    fixture.next(*late);
    const auto past = whole(fixture.next(*late));
    ASSERT_EQ(past.events_size(), 3);
    EXPECT_FALSE(past.events(0).has_prev_kv());
    EXPECT_EQ(past.events(1).prev_kv().value(), "1");
    EXPECT_EQ(past.events(2).SerializeAsString(), removed.SerializeAsString());
}

TEST(Watch, FromACompactedRevisionIsCancelled) {
    CoordFixture fixture;
    for (int i = 0; i < 5; ++i) fixture.put("a", std::to_string(i));
    pb::CompactionRequest compact;
    compact.set_revision(4);
    compact.set_physical(true);
    fixture.get(fixture.coord->compact(fixture.nobody, compact));
    const auto stream = fixture.coord->watch(fixture.nobody);
    stream->request(create("a", {}, 3));
    EXPECT_TRUE(fixture.next(*stream).head.created());
    const auto response = whole(fixture.next(*stream));
    EXPECT_TRUE(response.canceled());
    EXPECT_EQ(response.compact_revision(), 4);
    EXPECT_EQ(response.header().revision(), 0);
    EXPECT_EQ(response.cancel_reason(), "");
    EXPECT_EQ(stream->watchers(), 0u);
    stream->request(create("a", {}, 4));
    fixture.next(*stream);
    EXPECT_EQ(whole(fixture.next(*stream)).events_size(), 3);
}

TEST(Watch, RefusesWhatCannotBeWatched) {
    CoordFixture fixture;
    const auto stream = fixture.coord->watch(fixture.nobody);
    stream->request(create("b", "a"));
    auto response = whole(fixture.next(*stream));
    EXPECT_TRUE(response.created() && response.canceled());
    EXPECT_EQ(response.watch_id(), -1);
    EXPECT_EQ(response.cancel_reason(), "mvcc: watcher range is empty");
    stream->request(create("a", {}, -1));
    EXPECT_EQ(whole(fixture.next(*stream)).watch_id(), -1);
    auto chosen = create("a");
    chosen.mutable_create_request()->set_watch_id(9);
    stream->request(chosen);
    EXPECT_EQ(fixture.next(*stream).head.watch_id(), 9);
    stream->request(chosen);
    response = whole(fixture.next(*stream));
    EXPECT_EQ(response.watch_id(), -1);
    EXPECT_EQ(response.cancel_reason(), "mvcc: duplicate watch ID provided on the WatchStream");
}

TEST(Watch, CancelEndsIt) {
    CoordFixture fixture;
    const auto stream = fixture.coord->watch(fixture.nobody);
    stream->request(create("a"));
    fixture.next(*stream);
    pb::WatchRequest cancel;
    cancel.mutable_cancel_request()->set_watch_id(0);
    stream->request(cancel);
    EXPECT_TRUE(fixture.next(*stream).head.canceled());
    fixture.put("a", "1");
    EXPECT_TRUE(fixture.silent(*stream));
    stream->request(cancel);
    EXPECT_TRUE(fixture.silent(*stream));
}

TEST(Watch, FiltersPutsOrDeletes) {
    CoordFixture fixture;
    const auto stream = fixture.coord->watch(fixture.nobody);
    auto request = create("a");
    request.mutable_create_request()->add_filters(pb::WatchCreateRequest::NOPUT);
    stream->request(request);
    fixture.next(*stream);
    fixture.put("a", "1");
    EXPECT_TRUE(fixture.silent(*stream));
    pb::DeleteRangeRequest remove;
    remove.set_key("a");
    fixture.get(fixture.coord->delete_range(fixture.nobody, remove));
    EXPECT_EQ(whole(fixture.next(*stream)).events(0).type(), mvccpb::Event::DELETE);
}

TEST(Watch, ProgressComesAfterAllEventsBeforeIt) {
    CoordFixture fixture;
    for (int i = 0; i < 1000; ++i) fixture.put("a", std::to_string(i));
    const auto stream = fixture.coord->watch(fixture.nobody);
    stream->request(progress());  // No watcher: no answer.
    EXPECT_TRUE(fixture.silent(*stream));
    stream->request(create("a", {}, 2));
    stream->request(progress());
    fixture.next(*stream);
    int events = 0;
    for (;;) {
        const auto response = whole(fixture.next(*stream));
        events += response.events_size();
        if (response.watch_id() != -1) continue;
        EXPECT_EQ(response.header().revision(), 1001);
        break;
    }
    EXPECT_EQ(events, 1000);
}

TEST(Watch, AFutureStartDelaysProgressAndSkipsEarlierEvents) {
    CoordFixture fixture;
    const auto stream = fixture.coord->watch(fixture.nobody);
    stream->request(create("a", {}, 4));
    fixture.next(*stream);
    stream->request(progress());
    fixture.put("a", "2");
    fixture.put("a", "3");
    EXPECT_TRUE(fixture.silent(*stream));
    fixture.put("a", "4");
    EXPECT_EQ(whole(fixture.next(*stream)).events(0).kv().value(), "4");
}

TEST(Watch, AutomaticProgressComesToIdleWatchersOnly) {
    CoordOptions options;
    options.watch_progress_interval = std::chrono::seconds(10);
    CoordFixture fixture(options);
    const auto stream = fixture.coord->watch(fixture.nobody);
    auto request = create("a");
    request.mutable_create_request()->set_progress_notify(true);
    stream->request(request);
    fixture.next(*stream);
    const auto response = whole(fixture.next(*stream));
    EXPECT_EQ(response.watch_id(), 0);
    EXPECT_EQ(response.events_size(), 0);
    EXPECT_FALSE(response.created());
    EXPECT_EQ(response.header().revision(), 1);
}

TEST(Watch, NeverSplitsARevisionButForFragments) {
    CoordOptions options;
    options.request_bytes_max = 1000;
    CoordFixture fixture(options);
    const auto stream = fixture.coord->watch(fixture.nobody);
    stream->request(create("k", all_keys));
    auto fragments = create("k", all_keys);
    fragments.mutable_create_request()->set_fragment(true);
    stream->request(fragments);
    fixture.next(*stream);
    fixture.next(*stream);
    const std::string large(400 << 10, 'x');
    pb::TxnRequest txn;
    for (int i = 0; i < 4; ++i) {
        auto& put = *txn.add_success()->mutable_request_put();
        put.set_key("k" + std::to_string(i));
        put.set_value(large);
    }
    auto applied = run(fixture.reactor, fixture.replica.propose({}, encode_command(CommandKind::Txn, txn)));
    ASSERT_TRUE(applied.has_value());
    std::map<int64_t, std::vector<pb::WatchResponse>> got;
    for (int i = 0; i < 5; ++i) {
        const auto response = whole(fixture.next(*stream));
        got[response.watch_id()].push_back(response);
    }
    ASSERT_EQ(got[0].size(), 1u);
    EXPECT_EQ(got[0][0].events_size(), 4);
    ASSERT_EQ(got[1].size(), 4u);
    EXPECT_TRUE(got[1][0].fragment());
    EXPECT_FALSE(got[1][3].fragment());
}

// A client that does not read must cost bounded memory, lose nothing, and not hold up others.
TEST(Watch, ASlowStreamCatchesUpWithoutLoss) {
    CoordOptions options;
    options.watch_buffer_bytes = 2000;
    CoordFixture fixture(options);
    const auto slow = fixture.coord->watch(fixture.nobody);
    slow->request(create("a", all_keys));
    fixture.next(*slow);
    for (int i = 0; i < 2000; ++i) fixture.put("a" + std::to_string(i % 7), std::to_string(i));
    EXPECT_EQ(fixture.coord->status().slow_watchers, 1u);
    EXPECT_LT(fixture.coord->status().pending_events, 200u);
    int64_t last = 1;
    for (int events = 0; events < 2000;) {
        const auto response = whole(fixture.next(*slow));
        for (const auto& event : response.events()) {
            EXPECT_EQ(event.kv().mod_revision(), last + 1);
            last = event.kv().mod_revision();
            ++events;
        }
    }
    EXPECT_TRUE(fixture.silent(*slow));
    EXPECT_EQ(fixture.coord->status().slow_watchers, 0u);
    fixture.put("a", "live again");
    EXPECT_EQ(whole(fixture.next(*slow)).events(0).kv().value(), "live again");
}

/// Everything one watcher was given.
struct Seen {
    int64_t start = 0;
    Interval interval;
    std::vector<mvccpb::Event> events;
};

// Ordered, unique, reliable, atomic and resumable, for watchers of random intervals and starts, some on streams that read seldom.
TEST(Watch, KeepsItsGuaranteesOnRandomHistories) {
    for (uint64_t seed = 1; seed <= 5; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        Chance chance(seed);
        CoordOptions options;
        options.watch_buffer_bytes = 500;
        CoordFixture fixture(options);
        std::vector<std::unique_ptr<WatchStream>> streams;
        std::vector<std::map<int64_t, Seen>> seen(4);
        for (int i = 0; i < 4; ++i) streams.push_back(fixture.coord->watch(fixture.nobody));
        const auto read_one = [&](size_t i) {
            const auto message =
                run(fixture.reactor,
                    runtime::with_deadline(fixture.reactor.now() + std::chrono::milliseconds(50), streams[i]->next()));
            if (!message) return false;
            const auto response = whole(*message);
            for (const auto& event : response.events()) seen[i][response.watch_id()].events.push_back(event);
            return true;
        };
        std::vector<mvccpb::Event> all;
        int64_t revision = 1;
        for (int step = 0; step < 400; ++step) {
            if (chance.happens(100)) {
                const size_t i = chance.below(4);
                const auto start = static_cast<int64_t>(chance.below(static_cast<uint64_t>(revision + 3)));
                const std::string key(1, static_cast<char>('a' + chance.below(5)));
                const std::string end = chance.happens(500) ? std::string(1, 'f') : std::string();
                auto request = create(key, end, start);
                const auto id = static_cast<int64_t>(1000 + step);
                request.mutable_create_request()->set_watch_id(id);
                seen[i][id] = {start != 0 ? start : revision + 1, Interval::of(key, end), {}};
                streams[i]->request(request);
            } else if (chance.happens(300)) {
                read_one(chance.below(2));  // Streams 2 and 3 are not read until the end.
            } else {
                pb::TxnRequest txn;
                for (uint64_t n = chance.below(3); n < 3; ++n) {
                    auto& put = *txn.add_success()->mutable_request_put();
                    put.set_key(std::string(1, static_cast<char>('a' + n)));
                    put.set_value(std::to_string(step));
                }
                revision = fixture.get(fixture.coord->txn(fixture.nobody, txn)).header().revision();
                for (const auto& operation : txn.success()) {
                    all.emplace_back().mutable_kv()->set_key(operation.request_put().key());
                    all.back().mutable_kv()->set_mod_revision(revision);
                }
            }
        }
        for (size_t i = 0; i < 4; ++i)
            while (read_one(i)) continue;
        for (const auto& watchers : seen) {
            for (const auto& [id, watcher] : watchers) {
                std::vector<std::pair<int64_t, std::string>> expected, got;
                for (const auto& event : all)
                    if (event.kv().mod_revision() >= watcher.start && watcher.interval.contains(event.kv().key()))
                        expected.emplace_back(event.kv().mod_revision(), event.kv().key());
                for (const auto& event : watcher.events) got.emplace_back(event.kv().mod_revision(), event.kv().key());
                EXPECT_EQ(got, expected) << "watcher " << id;
            }
        }
        ASSERT_FALSE(::testing::Test::HasFailure());
    }
}

TEST(Watch, AnIdleWatcherIsSmall) { EXPECT_LE(sizeof(Watcher), 256u); }

}  // namespace
}  // namespace polis::services
