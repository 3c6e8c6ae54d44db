#include "rpc/header_rules.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

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

// The check looks at eight octets at a time: each place of each length must count.
TEST(HeaderRules, FindForbiddenOctetsAnywhereInAValue) {
    for (size_t size = 1; size <= 40; ++size) {
        for (size_t place = 0; place < size; ++place) {
            for (const char octet : {'\0', '\r', '\n', '\t', '\x0e', ' ', '\x7f', '\x80', '\xff'}) {
                std::string value(size, 'v');
                value[place] = octet;
                const bool forbidden = octet == '\0' || octet == '\r' || octet == '\n';
                HeaderRules rules = complete_head();
                EXPECT_EQ(rules.admit("name", value), !forbidden) << size << ' ' << place << ' ' << int{octet};
            }
        }
    }
}

TEST(HeaderRules, TakeTokensInLowerCaseAsNames) {
    const std::string_view others = "!#$%&'*+-.^_`|~";
    for (int octet = 0; octet < 256; ++octet) {
        const char text = static_cast<char>(octet);
        const bool allowed = (text >= 'a' && text <= 'z') || (text >= '0' && text <= '9') || others.contains(text);
        HeaderRules rules = complete_head();
        EXPECT_EQ(rules.admit(std::string("x") + text, "value"), allowed) << octet;
    }
}

TEST(FieldName, KnowsEachNameByAllItsOctets) {
    const std::pair<std::string_view, FieldName> names[] = {
        {":method", FieldName::Method},
        {":scheme", FieldName::Scheme},
        {":path", FieldName::Path},
        {":authority", FieldName::Authority},
        {":status", FieldName::OtherPseudo},
        {"connection", FieldName::OfConnection},
        {"proxy-connection", FieldName::OfConnection},
        {"keep-alive", FieldName::OfConnection},
        {"transfer-encoding", FieldName::OfConnection},
        {"upgrade", FieldName::OfConnection},
        {"content-type", FieldName::ContentType},
        {"content-length", FieldName::ContentLength},
        {"te", FieldName::Te},
        {"grpc-timeout", FieldName::GrpcTimeout},
        {"grpc-encoding", FieldName::GrpcEncoding},
        {"grpc-accept-encoding", FieldName::GrpcAcceptEncoding},
        {"user-agent", FieldName::Other},
        {"", FieldName::Other},
    };
    for (const auto& [name, known] : names) {
        EXPECT_EQ(field_name(name), known) << name;
        for (size_t place = 0; place < name.size(); ++place) {
            std::string changed(name);
            changed[place] = '_';
            const FieldName expected = changed.front() == ':' ? FieldName::OtherPseudo : FieldName::Other;
            EXPECT_EQ(field_name(changed), expected) << changed;
        }
    }
}

}  // namespace
}  // namespace polis::rpc
