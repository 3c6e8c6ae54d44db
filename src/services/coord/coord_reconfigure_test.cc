// Stories about limits that change while coord runs: who was refused before is served after, and the other way round.
#include <gtest/gtest.h>

#include "services/coord/coord_fixture.h"

namespace polis::services {
namespace {

using namespace std::chrono_literals;

pb::TxnRequest txn_of(int operations) {
    pb::TxnRequest request;
    for (int i = 0; i < operations; ++i)
        request.add_success()->mutable_request_put()->set_key("key " + std::to_string(i));
    return request;
}

TEST(CoordReconfigure, SizesOfRequestsAndTxns) {
    CoordOptions options = CoordFixture::fast_options();
    options.operations_per_txn_max = 4;
    options.request_bytes_max = 1000;
    CoordFixture fixture(options);
    const std::string large(2000, 'x');
    EXPECT_EQ(fixture.refusal(fixture.coord->txn(fixture.nobody, txn_of(5))), Refusal::TooManyOperations);
    EXPECT_EQ(fixture.refusal(fixture.coord->put(fixture.nobody, fixture.put_of("a", large))),
              Refusal::RequestTooLarge);

    options.operations_per_txn_max = 5;
    options.request_bytes_max = 3000;
    fixture.coord->reconfigure(options);
    EXPECT_TRUE(fixture.get(fixture.coord->txn(fixture.nobody, txn_of(5))).succeeded());
    fixture.put("a", large);

    options.operations_per_txn_max = 1;
    options.request_bytes_max = 1000;
    fixture.coord->reconfigure(options);
    EXPECT_EQ(fixture.refusal(fixture.coord->txn(fixture.nobody, txn_of(2))), Refusal::TooManyOperations);
    EXPECT_EQ(fixture.refusal(fixture.coord->put(fixture.nobody, fixture.put_of("a", large))),
              Refusal::RequestTooLarge);
}

TEST(CoordReconfigure, RatesOfUsers) {
    CoordOptions options = CoordFixture::fast_options();
    options.user_requests_per_s = 1;
    CoordFixture fixture(options);
    fixture.put("a", "1");
    EXPECT_EQ(fixture.refusal(fixture.coord->put(fixture.nobody, fixture.put_of("a", "2"))), Refusal::UserRateExceeded);

    options.user_requests_per_s = 0;
    fixture.coord->reconfigure(options);
    for (int i = 0; i < 50; ++i) fixture.put("a", "3");

    options.user_requests_per_s = 10;
    options.user_burst = 3;
    fixture.coord->reconfigure(options);
    for (int i = 0; i < 3; ++i) fixture.put("a", "4");
    EXPECT_EQ(fixture.refusal(fixture.coord->put(fixture.nobody, fixture.put_of("a", "5"))), Refusal::UserRateExceeded);
}

// A reload that leaves the rate alone must not give everybody a new burst: reloads would be a way around the limit.
TEST(CoordReconfigure, AnEqualRateForgivesNothing) {
    CoordOptions options = CoordFixture::fast_options();
    options.user_requests_per_s = 1;
    CoordFixture fixture(options);
    fixture.put("a", "1");
    options.request_bytes_max = 1000;
    fixture.coord->reconfigure(options);
    EXPECT_EQ(fixture.refusal(fixture.coord->put(fixture.nobody, fixture.put_of("a", "2"))), Refusal::UserRateExceeded);
}

TEST(CoordReconfigure, LagOfApplying) {
    CoordOptions options = CoordFixture::fast_options();
    CoordFixture fixture(options);
    fixture.members.group.committed = LogIndex(100);
    fixture.put("a", "1");
    options.apply_lag_max = 99;
    fixture.coord->reconfigure(options);
    EXPECT_EQ(fixture.refusal(fixture.coord->put(fixture.nobody, fixture.put_of("a", "2"))), Refusal::TooManyRequests);
    options.apply_lag_max = 100;
    fixture.coord->reconfigure(options);
    fixture.put("a", "2");
}

// The alarm, once raised, is the operator's to clear, as with etcd: a larger quota alone does not.
TEST(CoordReconfigure, QuotaOfTheStore) {
    CoordOptions options = CoordFixture::fast_options();
    options.quota_bytes = 2000;
    CoordFixture fixture(options);
    const std::string large(3000, 'x');
    EXPECT_EQ(fixture.refusal(fixture.coord->put(fixture.nobody, fixture.put_of("a", large))), Refusal::NoSpace);
    options.quota_bytes = 20'000;
    fixture.coord->reconfigure(options);
    EXPECT_EQ(fixture.coord->status().quota_bytes, 20'000);
    EXPECT_EQ(fixture.refusal(fixture.coord->put(fixture.nobody, fixture.put_of("a", large))), Refusal::NoSpace);
    pb::AlarmRequest disarm;
    disarm.set_action(pb::AlarmRequest::DEACTIVATE);
    disarm.set_memberid(1);
    disarm.set_alarm(pb::NOSPACE);
    fixture.get(fixture.coord->alarm(fixture.nobody, disarm));
    fixture.put("a", large);
    options.quota_bytes = 0;  // etcd's default, as at the start.
    fixture.coord->reconfigure(options);
    EXPECT_EQ(fixture.coord->status().quota_bytes, int64_t{2} << 30);
}

TEST(CoordReconfigure, WatchesSpeakAtTheNewPaceAfterTheNextNote) {
    CoordOptions options = CoordFixture::fast_options();
    CoordFixture fixture(options);
    const auto stream = fixture.coord->watch(fixture.nobody);
    pb::WatchRequest request;
    request.mutable_create_request()->set_key("a");
    request.mutable_create_request()->set_progress_notify(true);
    stream->request(request);
    EXPECT_TRUE(fixture.next(*stream).head.created());
    options.watch_progress_interval = 10s;
    fixture.coord->reconfigure(options);
    fixture.reactor.run_for(11min);  // The note that was due anyway.
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(fixture.next(*stream).events.empty());
}

}  // namespace
}  // namespace polis::services
