// Tests of ranges of keys.
#include "cli/key_range.h"

#include <gtest/gtest.h>

namespace polis::cli {
namespace {

using namespace std::string_literals;

TEST(RangeOfPrefix, EndsBeforeTheNextPrefix) {
    EXPECT_EQ(range_of_prefix("a"), (KeyRange{"a", "b"}));
    EXPECT_EQ(range_of_prefix("key/"), (KeyRange{"key/", "key0"}));
    EXPECT_EQ(range_of_prefix("a\xff\xff"), (KeyRange{"a\xff\xff", "b"}));
}

TEST(RangeOfPrefix, GoesToTheEndBehindTheHighestOctets) {
    EXPECT_EQ(range_of_prefix("\xff\xff"), (KeyRange{"\xff\xff", "\0"s}));
}

TEST(RangeOfPrefix, IsAllKeysForNone) { EXPECT_EQ(range_of_prefix(""), (KeyRange{"\0"s, "\0"s})); }

}  // namespace
}  // namespace polis::cli
