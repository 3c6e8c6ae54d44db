// Random schedules of everything that can happen to a group, from a seed; the world's checks hold after every step, and once
// the faults end the group serves again. POLIS_SEEDS=n runs n seeds, POLIS_SEED=s one, with its story on failure.
#include <gtest/gtest.h>

#include <cstdlib>

#include "consensus/scenario/group_world.h"

namespace polis::consensus {
namespace {

using std::chrono::milliseconds;

// What may go wrong in one run: each class is on or off first, so that rare combinations are tried too (swarm testing).
struct Faults {
    uint32_t lose_permille = 0;
    uint32_t duplicate_permille = 0;
    bool reorder = false;
    bool partitions = false;
    bool crashes = false;
    bool pauses = false;
    bool slow_disks = false;
    bool full_disks = false;
    bool damage = false;
    bool compactions = false;
    bool reconfigurations = false;
    bool transfers = false;
    bool drift = false;
};

class Schedule {
public:
    Schedule(const Protocol& protocol, uint64_t seed, bool recording)
        : chance_(Chance(seed).split("schedule")), world_(protocol, seed) {
        if (recording) world_.record_story();
        draw_faults();
        make_nodes();
    }

    // Returns what went wrong; empty if nothing did.
    std::string run() {
        const uint64_t steps = chance_.between(200, 1500);
        for (uint64_t at = 0; at < steps && world_.violation().empty(); ++at) one_step();
        if (!world_.violation().empty()) return world_.violation();
        return heal_and_expect_service();
    }

    const GroupWorld& world() const { return world_; }

private:
    void draw_faults() {
        const auto on = [&] { return chance_.happens(500); };
        if (on()) faults_.lose_permille = static_cast<uint32_t>(chance_.below(300));
        if (on()) faults_.duplicate_permille = static_cast<uint32_t>(chance_.below(200));
        faults_.reorder = on();
        faults_.partitions = on();
        faults_.crashes = on();
        faults_.pauses = on();
        faults_.slow_disks = on();
        faults_.full_disks = chance_.happens(250);
        faults_.damage = faults_.crashes && on();
        faults_.compactions = on();
        faults_.reconfigurations = on();
        faults_.transfers = on();
        faults_.drift = on();
    }

    void make_nodes() {
        Options options;
        options.pre_vote = chance_.happens(800);
        options.check_quorum = chance_.happens(800);
        // With both off, a node that was removed and does not know disturbs for ever (Ongaro 2014 §4.2.3).
        options.pre_vote = options.pre_vote || !options.check_quorum;
        if (chance_.happens(300)) options.cache_bytes_max = chance_.below(600);
        if (chance_.happens(300)) options.message_bytes_max = 1 + chance_.below(500);
        if (chance_.happens(300)) options.inflight_messages_max = static_cast<uint32_t>(chance_.between(1, 4));
        if (chance_.happens(300)) options.fetch_bytes_max = 1 + chance_.below(500);
        if (chance_.happens(300)) options.deliver_bytes_max = 1 + chance_.below(500);
        if (chance_.happens(200)) options.uncommitted_bytes_max = 1 + chance_.below(2000);
        if (chance_.happens(500)) options.quiesce_after = milliseconds(chance_.between(20, 400));
        quiesces_ = options.quiesce_after > Duration::zero();
        const uint64_t voters = chance_.between(1, 5);
        const uint64_t spare = faults_.reconfigurations ? chance_.between(1, 2) : 0;
        Membership first;
        for (uint64_t id = 1; id <= voters; ++id) first.voters.push_back(NodeId{id});
        for (uint64_t id = 1; id <= voters + spare; ++id) {
            options.priority = chance_.happens(300) ? 50 : 100;
            GroupNode& node = world_.add(NodeId{id}, id <= voters ? first : Membership(), options);
            // 250 ms of clocks that differ by 4 % differ by 10 ms, which is below clock_drift_max.
            if (faults_.drift) node.clock_rate = 0.98 + 0.04 * static_cast<double>(chance_.below(1000)) / 1000;
            ids_.push_back(NodeId{id});
        }
        for (const NodeId id : ids_) world_.start(id);
    }

