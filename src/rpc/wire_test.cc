#include "rpc/wire.h"

#include <gtest/gtest.h>

#include "rpc/compression.h"
#include "rpc/deadline_queue.h"
#include "rpc/flood_guard.h"
#include "rpc/http_target.h"
#include "rpc/message_reader.h"
#include "rpc/outbox.h"
#include "rpc/send_queue.h"
#include "rpc/server.h"

namespace polis::rpc {
namespace {

using namespace std::chrono_literals;

std::string message(std::string_view body, char flag = 0) {
    std::string octets(1, flag);
    for (const int shift : {24, 16, 8, 0}) octets += static_cast<char>(body.size() >> shift);
    return octets.append(body);
}

TEST(Wire, StatusMessagesSurviveEncoding) {
    EXPECT_EQ(percent_encode("a b%\n\xe2\x98\xba"), "a b%25%0A%E2%98%BA");
    EXPECT_EQ(percent_decode("a b%25%0A%E2%98%BA"), "a b%\n\xe2\x98\xba");
    EXPECT_EQ(percent_decode("100% %zz %2"), "100% %zz %2");
}

TEST(Wire, OctetsSurviveBase64OfAnyLength) {
    std::string octets;
    for (int i = 0; i < 20; ++i) {
        EXPECT_EQ(base64_decode(base64_encode(octets)), octets);
        octets += static_cast<char>(i * 37);
    }
    EXPECT_EQ(base64_decode("YQ=="), "a");
    EXPECT_EQ(base64_decode("YQ"), "a");
    EXPECT_EQ(base64_decode("Y"), std::nullopt);
    EXPECT_EQ(base64_decode("Y!"), std::nullopt);
}

TEST(Wire, TimeoutsAreReadAsWritten) {
    EXPECT_EQ(parse_timeout("10S"), Duration(10s));
    EXPECT_EQ(parse_timeout("99999999n"), Duration(99'999'999));
    EXPECT_EQ(parse_timeout("99999999H"), Duration::max());
    for (const std::string_view bad : {"", "S", "10", "123456789S", "-1S", "1x", "1.5S"}) {
        EXPECT_EQ(parse_timeout(bad), std::nullopt) << bad;
    }
}

TEST(Wire, TimeoutsAreWrittenWithoutGettingShorter) {
    EXPECT_EQ(format_timeout(Duration(0)), "1n");
    EXPECT_EQ(format_timeout(Duration(1s)), "1000000u");
    EXPECT_EQ(format_timeout(Duration(100'000'001)), "100001u");
    for (const Duration span : {Duration(1), Duration(3h), Duration(1234567891011), Duration(10000h)}) {
        EXPECT_GE(parse_timeout(format_timeout(span)).value(), span);
    }
}

TEST(Wire, OnlyGrpcContentTypesAreGrpc) {
    EXPECT_TRUE(is_grpc_content_type("application/grpc"));
    EXPECT_TRUE(is_grpc_content_type("application/grpc+proto"));
    EXPECT_TRUE(is_grpc_content_type("application/grpc;charset=utf-8"));
    EXPECT_FALSE(is_grpc_content_type("application/grpc-web"));
    EXPECT_FALSE(is_grpc_content_type("application/json"));
}

TEST(Compression, BombIsStoppedAtTheLimit) {
    const std::string packed = gzip(std::string(10u << 20, 'a'));
    EXPECT_LT(packed.size(), 100u << 10);
    EXPECT_EQ(gunzip(packed, 1u << 20).error().code, Code::Overloaded);
    EXPECT_EQ(gunzip(packed, 10u << 20).value().size(), 10u << 20);
    EXPECT_EQ(gunzip(packed, (10u << 20) - 1).error().code, Code::Overloaded);
}

TEST(Compression, DamagedOrCutMemberIsRefused) {
    const std::string packed = gzip("hello");
    EXPECT_EQ(gunzip(packed, 100).value(), "hello");
    EXPECT_FALSE(gunzip(packed.substr(0, packed.size() - 1), 100).has_value());
    EXPECT_FALSE(gunzip(packed + "x", 100).has_value());
    EXPECT_FALSE(gunzip("not gzip", 100).has_value());
    EXPECT_FALSE(gunzip("", 100).has_value());
}

TEST(MessageReader, GivesTheSameMessagesForEverySplit) {
    const std::string octets = message("one") + message("") + message(std::string(300, 'x'));
    for (size_t piece = 1; piece <= octets.size(); ++piece) {
        MessageReader reader(1000, Encoding::Identity);
        std::vector<size_t> sizes;
        for (size_t at = 0; at < octets.size(); at += piece) {
            reader.feed(std::string_view(octets).substr(at, piece));
            while (reader.ready()) sizes.push_back(reader.pop().size());
        }
        EXPECT_EQ(sizes, (std::vector<size_t>{3, 0, 300}));
        EXPECT_FALSE(reader.partial());
    }
}

TEST(MessageReader, HoldsUnreadMessagesAsTheOctetsTheyCameIn) {
    MessageReader reader(1000, Encoding::Identity);
    std::string octets;
    for (int i = 0; i < 1000; ++i) octets += message("");
    reader.feed(octets);
    EXPECT_EQ(reader.backlog_bytes(), 999u * 5);
    int count = 0;
    for (; reader.ready(); ++count) (void)reader.pop();
    EXPECT_EQ(count, 1000);
    EXPECT_EQ(reader.backlog_bytes(), 0u);
}

TEST(MessageReader, RefusesByTheClaimedLengthBeforeTheBodyComes) {
    MessageReader reader(10, Encoding::Identity);
    reader.feed(message(std::string(11, 'x')).substr(0, 5));
    ASSERT_TRUE(reader.error().has_value());
    EXPECT_EQ(reader.error()->code, StatusCode::ResourceExhausted);
    EXPECT_EQ(reader.error()->message, "grpc: received message larger than max (11 vs. 10)");
}

TEST(MessageReader, RefusesCompressionThatWasNotAnnounced) {
    MessageReader reader(10, Encoding::Identity);
    reader.feed(message("x", 1));
    EXPECT_EQ(reader.error()->code, StatusCode::Internal);
}

TEST(MessageReader, BoundsWhatAMessageUnpacksTo) {
    MessageReader reader(1000, Encoding::Gzip);
    reader.feed(message(gzip("small"), 1));
    EXPECT_EQ(reader.pop(), "small");
    reader.feed(message(gzip(std::string(1001, 'x')), 1));
    EXPECT_EQ(reader.error()->code, StatusCode::ResourceExhausted);
}

std::string text_of(Outbox& outbox) {
    std::string text;
    for (const std::string_view part : outbox.parts()) text += part;
    return text;
}

// Small pieces are copied together and large ones shared: what is left after each number of sent octets must be the same.
TEST(Outbox, GivesWhatIsNotDropped) {
    const std::string large(5000, 'L');
    const std::string whole = "head" + large + "middle" + large + "tail";
    for (size_t dropped = 0; dropped <= whole.size(); dropped += dropped < 20 ? 1 : 613) {
        Outbox outbox;
        outbox.append("head");
        outbox.append(Bytes::copy(large));
        outbox.append(Bytes::copy("middle"));
        outbox.append(Bytes::copy(large));
        outbox.append("tail");
        outbox.drop(dropped);
        EXPECT_EQ(outbox.bytes(), whole.size() - dropped);
        EXPECT_TRUE(text_of(outbox) == whole.substr(dropped)) << dropped;
        const size_t rest = outbox.bytes();
        outbox.append("more");
        outbox.drop(rest);
        EXPECT_EQ(text_of(outbox), "more");
        outbox.drop(4);
        EXPECT_TRUE(outbox.empty());
        outbox.append("new");
        EXPECT_EQ(text_of(outbox), "new");
    }
}

TEST(SendQueue, GivesPrefixesAndBodiesForEverySplit) {
    for (size_t step = 1; step < 30; ++step) {
        SendQueue queue;
        for (const std::string_view body : {"hello", "", "world!"}) {
            queue.push(Bytes::copy(body), SendQueue::Framing::Grpc);
        }
        queue.push(Bytes::copy("raw"), SendQueue::Framing::Raw);
        std::string sent;
        while (!queue.empty()) {
            queue.take(std::min(step, queue.bytes()), [&](auto piece) { sent.append(std::string_view(piece)); });
        }
        EXPECT_EQ(sent, message("hello") + message("") + message("world!") + "raw");
    }
}

TEST(FloodGuard, LimitsEachKindWithinASecond) {
    FloodGuard guard(3);
    const Instant start{1h};
    for (int i = 0; i < 3; ++i) EXPECT_FALSE(guard.count(FloodGuard::Event::StreamReset, start).has_value());
    EXPECT_TRUE(guard.count(FloodGuard::Event::StreamReset, start).has_value());
    EXPECT_FALSE(guard.count(FloodGuard::Event::Settings, start).has_value());
    EXPECT_FALSE(guard.count(FloodGuard::Event::StreamReset, start + 1s).has_value());
}

TEST(PingPolice, EndsAtTheThirdEarlyPing) {
    PingPolice police(5s);
    Instant now{1h};
    EXPECT_FALSE(police.ping_received(now, true));
    EXPECT_FALSE(police.ping_received(now + 1s, true));
    EXPECT_FALSE(police.ping_received(now + 2s, true));
    EXPECT_TRUE(police.ping_received(now + 3s, true));
}

TEST(PingPolice, AllowsPingsAtTheAgreedPaceAndAfterData) {
    PingPolice police(5s);
    Instant now{1h};
    for (int i = 0; i < 100; ++i) EXPECT_FALSE(police.ping_received(now = now + 5s, true));
    for (int i = 0; i < 100; ++i) {
        police.data_sent();
        EXPECT_FALSE(police.ping_received(now, true));
    }
}

TEST(PingPolice, WithoutCallsPingsMustBeRare) {
    PingPolice police(5s);
    Instant now{1h};
    bool ended = false;
    for (int i = 0; i < 4; ++i) ended = police.ping_received(now = now + 1min, false);
    EXPECT_TRUE(ended);
}

TEST(HttpTarget, DecodesPathAndQuery) {
    const auto target = parse_target("/a%2Fb+c?x=1&y=%20+&x=2&flag");
    ASSERT_TRUE(target.has_value());
    EXPECT_EQ(target->path, "/a/b+c");
    EXPECT_EQ(target->query.at("x"), "2");
    EXPECT_EQ(target->query.at("y"), "  ");
    EXPECT_EQ(target->query.at("flag"), "");
    EXPECT_FALSE(parse_target("/%zz").has_value());
    EXPECT_FALSE(parse_target("/%00").has_value());
    EXPECT_FALSE(parse_target("/%4").has_value());
    EXPECT_FALSE(parse_target("a").has_value());
}

runtime::Task<void> ignore_request(HttpExchange&) { co_return runtime::done(); }

TEST(Routes, LongestPrefixOfWholeSegmentsWins) {
    Routes routes;
    for (const std::string path : {"/", "/a/", "/a/b", "/a/b/c/"}) routes.http(path, ignore_request);
    EXPECT_NE(routes.find_http("/a/b"), nullptr);
    EXPECT_EQ(routes.find_http("/a/x"), routes.find_http("/a/"));
    EXPECT_EQ(routes.find_http("/a/b/x"), routes.find_http("/a/"));
    EXPECT_EQ(routes.find_http("/a/b/c/d/e"), routes.find_http("/a/b/c/"));
    EXPECT_EQ(routes.find_http("/other"), routes.find_http("/"));
    EXPECT_NE(routes.find_http("/a/b"), routes.find_http("/a/"));
    EXPECT_EQ(Routes().find_http("/x"), nullptr);
}

}  // namespace
}  // namespace polis::rpc
