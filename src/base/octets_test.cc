#include "base/octets.h"

#include <gtest/gtest.h>

namespace polis {
namespace {

uint64_t varint_of(std::string_view octets, bool& ok) {
    OctetReader in(octets);
    const uint64_t value = in.varint();
    ok = in.ok();
    return value;
}

TEST(Octets, VarintsOfAllLengthsAreReadBack) {
    for (unsigned bits = 0; bits <= 64; ++bits) {
        const uint64_t value = bits == 0 ? 0 : UINT64_MAX >> (64 - bits);
        OctetWriter out;
        out.varint(value);
        OctetReader in(out.str());
        EXPECT_EQ(in.varint(), value);
        EXPECT_TRUE(in.ok() && in.at_end());
    }
}

TEST(Octets, AfterAnOverlongVarintNothingIsRead) {
    const std::string octets = std::string(10, '\x80') + "\x01 and more";
    OctetReader in(octets);
    EXPECT_EQ(in.varint(), 0u);
    EXPECT_FALSE(in.ok());
    EXPECT_EQ(in.number<uint8_t>(), 0u);
    EXPECT_EQ(in.text(), "");
    EXPECT_EQ(in.rest(), "");
    EXPECT_FALSE(in.finish("it").has_value());
}

TEST(Octets, VarintOfMoreThan64BitsIsRefused) {
    bool ok = false;
    EXPECT_EQ(varint_of(std::string(9, '\xff') + '\x01', ok), UINT64_MAX);
    EXPECT_TRUE(ok);
    EXPECT_EQ(varint_of(std::string(9, '\xff') + '\x03', ok), 0u);
    EXPECT_FALSE(ok);
    EXPECT_EQ(varint_of(std::string(9, '\x80') + '\x02', ok), 0u);
    EXPECT_FALSE(ok);
}

TEST(Octets, ValueThatIsCutShortReadsAsZero) {
    bool ok = true;
    EXPECT_EQ(varint_of("\x85", ok), 0u);
    EXPECT_FALSE(ok);
}

}  // namespace
}  // namespace polis
