#include "security/secret.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <type_traits>

#include "base/log.h"
#include "security/security_testing.h"

namespace polis::security {
namespace {

static_assert(!std::is_constructible_v<log::Field, std::string_view, Secret>, "a secret must not be loggable");
static_assert(!std::is_convertible_v<Secret, std::string_view>);
static_assert(!std::is_convertible_v<Secret, std::string>);

std::string write_file(const testing::Directory& directory, const std::string& content, mode_t mode) {
    const std::string path = directory.file("secret");
    std::ofstream(path) << content;
    ::chmod(path.c_str(), mode);
    return path;
}

TEST(Secret, ReadsAFileWithoutTheLineBreakAtItsEnd) {
    const testing::Directory directory;
    EXPECT_EQ(Secret::from_file(write_file(directory, "hush\n", 0600))->reveal(), "hush");
    EXPECT_EQ(Secret::from_file(write_file(directory, "hush\r\n", 0640))->reveal(), "hush");
    EXPECT_EQ(Secret::from_file(write_file(directory, "two\nlines\n", 0600))->reveal(), "two\nlines");
}

TEST(Secret, RefusesAFileThatEverybodyMayRead) {
    const testing::Directory directory;
    EXPECT_EQ(Secret::from_file(write_file(directory, "hush", 0644)).error().code, Code::Denied);
}

TEST(Secret, RefusesAbsentEmptyAndOverlongFiles) {
    const testing::Directory directory;
    EXPECT_EQ(Secret::from_file(directory.file("absent")).error().code, Code::NotFound);
    EXPECT_EQ(Secret::from_file(write_file(directory, "\n", 0600)).error().code, Code::Invalid);
    EXPECT_TRUE(Secret::from_file(write_file(directory, "1234", 0600), 4).has_value());
    EXPECT_EQ(Secret::from_file(write_file(directory, "12345", 0600), 4).error().code, Code::Invalid);
}

TEST(Secret, MovedFromIsEmptyAndWiped) {
    Secret from("short");
    const char* old = from.reveal().data();  // Inside `from`: a short string.
    const Secret to(std::move(from));
    EXPECT_EQ(to.reveal(), "short");
    EXPECT_EQ(std::string_view(old, 5), std::string_view("\0\0\0\0\0", 5));
}

TEST(Secret, ComparesByContent) {
    EXPECT_TRUE(Secret("a") == Secret("a"));
    EXPECT_FALSE(Secret("a") == Secret("b"));
    EXPECT_FALSE(Secret("a") == Secret("aa"));
}

}  // namespace
}  // namespace polis::security
