// Bytes: what is shared, what is copied, and that every block lives exactly as long as a slice of it.
#include "base/bytes.h"

#include <gtest/gtest.h>

namespace polis {
namespace {

TEST(Bytes, JoinsPiecesInOrder) {
    EXPECT_EQ(Bytes::join({"ab", "", "c"}), "abc");
    EXPECT_TRUE(Bytes::join({}).empty());
    EXPECT_EQ(Bytes::join({"", ""}).data(), nullptr);
}

TEST(Bytes, TakesALongStringWithoutCopyingIt) {
    std::string octets(10'000, 'x');
    const char* place = octets.data();
    const Bytes taken = Bytes::take(std::move(octets));
    EXPECT_EQ(taken.data(), place);
    EXPECT_EQ(taken.size(), 10'000u);
}

TEST(Bytes, SlicesShareTheBlockAndOutliveIt) {
    for (const size_t size : {10u, 10'000u}) {
        Bytes whole = Bytes::take(std::string(size, 'y'));
        const Bytes part = whole.slice(3, 4);
        EXPECT_EQ(part.data(), whole.data() + 3);
        whole = {};
        EXPECT_EQ(part, "yyyy");
    }
}

TEST(Bytes, SlicesAreCutToWhatIsThere) {
    const Bytes whole = Bytes::copy("abc");
    EXPECT_EQ(whole.slice(1), "bc");
    EXPECT_EQ(whole.slice(2, 9), "c");
    EXPECT_TRUE(whole.slice(9).empty());
}

TEST(Bytes, CompactCopiesOnlyASmallPartOfItsBlock) {
    for (const size_t size : {100u, 10'000u}) {
        const Bytes whole = Bytes::take(std::string(size, 'z'));
        const Bytes small = whole.slice(0, size / 4);
        EXPECT_NE(small.compact().data(), small.data());
        EXPECT_EQ(small.compact(), small);
        const Bytes large = whole.slice(0, size / 2);
        EXPECT_EQ(large.compact().data(), large.data());
    }
    const Bytes literal = Bytes::forever("abcdef").slice(0, 1);
    EXPECT_EQ(literal.compact().data(), literal.data());
}

TEST(Bytes, AssigningASliceOfItselfKeepsTheBlock) {
    Bytes bytes = Bytes::copy("abcdef");
    bytes = bytes.slice(2);
    EXPECT_EQ(bytes, "cdef");
}

}  // namespace
}  // namespace polis