    NodeId any() { return ids_[chance_.below(ids_.size())]; }
    bool runs(NodeId id) { return world_.node(id).log != nullptr && !world_.node(id).paused; }
    // Requests go mostly to whoever leads, or little would ever be committed.
    NodeId likely_leader() {
        const NodeId leader = world_.leader();
        return leader != NodeId::Nobody && chance_.happens(850) ? leader : any();
    }

    void one_step() {
        const uint64_t kind = chance_.below(1000);
        if (kind < 450) return move_packet();
        if (kind < 640) return work_on_disk();
        if (kind < 760) return world_.advance(milliseconds(chance_.between(1, chance_.happens(100) ? 200 : 15)));
        if (kind < 850) return make_proposal();
        if (kind < 890) return make_read();
        if (kind < 985) return strike();
        for (int i = 0; i < 30; ++i) {  // A quiet moment, so that something gets done between the faults.
            world_.advance(milliseconds(10));
            for (size_t count = world_.packets(); count-- > 0 && world_.violation().empty();) move_packet();
            for (const NodeId id : ids_) work_on(id);
        }
    }

    void move_packet() {
        if (world_.packets() == 0) return;
        const size_t place = faults_.reorder ? chance_.below(std::min<size_t>(world_.packets(), 20)) : 0;
        const auto to = world_.nodes().find(world_.packet(place).to);
        if (to != world_.nodes().end() && to->second.paused) return;
        if (chance_.happens(faults_.lose_permille)) return world_.lose(place);
        if (chance_.happens(faults_.duplicate_permille)) world_.duplicate(place);
        world_.arrive(place);
    }

    void work_on_disk() { work_on(any()); }
    void work_on(NodeId id) {
        if (!runs(id)) return;
        const bool stalls = world_.node(id).disk_slow && !chance_.happens(100);
        if (!stalls) world_.finish_store(id);
        if (!world_.violation().empty()) return;
        if (chance_.happens(500)) world_.finish_fetch(id);
        if (chance_.happens(700)) world_.apply(id, chance_.between(1, 5));
    }

    void make_proposal() {
        const NodeId id = likely_leader();
        if (!runs(id)) return;
        std::vector<std::string> commands;
        for (uint64_t count = chance_.between(1, 4); count > 0; --count) {
            commands.push_back("c" + std::to_string(++commands_) + std::string(chance_.below(60), '.'));
        }
        world_.propose(id, commands);
    }

    void make_read() {
        const NodeId id = any();
        if (runs(id)) world_.read(id, chance_.happens(500) ? ReadKind::Lease : ReadKind::Index);
    }

    void strike() {
        const NodeId id = any();
        switch (chance_.below(9)) {
            case 0: return faults_.partitions ? partition() : void();
            case 1: return faults_.partitions ? world_.heal_all() : void();
            case 2: return faults_.crashes ? crash_or_start(id) : void();
            case 3:
                if (faults_.pauses) world_.node(id).paused = world_.node(id).log != nullptr && chance_.happens(400);
                return;
            case 4:
                if (faults_.slow_disks) world_.node(id).disk_slow = chance_.happens(300);
                if (faults_.full_disks) world_.node(id).disk_full = chance_.happens(300);
                return;
            case 5:
                if (faults_.compactions && runs(id)) {
                    const LogIndex applied = world_.node(id).applied.index;
                    world_.compact(id, LogIndex(applied.value - std::min(applied.value, chance_.below(10))));
                }
                return;
            case 6: return faults_.reconfigurations ? reconfigure() : void();
            case 7:
                if (faults_.transfers && runs(likely_leader())) transfer();
                return;
            default:
                if (runs(id)) world_.unreachable(id, any());
                return;
        }
    }

