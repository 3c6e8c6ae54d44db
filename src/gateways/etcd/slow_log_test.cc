// Stories about slow requests: what a line says, how many there are, and whose trace they carry.
#include "gateways/etcd/slow_log.h"

#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "base/log.h"
#include "gateways/etcd/fakes.h"
#include "gateways/etcd/trace.h"

namespace polis::gateways {
namespace {

using namespace std::chrono_literals;
using services::TraceId;

using Line = std::map<std::string, std::string>;
std::vector<Line> lines;  // Of request_slow, by the sink.

/// Gathers lines for as long as it lives.
struct LogFixture {
    LogFixture() {
        lines.clear();
        log::set_sink([](log::Level, std::string_view event, std::span<const log::Field> fields) {
            if (event != "request_slow") return;
            Line line;
            for (const log::Field& field : fields) line.emplace(field.name(), field.text());
            lines.push_back(std::move(line));
        });
    }
    ~LogFixture() { log::set_sink(nullptr); }
};

constexpr Instant start{1000s};

ServedRequest request_of(const services::Credentials& who, Duration took) {
    return {.method = "/etcdserverpb.KV/Put",
            .who = who,
            .code = rpc::StatusCode::Ok,
            .request_bytes = 12,
            .response_bytes = 34,
            .began = start,
            .ended = start + took};
}

TEST(SlowLog, SaysWhereTheTimeWent) {
    const LogFixture fixture;
    SlowLog log(100ms);
    services::Credentials who;
    who.trace = {0x0af7651916cd43dd, 0x8448eb211c80319c};
    who.phases = std::make_shared<services::RequestPhases>();
    who.phases->user = "ann";
    who.phases->proposed = start + 1ms;
    who.phases->committed = start + 90ms;
    who.phases->applied = start + 98ms;
    log.note(request_of(who, 101ms));
    ASSERT_EQ(lines.size(), 1u);
    const Line& line = lines[0];
    EXPECT_EQ(line.at("method"), "/etcdserverpb.KV/Put");
    EXPECT_EQ(line.at("user"), "ann");
    EXPECT_EQ(line.at("trace"), "0af7651916cd43dd8448eb211c80319c");
    EXPECT_EQ(line.at("request_bytes"), "12");
    EXPECT_EQ(line.at("response_bytes"), "34");
    EXPECT_EQ(line.at("took_ms"), "101.000000");
    EXPECT_EQ(line.at("queued_ms"), "1.000000");
    EXPECT_EQ(line.at("committed_ms"), "89.000000");
    EXPECT_EQ(line.at("applied_ms"), "8.000000");
    EXPECT_EQ(line.at("answered_ms"), "3.000000");
    EXPECT_FALSE(line.contains("not_logged"));
}

TEST(SlowLog, LeavesOutPhasesThatWereNotReached) {
    const LogFixture fixture;
    SlowLog log(100ms);
    services::Credentials who;
    who.phases = std::make_shared<services::RequestPhases>();
    who.phases->proposed = start + 1ms;
    log.note(request_of(who, 7s));
    ASSERT_EQ(lines.size(), 1u);
    EXPECT_TRUE(lines[0].contains("queued_ms"));
    EXPECT_FALSE(lines[0].contains("committed_ms"));
    EXPECT_EQ(lines[0].at("answered_ms"), "6999.000000");
}

TEST(SlowLog, SaysNothingOfWhatWasFastNorWhenItIsOff) {
    const LogFixture fixture;
    const services::Credentials who;
    SlowLog log(100ms);
    log.note(request_of(who, 100ms));
    SlowLog off(Duration(0));
    off.note(request_of(who, 1h));
    EXPECT_TRUE(lines.empty());
    EXPECT_EQ(log.count(), 0u);
}

TEST(SlowLog, IsNotFloodedByASlowDisk) {
    const LogFixture fixture;
    SlowLog log(100ms);
    const services::Credentials who;
    for (int i = 0; i < 10'000; ++i) log.note(request_of(who, 200ms));
    EXPECT_EQ(lines.size(), 2 * SlowLog::lines_per_s);
    EXPECT_EQ(log.count(), 10'000u);
    lines.clear();
    log.note(request_of(who, 2s));
    ASSERT_EQ(lines.size(), 1u);
    EXPECT_EQ(lines[0].at("not_logged"), std::to_string(10'000 - 2 * SlowLog::lines_per_s));
}

TEST(SlowLog, KnowsTheCallsOfTheGateway) {
    const LogFixture fixture;
    fakes::Desk desk;
    desk.coord.delay = 150ms;
    rpc::Metadata metadata;
    metadata.add("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    EXPECT_TRUE(desk.call("/etcdserverpb.Lease/LeaseRevoke", {}, metadata).status.ok());
    EXPECT_EQ(desk.coord.last_caller.trace, (TraceId{0x0af7651916cd43dd, 0x8448eb211c80319c}));
    ASSERT_EQ(lines.size(), 1u);
    EXPECT_EQ(lines[0].at("method"), "/etcdserverpb.Lease/LeaseRevoke");
    EXPECT_EQ(lines[0].at("code"), "OK");
    EXPECT_EQ(lines[0].at("trace"), "0af7651916cd43dd8448eb211c80319c");
    desk.coord.refusal = services::Refusal::LeaseNotFound;
    (void)desk.call("/etcdserverpb.Lease/LeaseRevoke", {});
    ASSERT_EQ(lines.size(), 2u);
    EXPECT_EQ(lines[1].at("code"), "NOT_FOUND");
    EXPECT_EQ(lines[1].at("trace").size(), 32u);
    desk.coord.delay = 50ms;
    (void)desk.call("/etcdserverpb.Lease/LeaseRevoke", {});
    EXPECT_EQ(lines.size(), 2u);
}

TEST(SlowLog, CanBeSwitchedOff) {
    const LogFixture fixture;
    fakes::Desk desk({.slow_request = Duration(0)});
    desk.coord.delay = 1h;
    (void)desk.call("/etcdserverpb.Lease/LeaseRevoke", {});
    EXPECT_TRUE(lines.empty());
    EXPECT_EQ(desk.coord.last_caller.phases, nullptr);
}

TEST(Trace, IsTakenFromTheCaller) {
    const auto trace = parse_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    ASSERT_TRUE(trace.has_value());
    EXPECT_EQ(to_text(*trace), "0af7651916cd43dd8448eb211c80319c");
    // A later version may have more behind.
    EXPECT_TRUE(parse_traceparent("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more").has_value());
}

TEST(Trace, OfAnotherFormIsNotTaken) {
    for (const char* wrong : {"", "00", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
                              "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
                              "00-00000000000000000000000000000000-b7ad6b7169203331-01",
                              "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
                              "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                              "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
                              "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01more",
                              "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}) {
        EXPECT_FALSE(parse_traceparent(wrong).has_value()) << wrong;
    }
}

TEST(Trace, MadeOnesDiffer) {
    TraceSource source(1);
    const TraceId one = source.next();
    EXPECT_NE(one, source.next());
    EXPECT_NE(one.low, 0u);
}

}  // namespace
}  // namespace polis::gateways
