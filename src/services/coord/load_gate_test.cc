// Stories about load: what is refused early, what is not, and that nothing stays counted.
#include "services/coord/load_gate.h"

#include <gtest/gtest.h>

#include "services/coord/coord_fixture.h"

namespace polis::services {
namespace {

using namespace std::chrono_literals;

constexpr Instant start{1000s};

TEST(LoadGate, RefusesWritesWhileApplyingLagsBehind) {
    LoadGate gate({.apply_lag_max = 5000});
    EXPECT_TRUE(gate.admit_write(1, 5000).has_value());
    EXPECT_EQ(gate.admit_write(1, 5001).error(), Refusal::TooManyRequests);
    EXPECT_EQ(gate.counts().refused_for_load, 1u);
}

TEST(LoadGate, BoundsTheOctetsOnTheirWay) {
    LoadGate gate({.write_bytes_max = 100});
    {
        const LoadGate::Write first(gate, 60);
        EXPECT_TRUE(gate.admit_write(40, 0).has_value());
        EXPECT_FALSE(gate.admit_write(41, 0).has_value());
    }
    EXPECT_TRUE(gate.admit_write(1000, 0).has_value());  // Alone it may go, however large.
    const LoadGate::Write large(gate, 1000);
    EXPECT_FALSE(gate.admit_write(1, 0).has_value());
}

TEST(LoadGate, BoundsTheReadsThatWait) {
    LoadGate gate({.reads_max = 1});
    {
        const LoadGate::Read first(gate);
        EXPECT_EQ(gate.admit_read().error(), Refusal::TooManyRequests);
    }
    EXPECT_TRUE(gate.admit_read().has_value());
}

TEST(LoadGate, GivesEachUserARateOfItsOwn) {
    LoadGate gate({.user_requests_per_s = 10, .user_burst = 3});
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(gate.admit_user("ann", start).has_value());
    EXPECT_EQ(gate.admit_user("ann", start).error(), Refusal::UserRateExceeded);
    EXPECT_TRUE(gate.admit_user("bob", start).has_value());
    EXPECT_TRUE(gate.admit_user("ann", start + 100ms).has_value());
    EXPECT_FALSE(gate.admit_user("ann", start + 100ms).has_value());
    EXPECT_EQ(gate.counts().refused_for_rate, 2u);
}

TEST(LoadGate, LimitsNobodyUnlessAsked) {
    LoadGate gate({});
    for (int i = 0; i < 1000; ++i) ASSERT_TRUE(gate.admit_user("ann", start).has_value());
    EXPECT_EQ(gate.users(), 0u);
}

TEST(LoadGate, RemembersABoundedNumberOfUsers) {
    LoadGate gate({.user_requests_per_s = 10});
    for (int i = 0; i < 25'000; ++i) EXPECT_TRUE(gate.admit_user("user " + std::to_string(i), start).has_value());
    EXPECT_LE(gate.users(), 10'000u);
}

// ---- In the service ----

TEST(CoordLoad, AWriteIsRefusedWhileApplyingLagsAndAReadIsNot) {
    CoordFixture fixture;
    fixture.put("a", "1");
    fixture.members.group.committed = LogIndex(10'000);
    fixture.members.group.applied = LogIndex(4'999);
    fixture.reactor.run_for(1s);
    EXPECT_EQ(fixture.refusal(fixture.coord->put(fixture.nobody, fixture.put_of("a", "2"))), Refusal::TooManyRequests);
    EXPECT_EQ(fixture.get(fixture.coord->range(fixture.nobody, fixture.range_of("a"))).kvs(0).value(), "1");
    fixture.members.group.applied = LogIndex(5'000);
    fixture.reactor.run_for(1s);
    fixture.put("a", "2");
    EXPECT_EQ(fixture.coord->status().refused_for_load, 1u);
}

// An expiry is the system's own: refused, the load would only grow.
TEST(CoordLoad, LeasesExpireUnderLoad) {
    CoordFixture fixture;
    pb::LeaseGrantRequest lease;
    lease.set_ttl(5);
    fixture.put("a", "1", fixture.get(fixture.coord->lease_grant(fixture.nobody, lease)).id());
    fixture.members.group.committed = LogIndex(10'000);
    fixture.reactor.run_for(10s);
    EXPECT_EQ(fixture.get(fixture.coord->range(fixture.nobody, fixture.range_of("a"))).count(), 0);
}

TEST(CoordLoad, AUserOverItsRateIsRefusedAndOthersAreNot) {
    CoordOptions options = CoordFixture::fast_options();
    options.user_requests_per_s = 10;
    options.user_burst = 4;
    CoordFixture fixture(options);
    for (const std::string name : {"root", "ann"}) {
        pb::AuthUserAddRequest user;
        user.set_name(name);
        user.mutable_options()->set_no_password(true);
        fixture.get(fixture.coord->user_add(fixture.nobody, user));
        fixture.reactor.run_for(1s);
    }
    pb::AuthUserGrantRoleRequest granted;
    granted.set_user("root");
    granted.set_role("root");
    fixture.get(fixture.coord->user_grant_role(fixture.nobody, granted));
    fixture.get(fixture.coord->auth_enable(fixture.nobody));
    Credentials ann;
    ann.common_name = "ann";
    Credentials root;
    root.common_name = "root";
    const auto request = fixture.range_of("a");
    for (int i = 0; i < 4; ++i)
        EXPECT_EQ(fixture.refusal(fixture.coord->range(ann, request)), Refusal::PermissionDenied);
    EXPECT_EQ(fixture.refusal(fixture.coord->range(ann, request)), Refusal::UserRateExceeded);
    EXPECT_EQ(fixture.refusal(fixture.coord->put(ann, fixture.put_of("a", "1"))), Refusal::UserRateExceeded);
    // Whoever has to mend things must get through.
    for (int i = 0; i < 20; ++i) fixture.get(fixture.coord->range(root, request));
    fixture.reactor.run_for(1s);
    EXPECT_EQ(fixture.refusal(fixture.coord->range(ann, request)), Refusal::PermissionDenied);
    EXPECT_EQ(fixture.coord->status().refused_for_rate, 2u);
}

}  // namespace
}  // namespace polis::services
