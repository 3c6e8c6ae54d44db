// Tests of the lock on a data directory.
#include "node/directory_lock.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace polis::node {
namespace {

class DirectoryLockTest : public testing::Test {
protected:
    void SetUp() override {
        char path[] = "/tmp/polis-lock-XXXXXX";
        ASSERT_NE(::mkdtemp(path), nullptr);
        folder_ = path;
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    std::string folder_;
};

TEST_F(DirectoryLockTest, MakesTheDirectoryForItsOwnerOnly) {
    const auto lock = DirectoryLock::take(folder_ + "/a/b");
    ASSERT_TRUE(lock) << lock.error().what;
    struct stat status{};
    ASSERT_EQ(::stat((folder_ + "/a/b").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0700u);
}

TEST_F(DirectoryLockTest, KeepsASecondOneOutAndTellsWhoHasIt) {
    const auto lock = DirectoryLock::take(folder_);
    ASSERT_TRUE(lock);
    const auto second = DirectoryLock::take(folder_);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, Code::Exists);
    EXPECT_EQ(*DirectoryLock::holder(folder_), ::getpid());
}

TEST_F(DirectoryLockTest, IsFreeAgainAfterwards) {
    {
        const auto lock = DirectoryLock::take(folder_);
    }
    EXPECT_EQ(*DirectoryLock::holder(folder_), std::nullopt);
    EXPECT_TRUE(DirectoryLock::take(folder_));
}

TEST_F(DirectoryLockTest, SaysThatADirectoryWasNeverANodes) {
    const auto holder = DirectoryLock::holder(folder_);
    ASSERT_FALSE(holder);
    EXPECT_EQ(holder.error().code, Code::NotFound);
}

TEST_F(DirectoryLockTest, SaysThatAPathIsNoDirectory) {
    std::ofstream(folder_ + "/file") << "x";
    const auto lock = DirectoryLock::take(folder_ + "/file/below");
    ASSERT_FALSE(lock);
    EXPECT_NE(lock.error().what.find(folder_ + "/file/below"), std::string::npos);
}

}  // namespace
}  // namespace polis::node
