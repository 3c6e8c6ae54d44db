// What hostile clients send: raw octets against the server on the simulated network. Each must cost bounded memory and end in the
// connection being closed, with the reason where the protocol has room for one.
#include <gtest/gtest.h>
#include <nghttp2/nghttp2.h>

#include <optional>
#include <string>
#include <vector>

#include "rpc/sim_testing.h"

namespace polis::rpc {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr size_t frame_header_bytes = 9;

std::string number(uint64_t value, int bytes) {
    std::string octets;
    for (int shift = (bytes - 1) * 8; shift >= 0; shift -= 8) octets += static_cast<char>(value >> shift);
    return octets;
}

std::string frame(uint8_t type, uint8_t flags, uint32_t stream, std::string_view payload = {}) {
    return number(payload.size(), 3) + number(type, 1) + number(flags, 1) + number(stream, 4) + std::string(payload);
}

// A literal header field without indexing; name and value shorter than 127.
std::string field(std::string_view name, std::string_view value) {
    return '\0' + number(name.size(), 1) + std::string(name) + number(value.size(), 1) + std::string(value);
}

std::string grpc_head(std::string_view path) {
    return field(":method", "POST") + field(":scheme", "http") + field(":path", path) + field(":authority", "a") +
           field("content-type", "application/grpc") + field("te", "trailers");
}

std::string http_head(std::string_view path) {
    return field(":method", "GET") + field(":scheme", "http") + field(":path", path) + field(":authority", "a");
}

std::string hello() { return std::string(preface) + frame(NGHTTP2_SETTINGS, 0, 0); }

struct Goaway {
    uint32_t error;
    std::string text;
};

// The last GOAWAY among the frames received.
std::optional<Goaway> goaway_in(std::string_view octets) {
    std::optional<Goaway> found;
    while (octets.size() >= frame_header_bytes) {
        const auto octet = [&](size_t at) { return static_cast<size_t>(static_cast<uint8_t>(octets[at])); };
        const size_t size = octet(0) << 16 | octet(1) << 8 | octet(2);
        if (octets.size() < frame_header_bytes + size) break;
        if (octet(3) == NGHTTP2_GOAWAY) {
            found = Goaway{static_cast<uint32_t>(octet(13) << 24 | octet(14) << 16 | octet(15) << 8 | octet(16)),
                           std::string(octets.substr(17, size - 8))};
        }
        octets.remove_prefix(frame_header_bytes + size);
    }
    return found;
}

// The error with which stream `id` was reset, if it was.
std::optional<uint32_t> reset_of(uint32_t id, std::string_view octets) {
    while (octets.size() >= frame_header_bytes) {
        const auto octet = [&](size_t at) { return static_cast<uint32_t>(static_cast<uint8_t>(octets[at])); };
        const auto four = [&](size_t at) {
            return octet(at) << 24 | octet(at + 1) << 16 | octet(at + 2) << 8 | octet(at + 3);
        };
        const size_t size = octet(0) << 16 | octet(1) << 8 | octet(2);
        if (octets.size() < frame_header_bytes + size) break;
        if (octet(3) == NGHTTP2_RST_STREAM && four(5) == id) return four(frame_header_bytes);
        octets.remove_prefix(frame_header_bytes + size);
    }
    return std::nullopt;
}

class Abuse : public testing::SimServer {
protected:
    void SetUp() override {
        routes_.http("/stubborn", [this](HttpExchange& exchange) { return answer_later(stubborn_, exchange); });
        serve(options());
    }
    void TearDown() override {
        stream_.reset();
        stop();
    }
    static ServerOptions options() {
        ServerOptions options;
        options.connections_max = 4;
        return options;
    }

