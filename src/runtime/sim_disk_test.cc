#include "runtime/sim_disk.h"

#include <gtest/gtest.h>

namespace polis::runtime {
namespace {

using namespace std::chrono_literals;

Task<void> write_at(File& file, uint64_t offset, std::string octets) {
    const std::string_view part = octets;
    co_return co_await file.write(offset, std::span(&part, 1));
}

Task<void> write_durably_at(File& file, uint64_t offset, std::string octets) {
    const std::string_view part = octets;
    co_return co_await file.write_durably(offset, std::span(&part, 1));
}

Task<std::string> read_at(File& file, uint64_t offset, size_t count) {
    std::string octets(count, '?');
    CO_LET(const size_t got, co_await file.read(offset, std::as_writable_bytes(std::span(octets))));
    octets.resize(got);
    co_return octets;
}

struct Bench {
    explicit Bench(uint64_t seed = 1) : reactor(seed), disk(reactor, {.seed = seed}) {}

    std::unique_ptr<File> make(const std::string& path, Disk* mount = nullptr) {
        Disk& on = mount ? *mount : disk;
        auto file = run(reactor, on.open(path, OpenMode::Create));
        EXPECT_TRUE(file) << file.error().what;
        return *std::move(file);
    }

    SimReactor reactor;
    SimDisk disk;
};

TEST(SimDisk, ReadsBackWhatWasWritten) {
    Bench bench;
    const auto file = bench.make("a");
    ASSERT_TRUE(run(bench.reactor, write_at(*file, 3, "hello")));
    EXPECT_EQ(run(bench.reactor, read_at(*file, 0, 100)).value(), std::string("\0\0\0hello", 8));
    EXPECT_EQ(run(bench.reactor, read_at(*file, 6, 2)).value(), "lo");
    EXPECT_EQ(run(bench.reactor, read_at(*file, 9, 2)).value(), "");
}

TEST(SimDisk, TakesVirtualTime) {
    Bench bench;
    const auto file = bench.make("a");
    const Instant start = bench.reactor.now();
    ASSERT_TRUE(run(bench.reactor, write_durably_at(*file, 0, "x")));
    EXPECT_GE(bench.reactor.now() - start, 80us);
    EXPECT_LE(bench.reactor.now() - start, 400us);
}

TEST(SimDisk, CrashLosesWhatWasNotSynced) {
    Bench bench;
    const auto file = bench.make("a");
    ASSERT_TRUE(run(bench.reactor, bench.disk.sync_directory("")));
    ASSERT_TRUE(run(bench.reactor, write_durably_at(*file, 0, std::string(1024, 'a'))));
    ASSERT_TRUE(run(bench.reactor, write_at(*file, 512, std::string(1024, 'b'))));
    bench.disk.crash(CrashLoss::All);
    EXPECT_EQ(bench.disk.content("a"), std::string(1024, 'a'));
}

TEST(SimDisk, DurableWriteMakesItsOwnOctetsDurableAndNoOthers) {
    Bench bench;
    bench.disk.put("a", std::string(1536, 'a'));
    const auto file = run(bench.reactor, bench.disk.open("a", OpenMode::ReadWrite)).value();
    ASSERT_TRUE(run(bench.reactor, write_at(*file, 512, std::string(512, 'b'))));
    ASSERT_TRUE(run(bench.reactor, write_at(*file, 1536, std::string(512, 'b'))));
    ASSERT_TRUE(run(bench.reactor, write_durably_at(*file, 0, std::string(512, 'c'))));
    bench.disk.crash(CrashLoss::All);
    EXPECT_EQ(bench.disk.content("a"), std::string(512, 'c') + std::string(1024, 'a'));
}

TEST(SimDisk, DurableWriteBeyondTheEndMakesTheLengthDurable) {
    Bench bench;
    bench.disk.put("a", std::string(512, 'a'));
    const auto file = run(bench.reactor, bench.disk.open("a", OpenMode::ReadWrite)).value();
    ASSERT_TRUE(run(bench.reactor, write_at(*file, 512, std::string(512, 'b'))));
    ASSERT_TRUE(run(bench.reactor, write_durably_at(*file, 1024, std::string(512, 'c'))));
    bench.disk.crash(CrashLoss::All);
    EXPECT_EQ(bench.disk.content("a"), std::string(512, 'a') + std::string(512, '\0') + std::string(512, 'c'));
}

TEST(SimDisk, CrashLosesNamesOfUnsyncedDirectory) {
    Bench bench;
    const auto file = bench.make("a");
    ASSERT_TRUE(run(bench.reactor, write_durably_at(*file, 0, "x")));
    bench.disk.crash(CrashLoss::All);
    EXPECT_TRUE(bench.disk.paths().empty());
}

TEST(SimDisk, CrashUndoesUnsyncedRenameWhole) {
    for (uint64_t seed = 0; seed < 20; ++seed) {
        Bench bench(seed);
        bench.disk.put("old", "1");
        ASSERT_TRUE(run(bench.reactor, bench.disk.rename("old", "new")));
        bench.disk.crash(CrashLoss::Scattered);
        EXPECT_EQ(bench.disk.paths().size(), 1u);
    }
}

// Each sector of an un-synced write is old or new, never a mixture; over the seeds, every combination comes up.
TEST(SimDisk, ScatteredCrashKeepsSectorsWhole) {
    std::set<std::string> seen;
    for (uint64_t seed = 0; seed < 64; ++seed) {
        Bench bench(seed);
        bench.disk.put("a", std::string(1024, 'a'));
        const auto file = run(bench.reactor, bench.disk.open("a", OpenMode::ReadWrite)).value();
        ASSERT_TRUE(run(bench.reactor, write_at(*file, 0, std::string(1024, 'b'))));
        bench.disk.crash(CrashLoss::Scattered);
        const std::string& content = bench.disk.content("a");
        ASSERT_EQ(content.size(), 1024u);
        for (size_t i = 0; i < 1024; ++i) ASSERT_EQ(content[i], content[i / 512 * 512]);
        seen.insert({content[0], content[512]});
    }
    EXPECT_EQ(seen, (std::set<std::string>{"aa", "ab", "ba", "bb"}));
}

TEST(SimDisk, SuffixCrashKeepsEarlierWrites) {
    std::set<std::string> seen;
    for (uint64_t seed = 0; seed < 64; ++seed) {
        Bench bench(seed);
        bench.disk.put("a", std::string(1024, 'a'));
        const auto file = run(bench.reactor, bench.disk.open("a", OpenMode::ReadWrite)).value();
        ASSERT_TRUE(run(bench.reactor, write_at(*file, 512, std::string(512, 'b'))));
        ASSERT_TRUE(run(bench.reactor, write_at(*file, 0, std::string(512, 'b'))));
        bench.disk.crash(CrashLoss::Suffix);
        seen.insert({bench.disk.content("a")[0], bench.disk.content("a")[512]});
    }
    EXPECT_EQ(seen, (std::set<std::string>{"aa", "ab", "bb"}));
}

TEST(SimDisk, CrashEndsOperationsUnderWayAndTheMount) {
    Bench bench;
    const auto mount = bench.disk.mount();
    const auto file = bench.make("a", mount.get());
    ASSERT_TRUE(run(bench.reactor, bench.disk.sync_directory("")));
    TaskGroup group(bench.reactor);
    std::optional<Code> code;
    const auto writer = [](File& to, std::optional<Code>& ended) -> Task<void> {
        const auto written = co_await write_durably_at(to, 0, "x");
        if (!written) ended = written.error().code;
        co_return done();
    };
    group.spawn("writer", writer(*file, code));
    bench.reactor.run_for(30us);
    EXPECT_EQ(group.running(), 1u);
    bench.disk.crash(CrashLoss::All);
    bench.reactor.run_for(1ms);
    EXPECT_EQ(group.running(), 0u);
    EXPECT_EQ(code, Code::Canceled);
    EXPECT_EQ(run(bench.reactor, mount->list("")).error().code, Code::Canceled);
    EXPECT_EQ(run(bench.reactor, bench.disk.mount()->list("")).value(), std::vector<std::string>{"a"});
}

TEST(SimDisk, RefusesToGrowBeyondItsCapacityAndHeals) {
    Bench bench;
    bench.disk.set_capacity(1000);
    const auto file = bench.make("a");
    ASSERT_TRUE(run(bench.reactor, write_at(*file, 0, std::string(800, 'a'))));
    EXPECT_EQ(run(bench.reactor, bench.disk.free_bytes()).value(), 200u);
    EXPECT_EQ(run(bench.reactor, write_at(*file, 800, std::string(201, 'b'))).error().code, Code::NoSpace);
    EXPECT_TRUE(run(bench.reactor, write_at(*file, 0, std::string(800, 'c'))));
    bench.disk.set_capacity(2000);
    EXPECT_TRUE(run(bench.reactor, write_at(*file, 800, std::string(201, 'b'))));
}

TEST(SimDisk, InjectsReadAndWriteErrors) {
    Bench bench;
    const auto file = bench.make("a");
    bench.disk.faults().read_error_permille = 1000;
    EXPECT_EQ(run(bench.reactor, read_at(*file, 0, 1)).error().code, Code::Io);
    bench.disk.faults().write_error_permille = 1000;
    EXPECT_EQ(run(bench.reactor, write_at(*file, 0, "x")).error().code, Code::Io);
}

TEST(SimDisk, TellsThatTheProcessWouldEndOnSyncFailure) {
    Bench bench;
    const auto file = bench.make("a");
    bench.disk.faults().sync_failure_permille = 1000;
    std::string why;
    bench.disk.on_process_end([&](std::string_view text) { why = text; });
    TaskGroup group(bench.reactor);
    group.spawn("sync", file->sync());
    bench.reactor.run_for(1s);
    EXPECT_EQ(why, "fdatasync failed");
    EXPECT_EQ(group.running(), 1u);
    bench.disk.crash(CrashLoss::All);
    bench.reactor.run_for(1s);
    EXPECT_EQ(group.running(), 0u);
}

TEST(SimDisk, FlipsBitsOfWhatIsRead) {
    Bench bench;
    bench.disk.put("a", std::string(64, '\0'));
    const auto file = run(bench.reactor, bench.disk.open("a", OpenMode::Read)).value();
    bench.disk.faults().read_bit_flip_permille = 1000;
    EXPECT_NE(run(bench.reactor, read_at(*file, 0, 64)).value(), std::string(64, '\0'));
    EXPECT_EQ(bench.disk.content("a"), std::string(64, '\0'));
}

TEST(SimDisk, StaleReadGivesTheLastSyncedContent) {
    Bench bench;
    bench.disk.put("a", "old");
    const auto file = run(bench.reactor, bench.disk.open("a", OpenMode::ReadWrite)).value();
    ASSERT_TRUE(run(bench.reactor, write_at(*file, 0, "new")));
    bench.disk.faults().stale_read_permille = 1000;
    EXPECT_EQ(run(bench.reactor, read_at(*file, 0, 3)).value(), "old");
    bench.disk.faults().stale_read_permille = 0;
    EXPECT_EQ(run(bench.reactor, read_at(*file, 0, 3)).value(), "new");
}

TEST(SimDisk, OneSeedGivesOneHistory) {
    const auto history = [](uint64_t seed) {
        Bench bench(seed);
        bench.disk.faults().stall_permille = 100;
        const auto file = bench.make("a");
        for (int i = 0; i < 20; ++i) EXPECT_TRUE(run(bench.reactor, write_durably_at(*file, 0, "x")));
        return bench.reactor.event_hash();
    };
    EXPECT_EQ(history(5), history(5));
    EXPECT_NE(history(5), history(6));
}

TEST(AtomicFile, IsOldOrNewAfterACrashAtAnyTime) {
    for (uint64_t seed = 0; seed < 60; ++seed) {
        Bench bench(seed);
        bench.disk.put("f", "old");
        const auto mount = bench.disk.mount();
        TaskGroup group(bench.reactor);
        group.spawn("writer", write_file_atomically(*mount, "f", std::string(2000, 'n')));
        bench.reactor.run_for(std::chrono::microseconds(10 * seed));
        bench.disk.crash(CrashLoss::Drawn);
        bench.reactor.run_for(1s);
        ASSERT_EQ(group.running(), 0u);
        const std::string content = run(bench.reactor, read_file(bench.disk, "f", 10'000)).value();
        EXPECT_TRUE(content == "old" || content == std::string(2000, 'n')) << "seed " << seed;
        EXPECT_TRUE(run(bench.reactor, write_file_atomically(bench.disk, "f", "again")));
        EXPECT_EQ(run(bench.reactor, read_file(bench.disk, "f", 5)).value(), "again");
        EXPECT_EQ(run(bench.reactor, read_file(bench.disk, "f", 4)).error().code, Code::Invalid);
    }
}

}  // namespace
}  // namespace polis::runtime
