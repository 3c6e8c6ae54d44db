#include "storage/wal/wal.h"

#include "storage/wal/wal_fixture.h"

namespace polis::storage {
namespace {

using runtime::CrashLoss;
using namespace std::chrono_literals;

constexpr GroupId group = GroupId::Coord;
constexpr GroupId other = GroupId::Meta;

std::vector<uint64_t> indexes_of(const std::vector<Entry>& entries) {
    std::vector<uint64_t> indexes;
    for (const Entry& each : entries) indexes.push_back(each.index.value);
    return indexes;
}

TEST(Wal, IsEmptyWhenNew) {
    Machine machine;
    ASSERT_TRUE(machine.open());
    EXPECT_TRUE(machine.groups.empty());
    EXPECT_EQ(machine.read(group, 1, 1).error().code, Code::NotFound);
}

TEST(Wal, ReadsBackWhatWasWritten) {
    Machine machine;
    ASSERT_TRUE(machine.open());
    ASSERT_TRUE(
        machine.write(group, append({entry(1, 1, "one"), entry(2, 1, ""), entry(3, 2, std::string(5000, 'x'))})));
    const auto entries = machine.read(group, 1, 9);
    ASSERT_TRUE(entries);
    EXPECT_EQ(*entries, (std::vector{entry(1, 1, "one"), entry(2, 1, ""), entry(3, 2, std::string(5000, 'x'))}));
}

TEST(Wal, GivesAtLeastOneEntryAndThenWhatFits) {
    Machine machine;
    ASSERT_TRUE(machine.open());
    ASSERT_TRUE(machine.write(group, append({entry(1, 1, "aaaa"), entry(2, 1, "bbbb"), entry(3, 1, "cccc")})));
    EXPECT_EQ(indexes_of(machine.read(group, 1, 3, 0).value()), (std::vector<uint64_t>{1}));
    EXPECT_EQ(indexes_of(machine.read(group, 1, 3, 8).value()), (std::vector<uint64_t>{1, 2}));
    EXPECT_EQ(indexes_of(machine.read(group, 2, 2).value()), (std::vector<uint64_t>{2}));
}

TEST(Wal, KeepsEverythingAcknowledgedThroughACrash) {
    Machine machine;
    ASSERT_TRUE(machine.open());
    ASSERT_TRUE(machine.write(group, append({entry(1, 1, "one")})));
    ASSERT_TRUE(machine.write(other, vote(7, 3)));
    ASSERT_TRUE(machine.write(group, append({entry(2, 1, "two", EntryKind::Membership)})));
    machine.crash_and_reopen(CrashLoss::All);

    const GroupLog& log = machine.groups.at(group);
    EXPECT_EQ(log.positions, (std::vector{position(1, 1), position(2, 1)}));
    EXPECT_EQ(log.tail, (std::vector{entry(1, 1, "one"), entry(2, 1, "two", EntryKind::Membership)}));
    EXPECT_EQ(log.membership_entries, (std::vector{entry(2, 1, "two", EntryKind::Membership)}));
    EXPECT_TRUE(log.damaged.empty());
    EXPECT_EQ(machine.groups.at(other).hard_state, *vote(7, 3).hard_state);
}

TEST(Wal, TruncatesResetsAndOverwrites) {
    Machine machine;
    ASSERT_TRUE(machine.open());
    ASSERT_TRUE(machine.write(group, append({entry(1, 1, "a"), entry(2, 1, "b"), entry(3, 1, "c")})));
    LogWrite conflict = append({entry(2, 2, "B")});
    conflict.truncate_from = LogIndex(2);
    ASSERT_TRUE(machine.write(group, conflict));
    EXPECT_EQ(machine.read(group, 1, 9).value(), (std::vector{entry(1, 1, "a"), entry(2, 2, "B")}));

    // Paxos: one slot at a higher ballot, those after it untouched.
    ASSERT_TRUE(machine.write(group, append({entry(3, 2, "C")})));
    ASSERT_TRUE(machine.write(group, append({entry(2, 5, "again")})));
    machine.reopen();
    EXPECT_EQ(machine.groups.at(group).tail, (std::vector{entry(1, 1, "a"), entry(2, 5, "again"), entry(3, 2, "C")}));

    LogWrite snapshot = append({entry(101, 6, "after")});
    snapshot.reset_to = position(100, 6);
    ASSERT_TRUE(machine.write(group, snapshot));
    machine.reopen();
    EXPECT_EQ(machine.groups.at(group).start, position(100, 6));
    EXPECT_EQ(machine.groups.at(group).tail, (std::vector{entry(101, 6, "after")}));
}

TEST(Wal, FlushesALoneWriteAtOnceAndOnce) {
    Machine machine;
    ASSERT_TRUE(machine.open());
    machine.reactor.run_for(1s);
    const uint64_t syncs = machine.wal->stats().syncs;
    const Instant begin = machine.reactor.now();
    ASSERT_TRUE(machine.write(group, append({entry(1, 1, "x")})));
    EXPECT_EQ(machine.wal->stats().syncs - syncs, 1u);
    EXPECT_LT(machine.reactor.now() - begin, 400us);  // One write and one sync of the simulated disk.
}

TEST(Wal, OneTurnAndWhatComesDuringAFlushShareAFlush) {
    Machine machine;
    ASSERT_TRUE(machine.open());
    machine.reactor.run_for(1s);
    const uint64_t syncs = machine.wal->stats().syncs;
    runtime::TaskGroup tasks(machine.reactor);
    for (uint32_t i = 0; i < 50; ++i) tasks.spawn("first", machine.wal->write(GroupId{i + 10}, vote(1, 1)));
    machine.reactor.run_for(1us);  // The first flush is under way.
    for (uint32_t i = 0; i < 50; ++i) tasks.spawn("second", machine.wal->write(GroupId{i + 10}, vote(2, 2)));
    ASSERT_TRUE(run(machine.reactor, tasks.join()));
    EXPECT_EQ(machine.wal->stats().syncs - syncs, 2u);
    EXPECT_EQ(machine.wal->stats().writes, 100u);
}

TEST(Wal, WritesEndInTheOrderGiven) {
    Machine machine;
    ASSERT_TRUE(machine.open());
    runtime::TaskGroup tasks(machine.reactor);
    std::vector<int> ended;
    const auto write = [](Wal& wal, LogWrite what, int number, std::vector<int>& order) -> runtime::Task<void> {
        CO_TRY(co_await wal.write(group, std::move(what)));
        order.push_back(number);
        co_return runtime::done();
    };
    tasks.spawn("a", write(*machine.wal, append({entry(1, 1, std::string(20'000, 'a'))}), 1, ended));
    tasks.spawn("b", write(*machine.wal, LogWrite(), 2, ended));
    tasks.spawn("c", write(*machine.wal, append({entry(2, 1, "b")}), 3, ended));
    tasks.spawn("d", write(*machine.wal, vote(3, 1), 4, ended));
    ASSERT_TRUE(run(machine.reactor, tasks.join()));
    EXPECT_EQ(ended, (std::vector<int>{1, 2, 3, 4}));
}

TEST(Wal, SplitsAWriteThatIsLargerThanASegment) {
    Machine machine;
    ASSERT_TRUE(machine.open());
    std::vector<Entry> entries;
    for (uint64_t i = 1; i <= 5; ++i) entries.push_back(entry(i, 1, std::string(50'000, static_cast<char>('a' + i))));
    entries.push_back(entry(6, 1, std::string(300'000, 'z')));
    ASSERT_TRUE(machine.write(group, append(entries)));
    ASSERT_TRUE(machine.write(group, append({entry(7, 1, "small")})));
    entries.push_back(entry(7, 1, "small"));
    EXPECT_EQ(machine.read(group, 1, 9).value(), entries);
    machine.crash_and_reopen(CrashLoss::All);
    EXPECT_EQ(machine.groups.at(group).tail, entries);
}

TEST(Wal, RefusesAnEntryThatIsTooLarge) {
    Machine machine;
    ASSERT_TRUE(machine.open());
    EXPECT_EQ(machine.write(group, append({entry(1, 1, std::string((1u << 20) + 1, 'x'))})).error().code,
              Code::Invalid);
    EXPECT_TRUE(machine.write(group, append({entry(1, 1, "x")})));
}

TEST(Wal, RecyclesSegmentsThatNobodyNeeds) {
    Machine machine;
    ASSERT_TRUE(machine.open());
    ASSERT_TRUE(machine.write(other, vote(9, 2)));
    for (uint64_t i = 1; i <= 400; ++i) {
        ASSERT_TRUE(machine.write(group, append({entry(i, 1, std::string(3000, 'x'))})));
        if (i > 10) machine.wal->compact(group, position(i - 10, 1));
    }
    machine.reactor.run_for(1s);
    EXPECT_LE(machine.wal->stats().segments, 6u);  // 1.6 MB of flushes went through segments of 64 KiB.
    machine.crash_and_reopen(CrashLoss::All);
    const GroupLog& log = machine.groups.at(group);
    EXPECT_GE(log.start.index, LogIndex(350));
    EXPECT_EQ(log.positions.back(), position(400, 1));
    EXPECT_TRUE(log.damaged.empty());
    EXPECT_EQ(machine.read(group, log.start.index.value + 1, 400).value().size(), log.positions.size());
    // Its only record was in the first segment, recycled long since.
    EXPECT_EQ(machine.groups.at(other).hard_state, *vote(9, 2).hard_state);
}

TEST(Wal, TellsWhatAGroupMayKeepWithoutHoldingBackMore) {
    Machine machine;
    ASSERT_TRUE(machine.open());
    EXPECT_EQ(machine.wal->first_within(other, 1), LogIndex(1));
    ASSERT_TRUE(machine.write(other, append({entry(1, 1, "old")})));
    EXPECT_EQ(machine.wal->first_within(other, 100'000), LogIndex(1));
    for (uint64_t i = 1; i <= 60; ++i) {
        ASSERT_TRUE(machine.write(group, append({entry(i, 1, std::string(3000, 'x'))})));
    }
    EXPECT_EQ(machine.wal->first_within(other, 1u << 20), LogIndex(1));  // All of it is less.
    EXPECT_EQ(machine.wal->first_within(group, 1u << 20), LogIndex(1));
    EXPECT_EQ(machine.wal->first_within(other, 100'000), LogIndex(2));  // Its entry is the oldest.
    const LogIndex first = machine.wal->first_within(group, 100'000);
    EXPECT_GT(first, LogIndex(20));
    EXPECT_LT(first, LogIndex(60));
    EXPECT_EQ(machine.wal->first_within(group, 0), LogIndex(61));
    const uint64_t before = machine.wal->stats().segments;
    machine.wal->compact(group, position(60, 1));
    machine.reactor.run_for(1s);
    EXPECT_GE(machine.wal->stats().segments, before);  // Held back by one entry.
    machine.wal->compact(other, position(1, 1));
    machine.reactor.run_for(1s);
    EXPECT_LE(machine.wal->stats().segments, 4u);
}

TEST(Wal, ForgetsADroppedGroup) {
    Machine machine;
    ASSERT_TRUE(machine.open());
    ASSERT_TRUE(machine.write(group, append({entry(1, 1, "x")})));
    ASSERT_TRUE(machine.write(other, append({entry(1, 1, "y")})));
    machine.wal->drop(group);
    ASSERT_TRUE(machine.write(other, append({entry(2, 1, "z")})));
    EXPECT_EQ(machine.read(group, 1, 1).error().code, Code::NotFound);
    machine.crash_and_reopen(CrashLoss::All);
    EXPECT_FALSE(machine.groups.contains(group));
    EXPECT_EQ(machine.groups.at(other).tail.size(), 2u);
}

TEST(Wal, GivesBackATailOfTheSizeAskedFor) {
    Machine machine;
    ASSERT_TRUE(machine.open());
    for (uint64_t i = 1; i <= 20; ++i) {
        ASSERT_TRUE(machine.write(group, append({entry(i, 1, std::string(100, 'x'))})));
    }
    machine.options.tail_bytes_max = 550;
    machine.reopen();
    EXPECT_EQ(machine.groups.at(group).positions.size(), 20u);
    EXPECT_EQ(indexes_of(machine.groups.at(group).tail), (std::vector<uint64_t>{16, 17, 18, 19, 20}));
}

TEST(Wal, RefusesTheSegmentsOfAnotherNode) {
    Machine machine;
    ASSERT_TRUE(machine.open());
    ASSERT_TRUE(machine.write(group, vote(1, 1)));
    ASSERT_TRUE(machine.close());
    const auto mount = machine.disk.mount();
    const auto opened = run(machine.reactor, Wal::open(machine.world(), "wal", test_identity + 1, machine.options));
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, Code::Corrupt);
}

TEST(Wal, RefusesWritesWhenTheDiskIsFullAndHeals) {
    Machine machine;
    machine.disk.set_capacity(5 * (64u << 10));
    ASSERT_TRUE(machine.open());
    uint64_t written = 0;
    Result<void> result;
    for (uint64_t i = 1; i < 1000; ++i) {
        result = machine.write(group, append({entry(i, 1, std::string(3000, 'x'))}));
        if (!result) break;
        written = i;
    }
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, Code::NoSpace);
    EXPECT_GE(written, 60u);
    EXPECT_EQ(machine.write(group, append({entry(written + 1, 1, "no")})).error().code, Code::NoSpace);
    EXPECT_EQ(machine.read(group, 1, written).value().size(), written);  // Reads go on.

    machine.crash_and_reopen(CrashLoss::Nothing);
    EXPECT_EQ(machine.groups.at(group).positions.size(), written);  // Nothing of what was refused.
    EXPECT_EQ(machine.write(group, append({entry(written + 1, 1, std::string(3000, 'y'))})).error().code,
              Code::NoSpace);

    // Compaction heals without any new room on the disk.
    machine.wal->compact(group, position(written - 5, 1));
    machine.reactor.run_for(5s);
    EXPECT_TRUE(machine.write(group, append({entry(written + 1, 1, std::string(3000, 'y'))})));
    machine.crash_and_reopen(CrashLoss::All);
    EXPECT_EQ(machine.groups.at(group).start.index, LogIndex(written - 5));
    EXPECT_EQ(machine.groups.at(group).positions.size(), 6u);
}

TEST(Wal, HealsWhenTheDiskHasRoomAgain) {
    Machine machine;
    machine.disk.set_capacity(3 * (64u << 10));
    ASSERT_TRUE(machine.open());
    uint64_t next = 1;
    while (machine.write(group, append({entry(next, 1, std::string(3000, 'x'))}))) ++next;
    machine.disk.set_capacity(20 * (64u << 10));
    machine.reactor.run_for(2s);
    EXPECT_TRUE(machine.write(group, append({entry(next, 1, "y")})));
}

TEST(Wal, KeepsAReserveOfFreeSpace) {
    Machine machine;
    machine.options.reserve_bytes = 100'000;
    machine.disk.set_capacity(10 * (64u << 10));
    ASSERT_TRUE(machine.open());
    uint64_t next = 1;
    while (machine.write(group, append({entry(next, 1, std::string(3000, 'x'))}))) ++next;
    EXPECT_GE(run(machine.reactor, machine.disk.free_bytes()).value(), 100'000u);
}

TEST(Wal, ReportsAReadErrorAsDamageAndGoesOn) {
    Machine machine;
    ASSERT_TRUE(machine.open());
    ASSERT_TRUE(machine.write(group, append({entry(1, 1, "x")})));
    machine.disk.faults().read_error_permille = 1000;
    EXPECT_EQ(machine.read(group, 1, 1).error().code, Code::Corrupt);
    machine.disk.faults().read_error_permille = 0;
    EXPECT_TRUE(machine.read(group, 1, 1));
}

TEST(Wal, ReadsPastATransientBitFlip) {
    Machine machine(3);
    ASSERT_TRUE(machine.open());
    ASSERT_TRUE(machine.write(group, append({entry(1, 1, std::string(3000, 'x'))})));
    machine.disk.faults().read_bit_flip_permille = 300;
    int served = 0;
    for (int i = 0; i < 100; ++i) {
        const auto entries = machine.read(group, 1, 1);
        if (!entries) continue;
        ++served;
        ASSERT_EQ(entries->front(), entry(1, 1, std::string(3000, 'x')));
    }
    EXPECT_GT(served, 80);
}

TEST(Wal, RepairsADamagedEntryByOverwriting) {
    Machine machine;
    ASSERT_TRUE(machine.open());
    for (uint64_t i = 1; i <= 3; ++i) {
        ASSERT_TRUE(machine.write(group, append({entry(i, 1, std::string(3000, static_cast<char>('a' + i)))})));
    }
    ASSERT_TRUE(machine.close());
    const std::string path = machine.disk.paths().front();
    const size_t at = machine.disk.content(path).find(std::string(100, 'c'));
    machine.disk.flip_bit(path, at, 3);
    ASSERT_TRUE(machine.open());
    EXPECT_EQ(machine.groups.at(group).damaged, (std::vector{LogRange{LogIndex(2), LogIndex(2)}}));
    EXPECT_EQ(machine.groups.at(group).positions.size(), 3u);
    EXPECT_EQ(indexes_of(machine.groups.at(group).tail), (std::vector<uint64_t>{3}));
    EXPECT_EQ(machine.read(group, 2, 2).error().code, Code::Corrupt);

    ASSERT_TRUE(machine.write(group, append({entry(2, 1, std::string(3000, 'c'))})));
    machine.reopen();
    EXPECT_TRUE(machine.groups.at(group).damaged.empty());
    EXPECT_EQ(machine.groups.at(group).tail.size(), 3u);
}

TEST(Wal, RefusesToOpenWithoutItsOldestSegments) {
    Machine machine;
    ASSERT_TRUE(machine.open());
    ASSERT_TRUE(machine.close());
    ASSERT_TRUE(run(machine.reactor, machine.disk.remove("wal/00000001.log")));
    const auto opened = machine.open();
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, Code::Corrupt);
}

TEST(Wal, ReportsTheEntriesOfALostSegmentAsDamaged) {
    Machine machine;
    ASSERT_TRUE(machine.open());
    for (uint64_t i = 1; i <= 60; ++i) {
        LogWrite write = append({entry(i, 1, std::string(3000, 'x'))});
        write.hard_state = vote(1, 1).hard_state;
        write.hard_state->committed = LogIndex(i - 1);
        ASSERT_TRUE(machine.write(group, write));
    }
    ASSERT_TRUE(machine.close());
    ASSERT_TRUE(run(machine.reactor, machine.disk.remove("wal/00000002.log")));
    ASSERT_TRUE(machine.open());
    const GroupLog& log = machine.groups.at(group);
    EXPECT_EQ(log.positions.size(), 60u);
    ASSERT_EQ(log.damaged.size(), 1u);
    EXPECT_GT(log.damaged.front().first, LogIndex(5));
    EXPECT_LT(log.damaged.front().last, LogIndex(50));
    EXPECT_GT(log.damaged.front().last - log.damaged.front().first, 5u);
    EXPECT_EQ(log.hard_state.committed, LogIndex(59));
}

// What a preparation has left that failed, and could not clean up after itself.
TEST(Wal, ALeftoverOfAPreparationIsNoObstacle) {
    Machine machine;
    machine.options.recycled_segments_max = 0;
    ASSERT_TRUE(machine.open());
    machine.reactor.run_for(1s);  // The second segment is there.
    machine.disk.put("wal/segment.tmp", "half of a segment");
    for (uint64_t index = 1; index <= 100; ++index) {
        const auto written = machine.write(group, append({entry(index, 1, std::string(3000, 'x'))}));
        ASSERT_TRUE(written) << written.error().what;
    }
    EXPECT_GT(machine.wal->stats().segments, 2u);
}

}  // namespace
}  // namespace polis::storage
