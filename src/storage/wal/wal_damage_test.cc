// What the log promises when the machine stops at any point, and when any bit on disk changes.
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>

#include "base/log.h"
#include "base/random.h"
#include "storage/wal/flush_reader.h"
#include "storage/wal/format.h"
#include "storage/wal/recovery.h"
#include "storage/wal/wal_fixture.h"

namespace polis::storage {
namespace {

using runtime::CrashLoss;
using namespace std::chrono_literals;

// What a log gives back, without what it says of damage.
GroupModel model_of(const GroupLog& log) { return {log.hard_state, log.start, log.tail}; }

bool is_damaged(const GroupLog& log, LogIndex index) {
    for (const LogRange& range : log.damaged) {
        if (range.first <= index && index <= range.last) return true;
    }
    return false;
}

// Draws the writes of a run: what replicas of Raft, Zab and Paxos do, and odd mixtures.
class Author {
public:
    explicit Author(uint64_t seed) : chance_(seed) {}

    LogWrite next(const GroupModel& model) {
        LogWrite write;
        uint64_t last = model.last().value;
        if (chance_.happens(30)) {
            last += chance_.below(20);
            write.reset_to = position(last, epoch_);
        } else if (last > model.start.index.value && chance_.happens(100)) {
            last -= chance_.below(std::min<uint64_t>(last - model.start.index.value, 5));
            write.truncate_from = LogIndex(last);
            last -= 1;
            ++epoch_;
        } else if (last > model.start.index.value && chance_.happens(50)) {
            last -= 1;  // The last slot is written again.
        }
        const uint64_t count = chance_.below(4);
        for (uint64_t i = 1; i <= count; ++i) {
            const uint64_t size = chance_.happens(20) ? 20'000 + chance_.below(100'000) : chance_.below(2000);
            const EntryKind kind = chance_.happens(50) ? EntryKind::Membership : EntryKind::Command;
            write.entries.push_back(entry(last + i, epoch_, std::string(size, letter()), kind));
        }
        if (write.empty() || chance_.happens(300)) {
            write.hard_state = vote(epoch_, chance_.below(9)).hard_state;
            write.hard_state->committed = model.start.index;
        }
        return write;
    }
    Chance& chance() { return chance_; }

private:
    char letter() { return static_cast<char>('a' + chance_.below(26)); }

    Chance chance_;
    uint64_t epoch_ = 1;
};

// Everything a run asked for, in order, and how much of it was acknowledged.
struct History {
    struct Step {
        GroupId group{};
        LogWrite write;
        LogPosition compacted;  // Asked for just before this write.
    };
    std::vector<Step> steps;
    size_t acknowledged = 0;

