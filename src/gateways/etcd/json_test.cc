#include "gateways/etcd/json.h"

#include <gtest/gtest.h>

#include "codec/etcd/rpc.pb.h"

namespace polis::gateways {
namespace {

namespace pb = ::etcdserverpb;

template <class Message>
Message read(std::string_view json) {
    const Result<Bytes> octets = octets_from_json(Message::descriptor()->full_name(), json);
    EXPECT_TRUE(octets.has_value()) << json << ": " << (octets ? "" : octets.error().what);
    Message message;
    EXPECT_TRUE(octets && message.ParseFromString(octets->str()));
    return message;
}

template <class Message>
std::string written(const Message& message) {
    return json_from_octets(Message::descriptor()->full_name(), message.SerializeAsString()).value();
}

// The same three octets, ff fe fd and one more, in every alphabet and padding that clients send.
TEST(Json, TakesBytesInEveryBase64) {
    for (const std::string_view text : {"//79/A==", "//79/A", "__79_A==", "__79_A"}) {
        EXPECT_EQ(read<pb::PutRequest>(R"({"key":")" + std::string(text) + "\"}").key(), "\xff\xfe\xfd\xfc") << text;
    }
}

TEST(Json, WritesBytesInStandardBase64) {
    pb::PutRequest request;
    request.set_key("\xff\xfe\xfd\xfc");
    EXPECT_EQ(written(request), R"({"key":"//79/A=="})");
}

TEST(Json, TakesInt64AsStringAndAsNumber) {
    EXPECT_EQ(read<pb::PutRequest>(R"({"lease":"9223372036854775807"})").lease(), INT64_MAX);
    EXPECT_EQ(read<pb::PutRequest>(R"({"lease":-42})").lease(), -42);
}

TEST(Json, WritesInt64AsStringAndInt32AsNumber) {
    pb::HashKVResponse response;
    response.set_hash(7);
    response.set_compact_revision(5);
    EXPECT_EQ(written(response), R"({"hash":7,"compact_revision":"5"})");
}

TEST(Json, TakesFieldNamesOfTheProtoAndCamelCase) {
    EXPECT_EQ(read<pb::RangeRequest>(R"({"range_end":"Yg=="})").range_end(), "b");
    EXPECT_EQ(read<pb::RangeRequest>(R"({"rangeEnd":"Yg=="})").range_end(), "b");
    EXPECT_EQ(read<pb::LeaseGrantRequest>(R"({"TTL":"10","ID":3})").ttl(), 10);
}

TEST(Json, TakesEnumsByNameAndNumber) {
    EXPECT_EQ(read<pb::RangeRequest>(R"({"sort_order":"DESCEND"})").sort_order(), pb::RangeRequest::DESCEND);
    EXPECT_EQ(read<pb::RangeRequest>(R"({"sort_order":2})").sort_order(), pb::RangeRequest::DESCEND);
}

TEST(Json, WritesEnumsByNameAndLeavesDefaultsOut) {
    pb::AlarmResponse response;
    response.add_alarms()->set_alarm(pb::NOSPACE);
    EXPECT_EQ(written(response), R"({"alarms":[{"alarm":"NOSPACE"}]})");
}

TEST(Json, IgnoresUnknownFields) {
    EXPECT_EQ(read<pb::PutRequest>(R"({"nonsense":{"a":[1]},"key":"YQ=="})").key(), "a");
}

TEST(Json, TakesTheOneofsOfATransaction) {
    const auto request = read<pb::TxnRequest>(
        R"({"compare":[{"key":"YQ==","target":"VALUE","value":"Yg=="}],"success":[{"requestPut":{"key":"YQ=="}}]})");
    EXPECT_EQ(request.compare(0).value(), "b");
    EXPECT_TRUE(request.success(0).has_request_put());
}

TEST(Json, TakesBlankTextForTheEmptyMessage) {
    EXPECT_TRUE(octets_from_json("etcdserverpb.StatusRequest", " \n")->empty());
}

TEST(Json, RefusesWhatIsNotTheMessage) {
    for (const std::string_view bad :
         {"{", "[]", "7", "{\"key\":7.5}", "{\"lease\":\"x\"}", "{} {}", "{\"key\":\"*\"}"}) {
        const auto octets = octets_from_json("etcdserverpb.PutRequest", bad);
        ASSERT_FALSE(octets.has_value()) << bad;
        EXPECT_EQ(octets.error().code, Code::Invalid);
    }
}

TEST(Json, QuotesWhatWouldEndAString) {
    EXPECT_EQ(json_string("a\"b\\c\n"), R"("a\"b\\c\u000a")");
    EXPECT_EQ(json_string("\xff"
                          "ok \xc3\xa9"),
              "\"\xef\xbf\xbdok \xc3\xa9\"");
}

TEST(Json, ErrorsSpeakToBothGenerationsOfClients) {
    EXPECT_EQ(json_error({rpc::StatusCode::NotFound, "gone", {}}), R"({"error":"gone","code":5,"message":"gone"})");
    EXPECT_EQ(json_stream_error({rpc::StatusCode::OutOfRange, "x", {}}),
              R"({"error":{"code":11,"message":"x","grpc_code":11,"http_code":400}})");
}

TEST(JsonSplitter, FindsTheSameValuesInAnyPieces) {
    const std::string body = " {\"a\":\"}\\\"{\"}\n{\"b\":[{},{}]}{}  ";
    for (size_t piece = 1; piece <= body.size(); ++piece) {
        JsonSplitter splitter(100);
        std::vector<std::string> values;
        for (size_t at = 0; at < body.size(); at += piece) {
            splitter.feed(std::string_view(body).substr(at, piece));
            for (;;) {
                const auto value = splitter.next();
                ASSERT_TRUE(value.has_value());
                if (!*value) break;
                values.push_back(**value);
            }
        }
        EXPECT_EQ(values, (std::vector<std::string>{"{\"a\":\"}\\\"{\"}", "{\"b\":[{},{}]}", "{}"})) << piece;
        EXPECT_TRUE(splitter.is_clean());
    }
}

TEST(JsonSplitter, RefusesValuesOverTheLimitAndWhatIsNoObject) {
    JsonSplitter longer(4);
    longer.feed("{\"key\":\"");
    EXPECT_FALSE(longer.next().has_value());
    JsonSplitter other(100);
    other.feed("7");
    EXPECT_FALSE(other.next().has_value());
}

TEST(JsonSplitter, IsNotCleanWithinAValue) {
    JsonSplitter splitter(100);
    splitter.feed("{\"a\":");
    EXPECT_FALSE(splitter.next()->has_value());
    EXPECT_FALSE(splitter.is_clean());
}

}  // namespace
}  // namespace polis::gateways
