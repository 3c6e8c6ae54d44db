#include "rpc/header_rules.h"

#include <gtest/gtest.h>

namespace polis::rpc {
namespace {

HeaderRules complete_head() {
    HeaderRules rules;
    rules.admit(":method", "POST");
    rules.admit(":scheme", "http");
    rules.admit(":path", "/a.B/C");
    return rules;
}

TEST(HeaderRules, TakeAWholeHead) {
    HeaderRules rules = complete_head();
    EXPECT_TRUE(rules.admit(":authority", "127.0.0.1:2379"));
    EXPECT_TRUE(rules.admit("te", "trailers"));
    EXPECT_TRUE(rules.admit("content-type", "application/grpc"));
    EXPECT_TRUE(rules.is_complete());
}

// etcdctl 3.4's per-endpoint commands: the target of the dialler is a URL, and so becomes the authority.
TEST(HeaderRules, TakeAUrlAsAuthority) {
    HeaderRules rules = complete_head();
    EXPECT_TRUE(rules.admit(":authority", "http://127.0.0.1:2379"));
    EXPECT_TRUE(rules.is_complete());
}

TEST(HeaderRules, AskForMethodSchemeAndPath) {
    HeaderRules rules;
    rules.admit(":method", "POST");
    rules.admit(":path", "/");
    EXPECT_FALSE(rules.is_complete());
}

TEST(HeaderRules, RefuseMalformedHeads) {
    const auto refused = [](std::string_view name, std::string_view value) {
        HeaderRules rules = complete_head();
        const bool admitted = rules.admit(name, value);
        EXPECT_EQ(rules.is_complete(), admitted);
        return !admitted;
    };
    EXPECT_TRUE(refused(":method", "GET"));  // Twice.
    EXPECT_TRUE(refused(":status", "200"));
    EXPECT_TRUE(refused("Upper", "x"));
    EXPECT_TRUE(refused("", "x"));
    EXPECT_TRUE(refused("a b", "x"));
    EXPECT_TRUE(refused("a", "x\r\nb: y"));
    EXPECT_TRUE(refused("connection", "close"));
    EXPECT_TRUE(refused("transfer-encoding", "chunked"));
    EXPECT_TRUE(refused("te", "gzip"));
}

TEST(HeaderRules, TakeAContentLengthInDigitsOnce) {
    HeaderRules rules = complete_head();
    EXPECT_EQ(rules.content_length(), std::nullopt);
    EXPECT_TRUE(rules.admit("content-length", "18446744073709551615"));
    EXPECT_EQ(rules.content_length(), UINT64_MAX);
    EXPECT_FALSE(rules.admit("content-length", "18446744073709551615"));
    for (const char* wrong : {"", "-1", "+1", "1 ", " 1", "0x1", "1,1", "18446744073709551616", "1.0"}) {
        HeaderRules others = complete_head();
        EXPECT_FALSE(others.admit("content-length", wrong)) << wrong;
        EXPECT_FALSE(others.is_complete());
    }
}

TEST(HeaderRules, RefusePseudoFieldsAfterOthers) {
    HeaderRules rules = complete_head();
    EXPECT_TRUE(rules.admit("a", "b"));
    EXPECT_FALSE(rules.admit(":authority", "x"));
    EXPECT_FALSE(rules.is_complete());
}

TEST(HeaderRules, RefusePseudoFieldsInTrailers) {
    HeaderRules rules;
    EXPECT_TRUE(rules.admit_trailer("a", "b"));
    EXPECT_FALSE(rules.admit_trailer(":path", "/"));
}

}  // namespace
}  // namespace polis::rpc
