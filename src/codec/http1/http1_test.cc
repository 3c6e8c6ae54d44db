#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "codec/http1/parser.h"
#include "codec/http1/serialiser.h"

namespace polis::codec {
namespace {

Http1Parsed<Http1Request> parse(std::string_view text, Http1Limits limits = {}) {
    return Http1HeadParser(limits).request(text);
}

// The status a request is refused with, 0 if it is accepted, -1 if more is needed.
int refusal_of(std::string_view text, Http1Limits limits = {}) {
    const auto parsed = parse(text, limits);
    if (!parsed) return parsed.error().status;
    return *parsed ? 0 : -1;
}

int refusal_of_fields(const std::string& fields) {
    return refusal_of("POST / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n");
}

struct Body {
    std::string text;
    bool ended = false;
    int refused = 0;
    size_t consumed = 0;
};

Body read_body(const Http1Head& head, std::string_view octets, size_t piece = 1000) {
    Http1BodyReader reader(head, {});
    Body body;
    size_t visible = std::min(piece, octets.size());
    for (;;) {
        const auto step = reader.step(octets.substr(body.consumed, visible - body.consumed));
        if (!step) {
            body.refused = step.error().status;
            return body;
        }
        body.text += step->piece;
        body.consumed += step->consumed;
        body.ended = step->ended;
        if (step->ended || (step->consumed == 0 && visible == octets.size())) return body;
        if (step->consumed == 0) visible = std::min(octets.size(), visible + piece);
    }
}

Http1Head chunked() {
    Http1Head head;
    head.body = Http1Body::Chunked;
    return head;
}

TEST(Http1Request, IsViewsOfTheBuffer) {
    const std::string_view text = "GET /a?b=c HTTP/1.1\r\nHost: x:80\r\nX-Empty:\r\nX-Y: \t z \r\n\r\nnext";
    const auto parsed = parse(text);
    ASSERT_TRUE(parsed && *parsed);
    const Http1Request& request = **parsed;
    EXPECT_EQ(request.method, "GET");
    EXPECT_EQ(request.origin, "/a?b=c");
    EXPECT_EQ(request.authority, "x:80");
    EXPECT_EQ(request.find("x-empty"), "");
    EXPECT_EQ(request.find("X-y"), "z");
    EXPECT_EQ(request.find("absent"), std::nullopt);
    EXPECT_EQ(request.body, Http1Body::None);
    EXPECT_TRUE(request.keep_alive);
    EXPECT_EQ(text.substr(request.head_bytes), "next");
}

TEST(Http1Request, NeedsMoreUntilItsLastOctet) {
    const std::string_view text = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    Http1HeadParser parser({});
    for (size_t size = 0; size < text.size(); ++size) {
        const auto parsed = parser.request(text.substr(0, size));
        ASSERT_TRUE(parsed.has_value());
        EXPECT_FALSE(parsed->has_value()) << size;
    }
    EXPECT_TRUE(parser.request(text)->has_value());
}

TEST(Http1Request, PipelinedRequestsFollowEachOther) {
    std::string_view text = "GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n";
    Http1HeadParser parser({});
    const auto first = parser.request(text);
    text.remove_prefix((*first)->head_bytes);
    parser.restart();
    EXPECT_EQ((*parser.request(text))->target, "/2");
}

TEST(Http1Request, TargetHasFourForms) {
    const auto absolute = parse("GET http://h:8/p?q HTTP/1.1\r\nHost: other\r\n\r\n");
    EXPECT_EQ((*absolute)->origin, "/p?q");
    EXPECT_EQ((*absolute)->authority, "h:8");
    EXPECT_EQ((*parse("GET http://h HTTP/1.1\r\nHost: h\r\n\r\n"))->origin, "/");
    EXPECT_EQ((*parse("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n"))->origin, "*");
    EXPECT_EQ((*parse("CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n"))->authority, "h:443");
    EXPECT_EQ(refusal_of("GET * HTTP/1.1\r\nHost: h\r\n\r\n"), 400);
    EXPECT_EQ(refusal_of("GET h:443 HTTP/1.1\r\nHost: h\r\n\r\n"), 400);
    EXPECT_EQ(refusal_of("GET http:///p HTTP/1.1\r\nHost: h\r\n\r\n"), 400);
    EXPECT_EQ(refusal_of("GET http://user@h/ HTTP/1.1\r\nHost: h\r\n\r\n"), 400);
    EXPECT_EQ(refusal_of("GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n"), 400);
}

TEST(Http1Request, RequestLineIsStrict) {
    EXPECT_EQ(refusal_of("GET  / HTTP/1.1\r\nHost: h\r\n\r\n"), 400);
    EXPECT_EQ(refusal_of("GET / HTTP/1.1 \r\nHost: h\r\n\r\n"), 400);
    EXPECT_EQ(refusal_of("GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n"), 400);
    EXPECT_EQ(refusal_of("G(T / HTTP/1.1\r\nHost: h\r\n\r\n"), 400);
    EXPECT_EQ(refusal_of("GET / http/1.1\r\nHost: h\r\n\r\n"), 400);
    EXPECT_EQ(refusal_of("GET /\r\n\r\n"), 400);
    EXPECT_EQ(refusal_of("GET / HTTP/2.0\r\nHost: h\r\n\r\n"), 505);
    EXPECT_EQ(refusal_of("GET / HTTP/1.2\r\nHost: h\r\n\r\n"), 505);
    EXPECT_EQ(refusal_of("GET /\xc3\xa9 HTTP/1.1\r\nHost: h\r\n\r\n"), 400);
    EXPECT_EQ(refusal_of("\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"), 0);
    EXPECT_EQ(refusal_of("\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"), 400);
}

// Each of these is read differently by some other implementation: a way to smuggle a request past one of two.
TEST(Http1Request, AmbiguousFramingIsRefused) {
    EXPECT_EQ(refusal_of_fields("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), 400);
    EXPECT_EQ(refusal_of_fields("Content-Length: 5\r\nContent-Length: 5\r\n"), 400);
    EXPECT_EQ(refusal_of_fields("Content-Length: 5, 5\r\n"), 400);
    EXPECT_EQ(refusal_of_fields("Content-Length: +5\r\n"), 400);
    EXPECT_EQ(refusal_of_fields("Content-Length: -1\r\n"), 400);
    EXPECT_EQ(refusal_of_fields("Content-Length: 0x5\r\n"), 400);
    EXPECT_EQ(refusal_of_fields("Content-Length: 5 5\r\n"), 400);
    EXPECT_EQ(refusal_of_fields("Content-Length:\r\n"), 400);
    EXPECT_EQ(refusal_of_fields("Content-Length: 9223372036854775808\r\n"), 400);
    EXPECT_EQ(refusal_of_fields("Content-Length: 99999999999999999999\r\n"), 400);
    EXPECT_EQ(refusal_of_fields("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), 400);
    EXPECT_EQ(refusal_of_fields("Transfer-Encoding: gzip, chunked\r\n"), 501);
    EXPECT_EQ(refusal_of_fields("Transfer-Encoding: chunked, identity\r\n"), 501);
    EXPECT_EQ(refusal_of_fields("Transfer-Encoding: xchunked\r\n"), 501);
    EXPECT_EQ(refusal_of_fields("Transfer-Encoding: \"chunked\"\r\n"), 501);
    EXPECT_EQ(refusal_of_fields("Transfer-Encoding : chunked\r\n"), 400);
    EXPECT_EQ(refusal_of_fields("Transfer-Encoding\t: chunked\r\n"), 400);
    EXPECT_EQ(refusal_of_fields("X: a\r\n Transfer-Encoding: chunked\r\n"), 400);
    EXPECT_EQ(refusal_of_fields("Transfer-Encoding:\x0b"
                                "chunked\r\n"),
              400);
    EXPECT_EQ(refusal_of_fields(" Content-Length: 5\r\n"), 400);
    EXPECT_EQ(refusal_of_fields("X: a\nContent-Length: 5\r\n"), 400);
    EXPECT_EQ(refusal_of_fields("X: a\rContent-Length: 5\r\n"), 400);
    EXPECT_EQ(refusal_of_fields(": empty name\r\n"), 400);
    EXPECT_EQ(refusal_of_fields("no colon\r\n"), 400);
    EXPECT_EQ(refusal_of_fields(std::string("X: a\0b\r\n", 8)), 400);
    EXPECT_EQ(refusal_of("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
    EXPECT_EQ(refusal_of_fields("Content-Length: 5\r\n"), 0);
    EXPECT_EQ(refusal_of_fields("Transfer-Encoding: Chunked\r\n"), 0);
}

TEST(Http1Request, NeedsExactlyOneHost) {
    EXPECT_EQ(refusal_of("GET / HTTP/1.1\r\n\r\n"), 400);
    EXPECT_EQ(refusal_of("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), 400);
    EXPECT_EQ(refusal_of("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"), 400);
    EXPECT_EQ(refusal_of("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"), 400);
    EXPECT_EQ(refusal_of("GET / HTTP/1.0\r\n\r\n"), 0);
    EXPECT_EQ(refusal_of("GET / HTTP/1.1\r\nHost: [::1]:8\r\n\r\n"), 0);
}

TEST(Http1Request, LimitsAreKept) {
    const Http1Limits limits{.head_bytes_max = 100, .target_bytes_max = 20, .fields_max = 2};
    EXPECT_EQ(refusal_of("GET /" + std::string(20, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n", limits), 414);
    EXPECT_EQ(refusal_of("GET /" + std::string(200, 'a'), limits), 414);
    EXPECT_EQ(refusal_of("GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(100, 'a'), limits), 431);
    EXPECT_EQ(refusal_of("GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(100, 'a') + "\r\n\r\n", limits), 431);
    EXPECT_EQ(refusal_of("GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\nY: 1\r\n\r\n", limits), 431);
    EXPECT_EQ(refusal_of("GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n\r\n", limits), 0);
}

TEST(Http1Request, KeepAliveFollowsVersionAndConnection) {
    const auto keeps = [](std::string_view text) { return (*parse(text))->keep_alive; };
    EXPECT_TRUE(keeps("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    EXPECT_FALSE(keeps("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n"));
    EXPECT_FALSE(keeps("GET / HTTP/1.0\r\n\r\n"));
    EXPECT_TRUE(keeps("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
    EXPECT_FALSE(keeps("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n"));
}

TEST(Http1Request, ContinueIsExpectedOnlyWithABody) {
    const auto expects = [](const std::string& text) { return (*parse(text))->expects_continue; };
    EXPECT_TRUE(expects("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n"));
    EXPECT_FALSE(expects("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n"));
    EXPECT_FALSE(expects("PUT / HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n"));
    EXPECT_EQ(refusal_of_fields("Expect: miracles\r\n"), 417);
}

TEST(Http1Body, ChunksAreJoinedHoweverTheyArrive) {
    const std::string text = "5\r\nhello\r\n1;name=\"v\"\r\n \r\n00A\r\n0123456789\r\n0\r\nX-Trailer: 1\r\n\r\nnext";
    for (size_t piece = 1; piece < text.size(); ++piece) {
        const Body body = read_body(chunked(), text, piece);
        EXPECT_TRUE(body.ended);
        EXPECT_EQ(body.text, "hello 0123456789");
        EXPECT_EQ(text.substr(body.consumed), "next");
    }
}

TEST(Http1Body, MalformedChunksAreRefused) {
    for (const std::string_view text :
         {"g\r\n", "-1\r\n", "+5\r\nhello\r\n", "0x5\r\nhello\r\n", " 5\r\nhello\r\n", "5 \r\nhello\r\n", "\r\n",
          "5\nhello\r\n", "5\r\nhelloo\r\n", "5\r\nhello\n", "ffffffffffffffff1\r\n", "fffffffffffffffff\r\n",
          "5;\x01\r\nhello\r\n", "0\r\nbad trailer\r\n\r\n", "0\r\nX: 1\n\r\n", "0\r\n folded: 1\r\n\r\n"}) {
        EXPECT_EQ(read_body(chunked(), text).refused, 400) << text;
    }
}

TEST(Http1Body, ChunkLinesAndTrailersAreBounded) {
    EXPECT_EQ(read_body(chunked(), "5;" + std::string(1000, 'x')).refused, 400);
    std::string trailers = "0\r\n";
    for (int i = 0; i < 1000; ++i) trailers += "X-Trailer: 0123456789\r\n";
    EXPECT_EQ(read_body(chunked(), trailers, trailers.size()).refused, 431);
}

TEST(Http1Body, LengthEndsTheBody) {
    Http1Head head;
    head.body = Http1Body::Length;
    head.content_length = 5;
    const Body body = read_body(head, "hellonext", 2);
    EXPECT_TRUE(body.ended);
    EXPECT_EQ(body.text, "hello");
    EXPECT_FALSE(read_body(head, "hell").ended);
}

TEST(Http1Response, BodyDependsOnStatusAndMethod) {
    const auto body_of = [](std::string_view text, std::string_view method = "GET") {
        return (*Http1HeadParser({}).response(text, method))->body;
    };
    EXPECT_EQ(body_of("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"), Http1Body::Length);
    EXPECT_EQ(body_of("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), Http1Body::None);
    EXPECT_EQ(body_of("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), Http1Body::Chunked);
    EXPECT_EQ(body_of("HTTP/1.1 200 OK\r\n\r\n"), Http1Body::UntilClose);
    EXPECT_EQ(body_of("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "HEAD"), Http1Body::None);
    EXPECT_EQ(body_of("HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n"), Http1Body::None);
    EXPECT_EQ(body_of("HTTP/1.1 100 Continue\r\n\r\n"), Http1Body::None);
    EXPECT_EQ(body_of("HTTP/1.1 204 \r\n\r\n"), Http1Body::None);
    EXPECT_EQ(body_of("HTTP/1.1 200 OK\r\n\r\n", "CONNECT"), Http1Body::None);
}

TEST(Http1Response, MalformedOnesAreABadGateway) {
    for (const std::string_view text :
         {"HTTP/1.1 20 OK\r\n\r\n", "HTTP/1.1 600 X\r\n\r\n", "HTTP/1.1 099 X\r\n\r\n", "HTTP/2 200 OK\r\n\r\n",
          "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "ICY 200 OK\r\n\r\n"}) {
        const auto parsed = Http1HeadParser({}).response(text, "GET");
        ASSERT_FALSE(parsed.has_value()) << text;
        EXPECT_EQ(parsed.error().status, 502);
    }
}

TEST(Http1Serialiser, RefusesFieldsThatWouldBecomeTwo) {
    const std::vector<Http1Field> split = {{"x", "a\r\nb: c"}};
    EXPECT_FALSE(http1_response_head(200, split).has_value());
    const std::vector<Http1Field> bad_name = {{"x y", "a"}};
    EXPECT_FALSE(http1_response_head(200, bad_name).has_value());
    EXPECT_FALSE(http1_request_head("GET", "/ HTTP/1.1\r\nX:", {}).has_value());
    EXPECT_FALSE(http1_request_head("GE T", "/", {}).has_value());
}

TEST(Http1Serialiser, WritesWhatTheParserReads) {
    const std::vector<Http1Field> fields = {{"host", "a"}, {"content-length", "2"}};
    EXPECT_EQ(http1_request_head("PUT", "/x", fields).value(),
              "PUT /x HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n");
    EXPECT_EQ(http1_response_head(404, {}).value(), "HTTP/1.1 404 Not Found\r\n\r\n");
    EXPECT_EQ(http1_chunk_prefix(26), "1a\r\n");
}

}  // namespace
}  // namespace polis::codec