    void connect() {
        stream_ = runtime::run(reactor_, network_.host("client").connect({"server", port}, nullptr)).value();
    }
    bool send(std::string_view octets) {
        return runtime::run(reactor_, runtime::with_deadline(reactor_.now() + 5s, stream_->write(octets))).has_value();
    }
    runtime::Task<bool> read_to_end() {
        std::array<std::byte, 4096> buffer;
        for (;;) {
            const Result<size_t> count = co_await stream_->read_some(buffer);
            if (!count && count.error().code == Code::Timeout) co_return false;
            if (!count || *count == 0) co_return true;
            received_ += as_view(std::span(buffer).first(*count));
        }
    }
    // Whether the server closed the connection within `span`; what it sent is in received_.
    bool closed_within(Duration span) {
        return runtime::run(reactor_, runtime::with_deadline(reactor_.now() + span, read_to_end())).value_or(false);
    }
    // Connects, sends and expects the connection to be closed soon, with this error.
    void expect_goaway(std::string_view octets, uint32_t error, std::string_view text) {
        connect();
        (void)send(octets);
        EXPECT_TRUE(closed_within(5s));
        const std::optional<Goaway> goaway = goaway_in(received_);
        ASSERT_TRUE(goaway.has_value());
        EXPECT_EQ(goaway->error, error);
        EXPECT_EQ(goaway->text, text);
        EXPECT_EQ(service_.running, 0);
    }

    // A handler that waits for what cannot be cut short (a pool, a disk), and then answers piece by piece whatever it is told.
    static runtime::Task<void> answer_later(std::vector<Code>& errors, HttpExchange& exchange) {
        runtime::Scope unbroken;
        CO_TRY(co_await runtime::in_scope(unbroken, runtime::sleep_for(2s)));
        const Result<void> begun = co_await exchange.begin(200, Metadata());
        const Result<void> written = co_await exchange.write("late");
        const Result<void> ended = co_await exchange.end();
        for (const Result<void>& step : {begun, written, ended}) {
            if (!step) errors.push_back(step.error().code);
        }
        co_return runtime::done();
    }