    std::map<GroupId, GroupModel> after(size_t count) const {
        std::map<GroupId, GroupModel> models;
        for (size_t i = 0; i < count; ++i) models[steps[i].group].apply(steps[i].write);
        return models;
    }
};

runtime::Task<void> give(Wal& wal, History& history, size_t step) {
    CO_TRY(co_await wal.write(history.steps[step].group, history.steps[step].write));
    EXPECT_EQ(step, history.acknowledged) << "acknowledged out of order";
    history.acknowledged = step + 1;
    co_return runtime::done();
}

// What was compacted is no replica's to write again.
void trim(GroupModel& model, LogIndex start) {
    while (model.start.index < start && !model.entries.empty()) {
        model.start = {model.entries.front().index, model.entries.front().ballot};
        model.entries.erase(model.entries.begin());
    }
}

// A group's log may begin later than in the model, up to what was compacted, never earlier than the model's own start.
bool agrees(const GroupLog& log, GroupModel model, LogIndex compacted_max) {
    if (log.start.index > std::max(model.start.index, compacted_max)) return false;
    trim(model, log.start.index);
    return model_of(log) == model;
}

// Whether what was read back is the state after exactly `count` steps.
bool is_prefix(const std::map<GroupId, GroupLog>& groups, const History& history, size_t count,
               const std::map<GroupId, LogIndex>& compacted) {
    const auto models = history.after(count);
    for (const auto& [id, log] : groups) {
        if (!log.damaged.empty()) return false;
        const auto found = models.find(id);
        if (found == models.end()) return false;
        const auto limit = compacted.find(id);
        if (!agrees(log, found->second, limit == compacted.end() ? LogIndex() : limit->second)) return false;
    }
    for (const auto& [id, model] : models) {
        if (!groups.contains(id) && model != GroupModel()) return false;
    }
    return true;
}

// For a failure's message: what was found, and what the last acknowledged write left.
std::string describe(const std::map<GroupId, GroupLog>& groups, const History& history) {
    std::ostringstream text;
    for (const auto& [id, log] : groups) {
        text << "group " << number_of(id) << " found: start " << log.start.index << '@' << log.start.ballot << ", "
             << log.positions.size() << " entries, " << log.tail.size() << " in the tail, " << log.damaged.size()
             << " ranges damaged, promised " << log.hard_state.promised << '\n';
    }
    for (const auto& [id, model] : history.after(history.acknowledged)) {
        text << "group " << number_of(id) << " acknowledged: start " << model.start.index << '@' << model.start.ballot
             << ", " << model.entries.size() << " entries, promised " << model.hard_state.promised << '\n';
    }
    text << history.acknowledged << " writes acknowledged of " << history.steps.size() << '\n';
    return text.str();
}

// The lowest slot that a write not yet acknowledged may change.
LogIndex lowest_queued(const History& history, GroupId group) {
    LogIndex lowest(UINT64_MAX);
    for (size_t i = history.acknowledged; i < history.steps.size(); ++i) {
        const LogWrite& write = history.steps[i].write;
        if (history.steps[i].group != group) continue;
        if (write.reset_to) lowest = LogIndex();
        if (write.truncate_from) lowest = std::min(lowest, *write.truncate_from);
        if (!write.entries.empty()) lowest = std::min(lowest, write.entries.front().index);
    }
    return lowest;
}

// Writes for a while, several at once, with compactions; the machine stops at a drawn moment.
void run_until_crash(Machine& machine, Author& author, History& history, std::map<GroupId, LogIndex>& compacted) {
    runtime::TaskGroup tasks(machine.reactor);
    Chance& chance = author.chance();
    auto models = history.after(history.steps.size());
    for (const auto& [id, log] : machine.groups) trim(models[id], log.start.index);
    const Instant end = machine.reactor.now() + Duration(chance.below(Duration(20ms).count()));
    while (machine.reactor.now() < end) {
        const uint64_t burst = 1 + chance.below(6);
        for (uint64_t i = 0; i < burst; ++i) {
            const GroupId group{static_cast<uint32_t>(1 + chance.below(4))};
            GroupModel& model = models[group];
            history.steps.push_back({group, author.next(model), {}});
            model.apply(history.steps.back().write);
            tasks.spawn("write", give(*machine.wal, history, history.steps.size() - 1));
        }
        machine.reactor.run_for(Duration(chance.below(Duration(500us).count())));
        if (!chance.happens(200)) continue;
        // Only what is durable is ever compacted, and it is not truncated afterwards: as replicas do.
        const GroupId group{static_cast<uint32_t>(1 + chance.below(4))};
        auto durable = history.after(history.acknowledged)[group];
        const GroupModel& newest = models[group];
        if (durable.entries.empty() || newest.start.index > durable.start.index) continue;
        const size_t slot = chance.below(durable.entries.size());
        const Entry& at = durable.entries[slot];
        if (at.index >= lowest_queued(history, group)) continue;
        machine.wal->compact(group, {at.index, at.ballot});
        compacted[group] = std::max(compacted[group], at.index);
        trim(models[group], at.index);
    }
    machine.disk.crash(CrashLoss::Drawn);
    ASSERT_TRUE(run(machine.reactor, tasks.join()));
}

class WalCrash : public testing::TestWithParam<uint64_t> {};

// The heart of the promise: after a crash the log is what it was after some number of the writes, all of the acknowledged ones
// among them; over several lives.
TEST_P(WalCrash, LeavesAPrefixWithEverythingAcknowledged) {
    for (uint64_t seed = GetParam() * 10; seed < GetParam() * 10 + 10; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        Machine machine(seed);
        Author author(seed);
        History history;
        std::map<GroupId, LogIndex> compacted;
        for (int life = 0; life < 4; ++life) {
            const auto opened = machine.open();
            ASSERT_TRUE(opened) << opened.error().what;
            size_t count = history.acknowledged;
            while (count <= history.steps.size() && !is_prefix(machine.groups, history, count, compacted)) ++count;
            ASSERT_LE(count, history.steps.size()) << describe(machine.groups, history)
                                                   << "the log is no state between the acknowledged and the last write";
            history.steps.resize(count);
            history.acknowledged = count;
            run_until_crash(machine, author, history, compacted);
            const auto closed = machine.close();
        }
        const auto opened = machine.open();
        ASSERT_TRUE(opened) << opened.error().what;
        size_t count = history.acknowledged;
        while (count <= history.steps.size() && !is_prefix(machine.groups, history, count, compacted)) ++count;
        EXPECT_LE(count, history.steps.size()) << describe(machine.groups, history);
    }
}

INSTANTIATE_TEST_SUITE_P(Seeds, WalCrash, testing::Range<uint64_t>(0, 10));

// A small log whose every flush was acknowledged, and its files.
struct SmallLog {
    std::map<std::string, std::string> files;
    std::map<GroupId, GroupModel> models;
    std::string segment;  // The file that holds everything.
};

SmallLog make_small_log(bool sealed) {
    Machine machine;
    machine.options.seal_after = Duration(0);
    EXPECT_TRUE(machine.open());
    SmallLog log;
    const auto write = [&](GroupId group, LogWrite what) {
        log.models[group].apply(what);
        EXPECT_TRUE(machine.write(group, what));
    };
    write(GroupId{1}, append({entry(1, 1, "first"), entry(2, 1, std::string(700, 'b'))}));
    write(GroupId{2}, vote(4, 7));
    LogWrite both = append({entry(2, 2, std::string(900, 'c')), entry(3, 2, "d")});
    both.truncate_from = LogIndex(2);
    both.hard_state = vote(2, 5).hard_state;
    write(GroupId{1}, both);
    write(GroupId{1}, append({entry(4, 2, std::string(600, 'e'))}));
    if (!sealed) {
        // As a kill of the process leaves it: nothing follows the last flush.
        machine.crash(CrashLoss::Nothing);
    } else {
        EXPECT_TRUE(machine.close());
    }
    for (const std::string& path : machine.disk.paths()) log.files[path] = machine.disk.content(path);
    log.segment = "wal/00000001.log";
    return log;
}

size_t used_bytes(const std::string& segment) {
    return segment.find_last_not_of('\0') / block_bytes * block_bytes + block_bytes;
}

Result<std::map<GroupId, GroupLog>> open_files(const std::map<std::string, std::string>& files) {
    Machine machine;
    machine.options.seal_after = Duration(0);
    for (const auto& [path, content] : files) machine.disk.put(path, content);
    TRY(machine.open());
    return std::move(machine.groups);
}

// The same without the files: only the octets that hold flushes, for tests that look at each one of them.
Result<std::map<GroupId, GroupLog>> recover_octets(std::string_view octets) {
    TRY(decode_segment_header(octets.substr(0, block_bytes)));
    Recovery recovery;
    TRY(recovery.add(read_flushes(octets, test_identity, 1)));
    LET(const RecoveredLog log, recovery.finish());
    std::map<GroupId, GroupLog> groups;
    for (const auto& [id, index] : log.groups) {
        GroupLog group{.hard_state = index.hard_state,
                       .start = index.start(),
                       .positions = index.positions(),
                       .tail = {},
                       .membership_entries = {},
                       .damaged = index.damaged()};
        for (LogIndex i = index.last_index(); i > index.start().index && !index.place(i).damaged(); i = i.previous()) {
            LET(ReadRecord record,
                read_record(octets.substr(octets_of(index.place(i)).begin), test_identity, index.place(i)));
            const LogPosition at = record.header.position;
            group.tail.insert(group.tail.begin(), entry(at.index.value, at.ballot.epoch, std::move(record.payload)));
        }
        groups.emplace(id, std::move(group));
    }
    return groups;
}

// What differs from the model must be reported: an entry in `damaged`, or the whole log as Corrupt. Nothing else may differ.
void expect_nothing_lost_silently(const std::map<GroupId, GroupLog>& groups, const SmallLog& log) {
    for (const auto& [id, model] : log.models) {
        ASSERT_TRUE(groups.contains(id));
        const GroupLog& found = groups.at(id);
        ASSERT_EQ(found.hard_state, model.hard_state);
        ASSERT_EQ(found.start, model.start);
        ASSERT_EQ(found.positions.size(), model.entries.size());
        const size_t before_tail = model.entries.size() - found.tail.size();
        for (size_t i = 0; i < model.entries.size(); ++i) {
            if (is_damaged(found, model.entries[i].index)) continue;
            ASSERT_EQ(found.positions[i], (LogPosition{model.entries[i].index, model.entries[i].ballot}));
            if (i < before_tail) continue;
            ASSERT_EQ(found.tail[i - before_tail], model.entries[i]);
        }
    }
}

class WalBitFlip : public testing::TestWithParam<bool> {};

TEST_P(WalBitFlip, IsNeverLossWithoutAReport) {
    log::set_level(log::Level::Error);
    const SmallLog log = make_small_log(GetParam());
    const size_t used = used_bytes(log.files.at(log.segment));
    ASSERT_GE(used, 5 * block_bytes);
    size_t reported = 0;
    size_t refused = 0;
    std::string octets = log.files.at(log.segment).substr(0, used + block_bytes);
    for (size_t at = 0; at < used; ++at) {
        // Of the zeros of padding, some; of everything else, each octet.
        if (at % sector_bytes >= sector_header_bytes && octets[at] == 0 && at % 13 != 0) continue;
        const auto flip = [&octets, at] { octets[at] = static_cast<char>(octets[at] ^ (1 << (at % 8))); };
        flip();
        const auto groups = recover_octets(octets);
        flip();
        SCOPED_TRACE("octet " + std::to_string(at));
        if (!groups) {
            ++refused;
            ASSERT_EQ(groups.error().code, Code::Corrupt);
            continue;
        }
        ASSERT_NO_FATAL_FAILURE(expect_nothing_lost_silently(*groups, log));
        for (const auto& [id, group] : *groups) reported += group.damaged.empty() ? 0 : 1;
    }
    log::set_level(log::Level::Info);
    EXPECT_GT(reported, 2000u);
    EXPECT_EQ(refused, 0u);  // One bad bit never costs the whole log.
}

INSTANTIATE_TEST_SUITE_P(Sealed, WalBitFlip, testing::Bool());

// A block that has become unreadable, zero, or garbage: with a later flush it is damage.
TEST(WalDamage, OfAWholeBlockIsReportedIfAnythingFollows) {
    const SmallLog log = make_small_log(true);
    const size_t used = used_bytes(log.files.at(log.segment));
    for (size_t at = block_bytes; at + block_bytes < used; at += block_bytes) {
        for (const char filling : {'\0', 'g'}) {
            auto files = log.files;
            files[log.segment].replace(at, block_bytes, block_bytes, filling);
            const auto groups = open_files(files);
            SCOPED_TRACE("block at " + std::to_string(at));
            ASSERT_TRUE(groups) << groups.error().what;
            ASSERT_NO_FATAL_FAILURE(expect_nothing_lost_silently(*groups, log));
        }
    }
}

// The last flush cut at every octet: the flush is there whole or not at all, and nothing counts as damaged.
TEST(WalTornTail, IsCutAtEveryOctet) {
    log::set_level(log::Level::Error);
    SmallLog log = make_small_log(false);
    const std::string whole = log.files.at(log.segment);
    const size_t end = used_bytes(whole);
    const size_t begin = end - block_bytes;
    size_t there = 0;
    for (size_t cut = begin; cut < end; ++cut) {
        std::string octets = whole.substr(0, end + block_bytes);
        octets.replace(cut, octets.size() - cut, octets.size() - cut, '\0');
        const auto groups = recover_octets(octets);
        SCOPED_TRACE("cut at " + std::to_string(cut));
        ASSERT_TRUE(groups) << groups.error().what;
        const GroupLog& group = groups->at(GroupId{1});
        ASSERT_TRUE(group.damaged.empty());
        ASSERT_TRUE(group.positions.size() == 3 || group.positions.size() == 4);
        there += group.positions.size() == 4 ? 1 : 0;
    }
    log::set_level(log::Level::Info);
    EXPECT_LT(there, block_bytes - 600);  // Only if the cut lies in the padding, behind the entry's 600 octets.
}

// The first release's octets stay readable for ever. POLIS_WRITE_GOLDEN=1 writes them anew, for a new format only.
TEST(WalGolden, LogOfVersion1ReadsBack) {
    const std::string path = std::string(POLIS_SOURCE_DIR) + "/tests/golden/wal-1/00000001.log";
    const SmallLog log = make_small_log(true);
    if (std::getenv("POLIS_WRITE_GOLDEN")) std::ofstream(path, std::ios::binary) << log.files.at(log.segment);
    std::ifstream in(path, std::ios::binary);
    const std::string octets((std::istreambuf_iterator<char>(in)), {});
    ASSERT_EQ(octets.size(), small_options().segment_bytes) << path;
    const auto groups = open_files({{log.segment, octets}});
    ASSERT_TRUE(groups) << groups.error().what;
    ASSERT_EQ(groups->size(), log.models.size());
    for (const auto& [id, model] : log.models) EXPECT_EQ(model_of(groups->at(id)), model);
}

// The segment before may be all that knows of a group until the new one names it: a torn directory names nobody.
TEST(WalTornTail, WithoutADirectoryReleasesNoSegment) {
    const std::string first = "wal/00000001.log";
    const std::string second = "wal/00000002.log";
    Machine machine;
    machine.options.seal_after = Duration(0);
    ASSERT_TRUE(machine.open());
    ASSERT_TRUE(machine.write(GroupId{2}, vote(4, 7)));
    machine.reactor.run_for(100ms);  // The second segment is there.
    const auto flushes = [&] { return read_flushes(machine.disk.content(second), test_identity, 2).flushes; };
    std::string before;  // What the first segment holds when the second one begins.
    uint64_t index = 0;
    while (flushes().empty()) {
        before = machine.disk.content(first);
        ASSERT_TRUE(machine.write(GroupId{1}, append({entry(++index, 1, std::string(3000, 'e'))})));
        machine.wal->compact(GroupId{1}, position(index, 1));
    }
    machine.crash(CrashLoss::Nothing);
    // As if the machine had stopped during the second segment's first flush: its last sector is not there.
    const FoundFlush flush = flushes().front();
    ASSERT_TRUE(flush.directory && flush.directory->full);
    machine.disk.put(first, before);
    machine.disk.overwrite(second, uint64_t{flush.sector + flush.sectors - 1} * sector_bytes,
                           std::string(sector_bytes, '\0'));
    ASSERT_TRUE(flushes().front().whole && !flushes().front().directory);

    ASSERT_TRUE(machine.open());
    machine.reactor.run_for(100ms);
    machine.crash(CrashLoss::Nothing);
    const auto opened = machine.open();
    ASSERT_TRUE(opened) << opened.error().what;
    EXPECT_EQ(machine.groups.at(GroupId{2}).hard_state, *vote(4, 7).hard_state);
    EXPECT_EQ(machine.groups.at(GroupId{1}).positions.back(), position(index, 1));
}

// Recycled files are full of whole, checksummed sectors of an earlier life.
TEST(WalStaleContent, IsNeverTakenForRecords) {
    Machine machine;
    machine.options.recycled_segments_max = 8;
    ASSERT_TRUE(machine.open());
    uint64_t index = 0;
    for (int life = 0; life < 6; ++life) {
        for (int i = 0; i < 60; ++i) {
            ++index;
            ASSERT_TRUE(machine.write(GroupId{1}, append({entry(index, 1, std::string(3000, 's'))})));
            machine.wal->compact(GroupId{1}, position(index - 1, 1));
        }
        machine.crash_and_reopen(CrashLoss::Drawn);
        const GroupLog& log = machine.groups.at(GroupId{1});
        ASSERT_EQ(log.positions.back(), position(index, 1));
        ASSERT_TRUE(log.damaged.empty());
        ASSERT_EQ(log.tail.back(), entry(index, 1, std::string(3000, 's')));
    }
}

}  // namespace
}  // namespace polis::storage
