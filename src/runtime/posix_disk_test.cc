#include "runtime/posix_disk.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "runtime/epoll_reactor.h"

namespace polis::runtime {
namespace {

// A disk in a directory of its own, and a reactor to wait on.
class PosixDiskTest : public testing::Test {
protected:
    PosixDiskTest() {
        std::string pattern = (std::filesystem::temp_directory_path() / "polis-disk-XXXXXX").string();
        root_ = ::mkdtemp(pattern.data());
        disk_ = PosixDisk::open_root(root_, {}).value();
    }
    ~PosixDiskTest() override {
        disk_.reset();
        std::filesystem::remove_all(root_);
    }

    template <class T>
    Result<T> wait(Task<T> task) {
        return runtime::run(reactor_, std::move(task));
    }
    std::unique_ptr<File> make(const std::string& path) { return wait(disk_->open(path, OpenMode::Create)).value(); }

    std::string root_;
    EpollReactor reactor_;
    std::unique_ptr<PosixDisk> disk_;
};

Task<std::string> read_at(File& file, uint64_t offset, size_t count) {
    std::string octets(count, '?');
    CO_LET(const size_t got, co_await file.read(offset, std::as_writable_bytes(std::span(octets))));
    octets.resize(got);
    co_return octets;
}

TEST_F(PosixDiskTest, WritesAllPartsOneAfterTheOther) {
    const auto file = make("a");
    // More parts than one system call takes, empty ones among them.
    std::vector<std::string> texts;
    std::string whole;
    for (int i = 0; i < 300; ++i) texts.push_back(i % 7 == 0 ? "" : std::to_string(i));
    const std::vector<std::string_view> parts(texts.begin(), texts.end());
    for (const auto& text : texts) whole += text;
    ASSERT_TRUE(wait(file->write_durably(2, parts)));
    EXPECT_EQ(wait(read_at(*file, 0, 10'000)).value(), std::string(2, '\0') + whole);
    EXPECT_EQ(wait(file->size_bytes()).value(), whole.size() + 2);
}

// Aligned durable writes go past the page cache: what went through it before and after must fit together with them.
TEST_F(PosixDiskTest, ReadsBackAlignedDurableWritesAmongOthers) {
    struct alignas(4096) Block {
        char octets[4096];
    };
    const auto file = make("a");
    std::string expected(5 * sizeof(Block), 'a');
    const std::string_view all = expected;
    ASSERT_TRUE(wait(file->write(0, std::span(&all, 1))));
    std::vector<Block> blocks(2);
    for (int round = 0; round < 3; ++round) {
        const char letter = static_cast<char>('b' + 2 * round);
        for (Block& block : blocks) std::fill(std::begin(block.octets), std::end(block.octets), letter);
        const std::string_view aligned(blocks.front().octets, 2 * sizeof(Block));
        ASSERT_TRUE(wait(file->write_durably(sizeof(Block), std::span(&aligned, 1))));
        expected.replace(sizeof(Block), 2 * sizeof(Block), aligned);
        EXPECT_EQ(wait(read_at(*file, 0, 100'000)).value(), expected);

        const std::string small(100, static_cast<char>(letter + 1));
        const std::string_view unaligned = small;
        ASSERT_TRUE(wait(file->write_durably(2 * sizeof(Block) - 50, std::span(&unaligned, 1))));
        expected.replace(2 * sizeof(Block) - 50, 100, small);
        EXPECT_EQ(wait(read_at(*file, 0, 100'000)).value(), expected);
    }
    // And past the end, which grows the file.
    const std::string_view aligned(blocks.front().octets, 2 * sizeof(Block));
    ASSERT_TRUE(wait(file->write_durably(5 * sizeof(Block), std::span(&aligned, 1))));
    EXPECT_EQ(wait(file->size_bytes()).value(), 7 * sizeof(Block));
}

TEST_F(PosixDiskTest, ReadsLessOnlyAtTheEnd) {
    const auto file = make("a");
    const std::string_view part = "0123456789";
    ASSERT_TRUE(wait(file->write(0, std::span(&part, 1))));
    EXPECT_EQ(wait(read_at(*file, 4, 3)).value(), "456");
    EXPECT_EQ(wait(read_at(*file, 8, 3)).value(), "89");
    EXPECT_EQ(wait(read_at(*file, 11, 3)).value(), "");
    ASSERT_TRUE(wait(file->truncate(5)));
    EXPECT_EQ(wait(read_at(*file, 4, 3)).value(), "4");
}

TEST_F(PosixDiskTest, OpensOnlyWhatTheModeAllows) {
    EXPECT_EQ(wait(disk_->open("a", OpenMode::ReadWrite)).error().code, Code::NotFound);
    EXPECT_EQ(wait(disk_->open("no/a", OpenMode::Create)).error().code, Code::NotFound);
    make("a");
    EXPECT_EQ(wait(disk_->open("a", OpenMode::Create)).error().code, Code::Exists);
    EXPECT_TRUE(wait(disk_->open("a", OpenMode::ReadWrite)));
}

TEST_F(PosixDiskTest, KeepsDirectories) {
    ASSERT_TRUE(wait(disk_->make_directories("x/y/z")));
    ASSERT_TRUE(wait(disk_->make_directories("x/y/z")));
    make("x/y/b");
    make("x/y/a");
    EXPECT_EQ(wait(disk_->list("x/y")).value(), (std::vector<std::string>{"a", "b", "z"}));
    ASSERT_TRUE(wait(disk_->rename("x/y/a", "x/y/c")));
    ASSERT_TRUE(wait(disk_->remove("x/y/b")));
    ASSERT_TRUE(wait(disk_->sync_directory("x/y")));
    EXPECT_EQ(wait(disk_->remove("x/y")).error().code, Code::Exists);
    EXPECT_TRUE(wait(disk_->remove("x/y/z")));
    EXPECT_EQ(wait(disk_->list("x/y")).value(), (std::vector<std::string>{"c"}));
    EXPECT_EQ(wait(disk_->list("q")).error().code, Code::NotFound);
    EXPECT_EQ(wait(disk_->remove("q")).error().code, Code::NotFound);
    EXPECT_EQ(wait(disk_->list("")).value(), (std::vector<std::string>{"x"}));
}

TEST_F(PosixDiskTest, MakesNoDirectoryWhereAFileIs) {
    make("file");
    EXPECT_EQ(wait(disk_->make_directories("file")).error().code, Code::NotFound);
    EXPECT_EQ(wait(disk_->make_directories("file/x")).error().code, Code::NotFound);
}

TEST_F(PosixDiskTest, RefusalToRemoveAFileIsDenied) {
    // Nobody may remove a name there: EPERM for root, EACCES for the others.
    const auto kernels = PosixDisk::open_root("/proc", {}).value();
    EXPECT_EQ(wait(kernels->remove("version")).error().code, Code::Denied);
}

TEST_F(PosixDiskTest, ReplacesAFileAtomically) {
    ASSERT_TRUE(wait(write_file_atomically(*disk_, "f", "one")));
    ASSERT_TRUE(wait(write_file_atomically(*disk_, "f", "two")));
    EXPECT_EQ(wait(read_file(*disk_, "f", 3)).value(), "two");
    EXPECT_EQ(wait(read_file(*disk_, "f", 2)).error().code, Code::Invalid);
    EXPECT_EQ(wait(disk_->list("")).value(), (std::vector<std::string>{"f"}));
}

TEST_F(PosixDiskTest, KnowsItsFreeSpace) { EXPECT_GT(wait(disk_->free_bytes()).value(), 0u); }

TEST_F(PosixDiskTest, ReportsAFullDevice) {
    const auto full = PosixDisk::open_root("/dev", {}).value();
    const auto file = wait(full->open("full", OpenMode::ReadWrite)).value();
    const std::string_view part = "x";
    EXPECT_EQ(wait(file->write(0, std::span(&part, 1))).error().code, Code::NoSpace);
    EXPECT_EQ(wait(file->write_durably(0, std::span(&part, 1))).error().code, Code::NoSpace);
}

// A pipe cannot be synced: the kernel says so as it would say that the device is gone.
TEST_F(PosixDiskTest, EndsTheProcessWhenASyncFails) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    ASSERT_EQ(::system(("mkfifo " + root_ + "/pipe").c_str()), 0);
    EXPECT_DEATH(
        {
            EpollReactor reactor;
            const auto disk = PosixDisk::open_root(root_, {}).value();
            TaskGroup group(reactor);
            const auto sync = [](Disk& on) -> Task<void> {
                CO_LET(const auto file, co_await on.open("pipe", OpenMode::ReadWrite));
                co_return co_await file->sync();
            };
            group.spawn("sync", sync(*disk));
            reactor.run_until([&] { return group.running() == 0; });
        },
        "fdatasync_failed");
}

TEST_F(PosixDiskTest, ServesManyOperationsAtOnce) {
    const auto file = make("a");
    TaskGroup group(reactor_);
    const auto write = [](File& to, uint64_t number) -> Task<void> {
        const std::string octets(100, static_cast<char>('a' + number % 26));
        const std::string_view part = octets;
        co_return co_await to.write(number * 100, std::span(&part, 1));
    };
    for (uint64_t i = 0; i < 500; ++i) group.spawn("write", write(*file, i));
    reactor_.run_until([&] { return group.running() == 0; });
    const std::string content = wait(read_at(*file, 0, 50'000)).value();
    ASSERT_EQ(content.size(), 50'000u);
    for (size_t i = 0; i < content.size(); ++i) ASSERT_EQ(content[i], static_cast<char>('a' + i / 100 % 26));
}

TEST_F(PosixDiskTest, PoolRunsWorkElsewhereAndPassesExceptionsOn) {
    ThreadPool pool(2);
    std::thread::id where;
    ASSERT_TRUE(wait(pool.run([&where] { where = std::this_thread::get_id(); })));
    EXPECT_NE(where, std::this_thread::get_id());

    bool caught = false;
    const auto catching = [](Pool& in, bool& thrown) -> Task<void> {
        try {
            const Result<void> ran = co_await in.run([] { throw std::runtime_error("no"); });
            EXPECT_FALSE(ran);
        } catch (const std::runtime_error&) {
            thrown = true;
        }
        co_return done();
    };
    ASSERT_TRUE(wait(catching(pool, caught)));
    EXPECT_TRUE(caught);
}

}  // namespace
}  // namespace polis::runtime