    std::unique_ptr<runtime::Stream> stream_;
    std::string received_;
    std::vector<Code> stubborn_;  // The errors that /stubborn had.
};

TEST_F(Abuse, SlowPrefaceIsCutOff) {
    connect();
    ASSERT_TRUE(send("PR"));
    EXPECT_FALSE(closed_within(9s));
    EXPECT_TRUE(closed_within(5s));
}

TEST_F(Abuse, PrefaceWithoutSettingsIsCutOff) {
    connect();
    ASSERT_TRUE(send(preface));
    EXPECT_TRUE(closed_within(15s));
}

TEST_F(Abuse, SlowHttpHeadIsCutOffHoweverItTrickles) {
    connect();
    ASSERT_TRUE(send("GET / HTTP/1.1\r\n"));
    int lines = 0;
    while (lines < 60 && !closed_within(1s)) {
        ++lines;
        (void)send("X: y\r\n");
    }
    EXPECT_LE(lines, 12);
}

TEST_F(Abuse, SlowHttpBodyIsCutOffHoweverItTrickles) {
    connect();
    ASSERT_TRUE(send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n"));
    int seconds = 0;
    while (seconds < 300 && !closed_within(1s)) {
        ++seconds;
        (void)send("x");
    }
    EXPECT_GE(seconds, 25);
    EXPECT_LE(seconds, 35);
    EXPECT_TRUE(received_.starts_with("HTTP/1.1 408 ")) << received_.substr(0, 60);
}

// A slow line is not an attack: what comes at a fair rate is waited for, however long it takes in all.
TEST_F(Abuse, LargeHttpBodyOverASlowLineIsServed) {
    connect();
    ASSERT_TRUE(send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n"));
    for (int second = 0; second < 50; ++second) {
        ASSERT_TRUE(send(std::string(20'000, 'x')));
        ASSERT_FALSE(closed_within(1s));
    }
    EXPECT_TRUE(received_.starts_with("HTTP/1.1 200 OK\r\n"));
}

TEST_F(Abuse, IdleHttpConnectionIsClosed) {
    connect();
    ASSERT_TRUE(send("GET /health HTTP/1.1\r\nHost: a\r\n\r\n"));
    EXPECT_FALSE(closed_within(60s));
    EXPECT_TRUE(received_.starts_with("HTTP/1.1 200 OK\r\n"));
    EXPECT_TRUE(closed_within(90s));
}

TEST_F(Abuse, ConnectionsOverTheLimitAreClosedAtOnce) {
    std::vector<std::unique_ptr<runtime::Stream>> others;
    for (int i = 0; i < 4; ++i) {
        connect();
        others.push_back(std::move(stream_));
    }
    reactor_.run_for(1s);
    connect();
    EXPECT_TRUE(closed_within(1s));
    EXPECT_EQ(server_->stats().connections_refused, 1u);
    others.clear();
}

TEST_F(Abuse, PingFloodIsTooManyPings) {
    std::string octets = hello();
    for (int i = 0; i < 1000; ++i) octets += frame(NGHTTP2_PING, 0, 0, "12345678");
    expect_goaway(octets, NGHTTP2_ENHANCE_YOUR_CALM, "too_many_pings");
}

TEST_F(Abuse, SettingsFloodIsEnded) {
    std::string octets = hello();
    for (int i = 0; i < 1000; ++i) octets += frame(NGHTTP2_SETTINGS, 0, 0);
    expect_goaway(octets, NGHTTP2_ENHANCE_YOUR_CALM, "too_many_settings");
}

TEST_F(Abuse, RapidResetIsEndedAndLeavesNoHandler) {
    std::string octets = hello();
    for (uint32_t id = 1; id < 20'000; id += 2) {
        octets += frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, id, grpc_head("/interop.Test/PingPong"));
        octets += frame(NGHTTP2_RST_STREAM, 0, id, number(NGHTTP2_CANCEL, 4));
    }
    expect_goaway(octets, NGHTTP2_ENHANCE_YOUR_CALM, "too_many_resets");
    EXPECT_LE(server_->stats().methods["/interop.Test/PingPong"].started, 1001u);
}

TEST_F(Abuse, ResetsThatTheClientProvokesCountAsItsOwn) {
    std::string octets = hello();
    for (uint32_t id = 1; id < 20'000; id += 2) {
        octets += frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, id, grpc_head("/interop.Test/PingPong"));
        octets += frame(NGHTTP2_WINDOW_UPDATE, 0, id, number(0, 4));  // A stream error.
    }
    connect();
    (void)send(octets);
    EXPECT_TRUE(closed_within(5s));
    EXPECT_EQ(service_.running, 0);
    EXPECT_LE(server_->stats().methods["/interop.Test/PingPong"].started, 2001u);
}

TEST_F(Abuse, ContinuationFloodIsEnded) {
    std::string octets = hello() + frame(NGHTTP2_HEADERS, 0, 1, grpc_head("/interop.Test/Echo"));
    for (int i = 0; i < 10'000; ++i) octets += frame(NGHTTP2_CONTINUATION, 0, 1, field("x", "y"));
    connect();
    (void)send(octets);
    EXPECT_TRUE(closed_within(5s));
    EXPECT_EQ(server_->stats().methods["/interop.Test/Echo"].started, 0u);
}

TEST_F(Abuse, EmptyDataFloodIsEnded) {
    std::string octets = hello() + frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, grpc_head("/interop.Test/Sum"));
    for (int i = 0; i < 5000; ++i) octets += frame(NGHTTP2_DATA, 0, 1);
    expect_goaway(octets, NGHTTP2_ENHANCE_YOUR_CALM, "too_many_empty_frames");
}

TEST_F(Abuse, PriorityFloodIsEnded) {
    std::string octets = hello();
    for (int i = 0; i < 20'000; ++i) octets += frame(NGHTTP2_PRIORITY, 0, 1001, number(0, 4) + number(1, 1));
    expect_goaway(octets, NGHTTP2_ENHANCE_YOUR_CALM, "too_many_priorities");
}

TEST_F(Abuse, WindowOverflowIsAFlowControlError) {
    std::string octets = hello();
    for (int i = 0; i < 2; ++i) octets += frame(NGHTTP2_WINDOW_UPDATE, 0, 0, number(0x7fffffff, 4));
    connect();
    (void)send(octets);
    EXPECT_TRUE(closed_within(5s));
    ASSERT_TRUE(goaway_in(received_).has_value());
    EXPECT_EQ(goaway_in(received_)->error, NGHTTP2_FLOW_CONTROL_ERROR);
}

TEST_F(Abuse, DataBeyondTheWindowIsAFlowControlError) {
    std::string octets = hello() + frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, grpc_head("/interop.Test/Deaf"));
    for (int i = 0; i < 200; ++i) octets += frame(NGHTTP2_DATA, 0, 1, std::string(16384, '\0'));
    connect();
    (void)send(octets);
    EXPECT_FALSE(closed_within(5s));
    EXPECT_TRUE(received_.contains(frame(NGHTTP2_RST_STREAM, 0, 1, number(NGHTTP2_FLOW_CONTROL_ERROR, 4))));
    EXPECT_EQ(service_.running, 0);
}

TEST_F(Abuse, IndexedHeaderBombIsEnded) {
    // One entry of 4000 octets in the dynamic table, referred to 16,000 times.
    std::string block = grpc_head("/interop.Test/Echo");
    block += std::string("\x40\x01x\x7f\xa1\x1e", 6) + std::string(4000, 'v');
    std::string octets = hello() + frame(NGHTTP2_HEADERS, 0, 1, block);
    octets += frame(NGHTTP2_CONTINUATION, NGHTTP2_FLAG_END_HEADERS, 1, std::string(16'000, '\xbe'));
    expect_goaway(octets, NGHTTP2_ENHANCE_YOUR_CALM, "header list too large");
}

TEST_F(Abuse, HeaderListOverTheLimitIsRefusedAlone) {
    std::string block = http_head("/health");
    for (int i = 0; i < 700; ++i) block += field("x", std::string(100, 'y'));
    std::string octets = hello();
    octets += frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_STREAM, 1, block.substr(0, 16'000));
    for (size_t at = 16'000; at < block.size(); at += 16'000) {
        const bool last = at + 16'000 >= block.size();
        octets += frame(NGHTTP2_CONTINUATION, last ? NGHTTP2_FLAG_END_HEADERS : 0, 1, block.substr(at, 16'000));
    }
    connect();
    ASSERT_TRUE(send(octets));
    EXPECT_FALSE(closed_within(5s));
    EXPECT_TRUE(received_.contains("431"));
}

// RFC 9113, 8.1.1: a proxy in front might have read another length than we do; what is smuggled that way must not be answered.
TEST_F(Abuse, BodiesOfAnotherLengthThanAnnouncedAreRefusedAlone) {
    const auto post = [](std::string_view length) {
        return field(":method", "POST") + field(":scheme", "http") + field(":path", "/echo") +
               field(":authority", "a") + field("content-length", length);
    };
    const uint8_t end = NGHTTP2_FLAG_END_STREAM;
    const uint8_t whole_head = NGHTTP2_FLAG_END_HEADERS;
    std::string octets = hello();
    octets += frame(NGHTTP2_HEADERS, whole_head, 1, post("5")) + frame(NGHTTP2_DATA, end, 1, "1234");
    octets += frame(NGHTTP2_HEADERS, whole_head, 3, post("5")) + frame(NGHTTP2_DATA, 0, 3, "1234");
    octets += frame(NGHTTP2_DATA, end, 3, "56");
    octets += frame(NGHTTP2_HEADERS, whole_head | end, 5, post("5"));
    octets += frame(NGHTTP2_HEADERS, whole_head, 7, post("5")) + frame(NGHTTP2_DATA, 0, 7, "1234");
    octets += frame(NGHTTP2_HEADERS, whole_head | end, 7, field("x", "trailer"));
    octets += frame(NGHTTP2_HEADERS, whole_head, 9, post("5,5")) + frame(NGHTTP2_DATA, end, 9, "12345");
    octets += frame(NGHTTP2_HEADERS, whole_head, 11, post("5")) + frame(NGHTTP2_DATA, 0, 11, "12");
    octets += frame(NGHTTP2_DATA, end, 11, "345");
    octets += frame(NGHTTP2_HEADERS, whole_head | end, 13, post("0"));
    connect();
    ASSERT_TRUE(send(octets));
    EXPECT_FALSE(closed_within(2s));
    for (const uint32_t id : {1u, 3u, 5u, 7u, 9u}) EXPECT_EQ(reset_of(id, received_), NGHTTP2_PROTOCOL_ERROR) << id;
    EXPECT_EQ(reset_of(11, received_), std::nullopt);
    EXPECT_EQ(reset_of(13, received_), std::nullopt);
    EXPECT_TRUE(received_.contains("12345"));
    EXPECT_FALSE(received_.contains("123456"));
    EXPECT_EQ(service_.running, 0);
}

TEST_F(Abuse, WrongPrefaceIsEnded) {
    connect();
    (void)send("PRI * HTTP/3.0\r\n\r\nSM\r\n\r\n");
    EXPECT_TRUE(closed_within(5s));
}

TEST_F(Abuse, ClientThatNeverReadsIsNotReadFromEither) {
    connect();
    ASSERT_TRUE(send(hello()));
    uint32_t id = 1;
    size_t sent = 0;
    bool held_back = false;
    while (!held_back && sent < 64u << 20) {
        std::string octets;
        for (int i = 0; i < 500; ++i, id += 2) {
            octets += frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, id,
                            grpc_head("/nobody/" + std::string(90, 'n')));
        }
        sent += octets.size();
        held_back = !send(octets);
    }
    EXPECT_TRUE(held_back);
    EXPECT_LT(sent, 8u << 20);
    // The connection that was stuck both ways leaves nothing behind once the client is gone.
    stream_.reset();
    reactor_.run_for(10s);
    EXPECT_EQ(server_->stats().connections_open, 0u);
}

TEST_F(Abuse, HandlerThatAnswersAStreamThatWasResetIsToldSoAtEachStep) {
    std::string octets = hello();
    octets += frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1, http_head("/stubborn"));
    connect();
    ASSERT_TRUE(send(octets));
    reactor_.run_for(1s);
    ASSERT_TRUE(send(frame(NGHTTP2_RST_STREAM, 0, 1, number(NGHTTP2_CANCEL, 4))));
    reactor_.run_for(5s);
    EXPECT_EQ(stubborn_, std::vector<Code>(3, Code::Io));
    EXPECT_FALSE(closed_within(1s));  // The other streams of the connection go on.
}

TEST_F(Abuse, UnwantedHttpBodyIsCutOffHoweverItTrickles) {
    connect();
    ASSERT_TRUE(send("POST /health HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n"));
    int octets = 0;
    while (octets < 60 && !closed_within(500ms)) {
        ++octets;
        (void)send("x");
    }
    EXPECT_TRUE(received_.starts_with("HTTP/1.1 200 OK\r\n"));
    EXPECT_LE(octets, 5);
}

TEST_F(Abuse, SmuggledRequestIsRefusedAndTheConnectionClosed) {
    connect();
    ASSERT_TRUE(
        send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n"
             "0\r\n\r\nGET /health HTTP/1.1\r\nHost: a\r\n\r\n"));
    EXPECT_TRUE(closed_within(5s));
    EXPECT_TRUE(received_.starts_with("HTTP/1.1 400 Bad Request\r\n"));
    EXPECT_FALSE(received_.contains("health"));
}

TEST_F(Abuse, PipelinedRequestsAreAnsweredInOrder) {
    connect();
    ASSERT_TRUE(
        send("GET /pieces/1 HTTP/1.1\r\nHost: a\r\n\r\nGET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n"
             "GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
    EXPECT_TRUE(closed_within(5s));
    const size_t first = received_.find("line 0");
    const size_t second = received_.find("404 page not found");
    const size_t third = received_.find("health");
    EXPECT_LT(first, second);
    EXPECT_LT(second, third);
    EXPECT_NE(third, std::string::npos);
}

TEST_F(Abuse, ContinueIsSentBeforeABodyThatWaitsForIt) {
    connect();
    ASSERT_TRUE(send("PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"));
    EXPECT_FALSE(closed_within(1s));
    EXPECT_EQ(received_, "HTTP/1.1 100 Continue\r\n\r\n");
    ASSERT_TRUE(send("hi"));
    EXPECT_FALSE(closed_within(1s));
    EXPECT_TRUE(received_.ends_with("\r\n\r\nhi"));
}

}  // namespace
}  // namespace polis::rpc