    void partition() {
        const uint64_t sides = chance_.next();
        const bool one_way = chance_.happens(200);
        for (size_t a = 0; a < ids_.size(); ++a) {
            for (size_t b = 0; b < ids_.size(); ++b) {
                const bool apart = (sides >> a & 1) != (sides >> b & 1);
                if (apart && (!one_way || a < b)) world_.cut(ids_[a], ids_[b]);
            }
        }
    }

    void crash_or_start(NodeId id) {
        GroupNode& node = world_.node(id);
        if (node.log != nullptr) return world_.crash(id, chance_.below(20));
        if (faults_.damage && chance_.happens(300)) damage_what_others_have(node);
        world_.start(id);
    }

    // Only what was decided and another node can still read is damaged: recovery is due exactly then. (What was never decided
    // and is damaged on its only holder cannot be told from what was.)
    void damage_what_others_have(GroupNode& node) {
        if (node.disk.entries.empty()) return;
        const LogIndex first = node.disk.entries.begin()->first;
        const LogIndex index = first + chance_.below(node.disk.entries.size());
        const Entry& entry = node.disk.entries.at(index);
        const auto decided = world_.decided().find(index);
        if (decided == world_.decided().end() || decided->second != world_.protocol().meant_by(entry)) return;
        for (const auto& [id, other] : world_.nodes()) {
            const auto copy = other.disk.entries.find(index);
            const bool good = copy != other.disk.entries.end() && copy->second.payload == entry.payload &&
                              !other.disk.damaged.contains(index);
            if (id == node.id || !good || !node_knows(node, id)) continue;
            if (world_.protocol().trusts_damaged_positions || knows_decision(other, index)) {
                return world_.damage(node.id, index);
            }
        }
    }

    // Also after a restart.
    static bool knows_decision(const GroupNode& node, LogIndex index) {
        return index <= std::max(node.disk.hard_state.committed, node.disk.applied.index);
    }

    // By the memberships that it can still read.
    bool node_knows(const GroupNode& node, NodeId other) const {
        if (node.disk.membership.contains(other)) return true;
        for (const auto& [index, entry] : node.disk.entries) {
            if (entry.kind != EntryKind::Membership || node.disk.damaged.contains(index)) continue;
            if (decode_membership(world_.protocol().meant_by(entry).payload.view())->contains(other)) return true;
        }
        return false;
    }

    void reconfigure() {
        const NodeId id = likely_leader();
        if (!runs(id)) return;
        std::vector<NodeId> voters;
        std::vector<NodeId> learners;
        for (const NodeId node : ids_) {
            if (chance_.happens(600)) {
                voters.push_back(node);
            } else if (chance_.happens(300)) {
                learners.push_back(node);
            }
        }
        world_.reconfigure(id, voters, learners);
    }

    void transfer() {
        const NodeId id = likely_leader();
        if (runs(id)) world_.transfer(id, any());
    }

    std::string heal_and_expect_service() {
        world_.heal_all();
        for (const NodeId id : ids_) {
            GroupNode& node = world_.node(id);
            node.disk_slow = node.disk_full = node.paused = false;
            if (node.log == nullptr) world_.start(id);
        }
        world_.run(std::chrono::seconds(8));
        if (!world_.violation().empty()) return world_.violation();
        const NodeId leader = world_.leader();
        if (leader == NodeId::Nobody) return "nobody leads after healing";
        if (!world_.node(leader).log->status().ready) return "the leader is not ready after healing";
        const RequestId last = world_.propose(leader, {"last"});
        const RequestId read = world_.read(leader, ReadKind::Lease);
        world_.run(std::chrono::seconds(2));
        if (!world_.violation().empty()) return world_.violation();
        if (world_.requests().at(last).ending != Ending::Delivered) return "no proposal gets through after healing";
        if (world_.requests().at(read).ending != Ending::ReadReady) return "no read gets through after healing";
        return expect_convergence(leader);
    }

