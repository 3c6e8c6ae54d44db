// Stories about leases over changes of leader: checkpoints of what is left of them, and renewals that take those back.
#include <gtest/gtest.h>

#include "services/coord/coord_fixture.h"
#include "services/coord/lease_keeper.h"

namespace polis::services {
namespace {

using namespace std::chrono_literals;

/// One lease with a key, and a leader that can be changed.
class LeaseFixture : public CoordFixture {
public:
    explicit LeaseFixture(int64_t ttl_seconds, CoordOptions options = fast_options()) : CoordFixture(options) {
        pb::LeaseGrantRequest request;
        request.set_ttl(ttl_seconds);
        id_ = get(coord->lease_grant(nobody, request)).id();
        put("key", "value", id_);
    }

    void change_leader() {
        replica.lose_leader();
        reactor.run_for(5s);
        replica.lead(++epoch_);
    }
    int64_t keep_alive() {
        pb::LeaseKeepAliveRequest request;
        request.set_id(id_);
        return get(coord->lease_keep_alive(nobody, request)).ttl();
    }
    int64_t remaining() {
        pb::LeaseTimeToLiveRequest request;
        request.set_id(id_);
        return get(coord->lease_time_to_live(nobody, request)).ttl();
    }
    bool alive() { return get(coord->range(nobody, range_of("key"))).count() == 1; }
    size_t checkpoints() const {
        return static_cast<size_t>(std::ranges::count_if(replica.commands, [](const Bytes& command) {
            return static_cast<CommandKind>(command.view().front()) == CommandKind::LeaseCheckpoint;
        }));
    }

private:
    int64_t id_ = 0;
    uint64_t epoch_ = 1;
};

TEST(LeaseCheckpoint, WhatIsLeftOfALongLeaseSurvivesAChangeOfLeader) {
    LeaseFixture fixture(3600);
    fixture.reactor.run_for(50min);
    fixture.change_leader();
    // At the fiftieth minute ten were left, as of the last checkpoint at most five more.
    EXPECT_LE(fixture.remaining(), 15 * 60);
    EXPECT_GE(fixture.remaining(), 10 * 60 - 1);
    fixture.reactor.run_for(16min);
    EXPECT_FALSE(fixture.alive());
}

// etcd's default: with leaders that change more often than a lease lasts, it never ends.
TEST(LeaseCheckpoint, WithoutThemEveryNewLeaderGivesTheWholeTerm) {
    CoordOptions options = CoordFixture::fast_options();
    options.lease_checkpoint_interval = Duration(0);
    LeaseFixture fixture(3600, options);
    for (int i = 0; i < 4; ++i) {
        fixture.reactor.run_for(50min);
        fixture.change_leader();
    }
    EXPECT_GE(fixture.remaining(), 3590);
    EXPECT_TRUE(fixture.alive());
    EXPECT_EQ(fixture.checkpoints(), 0u);
}

TEST(LeaseCheckpoint, ManyChangesOfLeaderDoNotKeepALeaseAlive) {
    LeaseFixture fixture(3600);
    for (int i = 0; i < 12; ++i) {
        fixture.reactor.run_for(6min);
        fixture.change_leader();
    }
    fixture.reactor.run_for(6min);
    EXPECT_FALSE(fixture.alive());
}

// What was noted before a renewal must not count after it, or the holder would lose a lease that it was just promised.
TEST(LeaseCheckpoint, ARenewalIsNotForgottenByTheNextLeader) {
    LeaseFixture fixture(3600);
    fixture.reactor.run_for(55min);
    EXPECT_EQ(fixture.keep_alive(), 3600);
    fixture.change_leader();
    EXPECT_GE(fixture.remaining(), 3590);
    fixture.reactor.run_for(58min);
    EXPECT_TRUE(fixture.alive());
}

TEST(LeaseCheckpoint, OnlyTheFirstRenewalAfterOneCostsAnEntryOfTheLog) {
    LeaseFixture fixture(3600);
    fixture.reactor.run_for(6min);
    const size_t noted = fixture.checkpoints();
    EXPECT_EQ(noted, 1u);
    fixture.keep_alive();
    EXPECT_EQ(fixture.checkpoints(), noted + 1);
    const size_t commands = fixture.replica.commands.size();
    for (int i = 0; i < 20; ++i) {
        fixture.reactor.run_for(4min);
        fixture.keep_alive();
    }
    EXPECT_EQ(fixture.replica.commands.size(), commands);  // Renewed within the interval, there is nothing to note.
}

TEST(LeaseCheckpoint, SessionsCostNothing) {
    LeaseFixture fixture(300);
    const size_t commands = fixture.replica.commands.size();
    for (int i = 0; i < 10; ++i) {
        fixture.reactor.run_for(100s);
        EXPECT_EQ(fixture.keep_alive(), 300);
    }
    EXPECT_EQ(fixture.replica.commands.size(), commands);
}

// The note cannot be taken away without a leader: then the renewal must fail, not be promised.
TEST(LeaseCheckpoint, ARenewalThatCannotTakeTheNoteAwayIsNotPromised) {
    LeaseFixture fixture(3600);
    fixture.reactor.run_for(6min);
    ASSERT_EQ(fixture.checkpoints(), 1u);
    fixture.replica.refuse_commands = true;
    pb::LeaseKeepAliveRequest request;
    request.set_id(fixture.model_leases().begin()->first);
    EXPECT_FALSE(run(fixture.reactor, fixture.coord->lease_keep_alive(fixture.nobody, request)).has_value());
    fixture.replica.refuse_commands = false;
    EXPECT_LE(fixture.remaining(), 3600 - 6 * 60 + 1);
    EXPECT_EQ(fixture.keep_alive(), 3600);
    EXPECT_EQ(fixture.model_leases().begin()->second.remaining_seconds, 0);
}

TEST(LeaseCheckpoint, SurvivesARestart) {
    LeaseFixture fixture(3600);
    fixture.reactor.run_for(31min);
    ASSERT_TRUE(fixture.model->load(fixture.store).has_value());
    EXPECT_LE(fixture.model_leases().begin()->second.term_seconds(), 30 * 60);
    EXPECT_GE(fixture.model_leases().begin()->second.term_seconds(), 29 * 60);
}

// ---- The keeper by itself ----

using Terms = std::map<int64_t, int64_t>;

struct KeeperFixture {
    explicit KeeperFixture(const Terms& terms) : keeper(5min) {
        for (const auto& [id, ttl] : terms) EXPECT_TRUE(table.grant(state, id, ttl).has_value());
        keeper.lead(table, start);
    }
    storage::MemoryStore store;
    storage::Overlay state{store};
    LeaseTable table;
    LeaseKeeper keeper;
    const Instant start{100s};
};

TEST(LeaseKeeper, TakesCheckpointsOfLongLeasesOnly) {
    KeeperFixture fixture(Terms{{1, 300}, {2, 301}, {3, 7200}});
    EXPECT_TRUE(fixture.keeper.take_checkpoints(fixture.start + 299s, 10).empty());
    const auto taken = fixture.keeper.take_checkpoints(fixture.start + 300s, 10);
    ASSERT_EQ(taken.size(), 2u);
    EXPECT_EQ(taken[0].id, 2);
    EXPECT_EQ(taken[0].seconds, 1);
    EXPECT_EQ(taken[1].seconds, 6900);
    EXPECT_TRUE(fixture.keeper.is_noted(3));
    EXPECT_FALSE(fixture.keeper.is_noted(1));
    EXPECT_TRUE(fixture.keeper.take_checkpoints(fixture.start + 300s, 10).empty());
    EXPECT_EQ(fixture.keeper.take_checkpoints(fixture.start + 600s, 10).size(), 1u);
}

TEST(LeaseKeeper, TakesNoMoreCheckpointsThanAskedFor) {
    KeeperFixture fixture(Terms{{1, 3600}, {2, 3600}, {3, 3600}});
    EXPECT_EQ(fixture.keeper.take_checkpoints(fixture.start + 10min, 2).size(), 2u);
    EXPECT_EQ(fixture.keeper.take_checkpoints(fixture.start + 10min, 2).size(), 1u);
}

TEST(LeaseKeeper, TakesNoCheckpointOfWhatIsBeingRevoked) {
    KeeperFixture fixture(Terms{{1, 301}});
    EXPECT_EQ(fixture.keeper.take_due(fixture.start + 301s, 1).size(), 1u);
    EXPECT_TRUE(fixture.keeper.take_checkpoints(fixture.start + 301s, 10).empty());
    fixture.keeper.retry(1, fixture.start + 302s);
    EXPECT_TRUE(fixture.keeper.take_checkpoints(fixture.start + 303s, 10).empty());  // It is over.
    fixture.keeper.removed(1);
    EXPECT_EQ(fixture.keeper.size(), 0u);
}

}  // namespace
}  // namespace polis::services
