#include <gtest/gtest.h>

#include "runtime/stream.h"

namespace polis::runtime {
namespace {

TEST(Address, ReadsWhatItWrites) {
    for (const char* text : {"127.0.0.1:2379", "[::1]:2379", "node-1.example:0", "[fe80::1%eth0]:65535"}) {
        const auto address = parse_address(text);
        ASSERT_TRUE(address.has_value()) << text;
        EXPECT_EQ(to_string(*address), text);
    }
}

TEST(Address, KeepsBracketsOutOfTheHost) { EXPECT_EQ(parse_address("[::1]:80").value(), (Address{"::1", 80})); }

TEST(Address, RefusesWhatIsNone) {
    for (const char* text :
         {"",          ":",        "host",           "host:",  ":80",       "host:65536", "host:-1",
          "host:80x",  "host: 80", "::1:80",         "[::1]",  "[::1]80",   "[::1:80",    "[]:80",
          "[host]:80", "ho st:80", "http://host:80", "a@b:80", "[::1]]:80", "host:+80",   "host:80 "}) {
        const auto address = parse_address(text);
        ASSERT_FALSE(address.has_value()) << text;
        EXPECT_EQ(address.error().code, Code::Invalid);
        EXPECT_NE(address.error().what.find(text), std::string::npos) << address.error().what;
    }
}

}  // namespace
}  // namespace polis::runtime