    std::string expect_convergence(NodeId leader) {
        const LogIndex end = world_.decided().rbegin()->first;
        for (const NodeId id : world_.node(leader).log->status().membership.everyone()) {
            if (world_.node(id).applied.index != end) return "a member does not catch up after healing";
            if (!world_.node(id).disk.damaged.empty() &&
                *world_.node(id).disk.damaged.rbegin() > world_.node(id).disk.applied.index) {
                return "damage is not repaired after healing";
            }
        }
        for (const auto& [id, request] : world_.requests()) {
            const auto& members = world_.node(leader).log->status().membership;
            const bool tells = members.contains(request.node) && !request.lost_in_crash;
            if (tells && request.ending == Ending::Open) return "request " + std::to_string(id) + " never ends";
        }
        return expect_silence(leader);
    }

    // A group whole and without work falls silent; one that somebody removed still knocks at does not.
    std::string expect_silence(NodeId leader) {
        const bool whole = world_.node(leader).log->status().membership.everyone() == ids_;
        if (!quiesces_ || !whole) return {};
        world_.run(std::chrono::seconds(3));
        const uint64_t sent = world_.sent();
        world_.run(std::chrono::seconds(2));
        if (!world_.violation().empty()) return world_.violation();
        if (world_.sent() != sent) return "a group without work is not silent";
        return {};
    }

    Chance chance_;
    GroupWorld world_;
    Faults faults_;
    std::vector<NodeId> ids_;
    uint64_t commands_ = 0;
    bool quiesces_ = false;
};

void expect_no_violation(const Protocol& protocol, uint64_t seed) {
    Schedule schedule(protocol, seed, false);
    const std::string wrong = schedule.run();
    if (wrong.empty()) return;
    Schedule again(protocol, seed, true);
    again.run();
    ADD_FAILURE() << protocol << " POLIS_SEED=" << seed << ": " << wrong
                  << (std::getenv("POLIS_SEED") != nullptr ? "\n" + again.world().story() : "");
}

uint64_t number_in(const char* variable, uint64_t otherwise) {
    const char* text = std::getenv(variable);
    return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

class Properties : public testing::TestWithParam<Protocol> {};

TEST_P(Properties, HoldUnderRandomSchedules) {
    if (std::getenv("POLIS_SEED") != nullptr) return expect_no_violation(GetParam(), number_in("POLIS_SEED", 0));
    const bool is_offered = GetParam().is_offered;
    const uint64_t first = is_offered ? number_in("POLIS_FIRST_SEED", 1) : 1;
    const uint64_t count = is_offered ? number_in("POLIS_SEEDS", 300) : 300;
    for (uint64_t seed = first; seed < first + count && !HasFailure(); ++seed) expect_no_violation(GetParam(), seed);
}

// Each of these once found something in Raft: a fresh voter's pre-vote dropped, a removed leader that nobody could replace, elections
// kept off by newer terms, damage that only a past member or a snapshot could mend, a disk that filled up
// between pre-vote and vote, a restarted follower taken for one that only waits, a leader whose votes came terms too late, a
// membership counted by that its leader lost in a crash, a full follower that was sent everything again and again.
TEST_P(Properties, HoldForTheSeedsThatFoundSomething) {
    for (const uint64_t seed : {8, 19, 92, 197, 1065, 1393, 1865, 2501, 2884, 4605, 4737, 5523, 3158, 7045, 10005}) {
        expect_no_violation(GetParam(), seed);
    }
}

INSTANTIATE_TEST_SUITE_P(All, Properties, testing::ValuesIn(protocols().begin(), protocols().end()),
                         [](const auto& protocol) { return std::string(protocol.param.name); });

}  // namespace
}  // namespace polis::consensus
