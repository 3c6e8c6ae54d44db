// Stories about the shell: reads and barriers, quota, leases in time, users, compaction, snapshots.
#include <gtest/gtest.h>

#include "services/coord/coord_fixture.h"
#include "services/coord/lease_keeper.h"

namespace polis::services {
namespace {

using namespace std::chrono_literals;

const std::string everything(1, '\0');

TEST(Coord, CompletesHeaders) {
    CoordFixture fixture;
    const auto response = fixture.get(fixture.coord->put(fixture.nobody, fixture.put_of("a", "1")));
    EXPECT_EQ(response.header().cluster_id(), 77u);
    EXPECT_EQ(response.header().member_id(), 1u);
    EXPECT_EQ(response.header().raft_term(), 1u);
    EXPECT_EQ(response.header().revision(), 2);
}

TEST(Coord, ServesOnlySerializableReadsWithoutALeader) {
    CoordFixture fixture;
    fixture.put("a", "1");
    fixture.replica.lose_leader();
    auto request = fixture.range_of("a");
    const auto linearizable = run(fixture.reactor, fixture.coord->range(fixture.nobody, request));
    ASSERT_FALSE(linearizable.has_value());
    EXPECT_EQ(linearizable.error().code, Code::Unavailable);
    request.set_serializable(true);
    EXPECT_EQ(fixture.get(fixture.coord->range(fixture.nobody, request)).kvs(0).value(), "1");
}

TEST(Coord, TellsMistakesAsEtcdDoes) {
    CoordFixture fixture;
    EXPECT_EQ(fixture.refusal(fixture.coord->put(fixture.nobody, fixture.put_of("", "1"))), Refusal::EmptyKey);
    EXPECT_EQ(fixture.refusal(fixture.coord->range(fixture.nobody, fixture.range_of(""))), Refusal::EmptyKey);
    auto future = fixture.range_of("a");
    future.set_revision(9);
    EXPECT_EQ(fixture.refusal(fixture.coord->range(fixture.nobody, future)), Refusal::FutureRevision);
    pb::TxnRequest twice;
    for (int i = 0; i < 2; ++i) twice.add_success()->mutable_request_put()->set_key("a");
    EXPECT_EQ(fixture.refusal(fixture.coord->txn(fixture.nobody, twice)), Refusal::DuplicateKey);
    pb::TxnRequest many;
    for (int i = 0; i < 129; ++i) many.add_success()->mutable_request_range()->set_key("a");
    EXPECT_EQ(fixture.refusal(fixture.coord->txn(fixture.nobody, many)), Refusal::TooManyOperations);
    pb::TxnRequest empty;
    empty.add_failure();
    EXPECT_EQ(fixture.refusal(fixture.coord->txn(fixture.nobody, empty)), Refusal::KeyNotFound);
    EXPECT_EQ(fixture.refusal(fixture.coord->put(fixture.nobody, fixture.put_of("a", std::string(2 << 20, 'x')))),
              Refusal::RequestTooLarge);
}

// The two branches of a nested transaction exclude each other, so both may put the same key.
TEST(Coord, LetsBothBranchesOfANestedTxnPutOneKey) {
    CoordFixture fixture;
    pb::TxnRequest request;
    auto& nested = *request.add_success()->mutable_request_txn();
    nested.add_success()->mutable_request_put()->set_key("a");
    nested.add_failure()->mutable_request_put()->set_key("a");
    EXPECT_TRUE(fixture.get(fixture.coord->txn(fixture.nobody, request)).succeeded());
    request.add_success()->mutable_request_put()->set_key("a");
    EXPECT_EQ(fixture.refusal(fixture.coord->txn(fixture.nobody, request)), Refusal::DuplicateKey);
}

// etcd's duplicate check takes a delete's range_end "\0" literally, which is no key at all.
TEST(Coord, ADeleteOfAllKeysIsNoDuplicateOfAPut) {
    CoordFixture fixture;
    pb::TxnRequest request;
    auto& removal = *request.add_success()->mutable_request_delete_range();
    removal.set_key("a");
    removal.set_range_end(everything);
    request.add_success()->mutable_request_put()->set_key("b");
    EXPECT_TRUE(fixture.get(fixture.coord->txn(fixture.nobody, request)).succeeded());
    EXPECT_EQ(fixture.get(fixture.coord->range(fixture.nobody, fixture.range_of("b"))).count(), 1);
    removal.set_range_end("c");
    EXPECT_EQ(fixture.refusal(fixture.coord->txn(fixture.nobody, request)), Refusal::DuplicateKey);
}

// A range of its own takes any revision below 1 for the newest.
TEST(Coord, ARangeAtANegativeRevisionShowsTheNewest) {
    CoordFixture fixture;
    fixture.put("a", "1");
    pb::CompactionRequest compaction;
    compaction.set_revision(2);
    fixture.get(fixture.coord->compact(fixture.nobody, compaction));
    for (const bool serializable : {false, true}) {
        auto request = fixture.range_of("a");
        request.set_revision(-1);
        request.set_serializable(serializable);
        EXPECT_EQ(fixture.get(fixture.coord->range(fixture.nobody, request)).count(), 1);
    }
}

TEST(Coord, ReportsSizesOfWhatIsThere) {
    CoordFixture fixture;
    pb::LeaseGrantRequest lease;  // No version of a key, but not nothing either.
    lease.set_ttl(60);
    fixture.get(fixture.coord->lease_grant(fixture.nobody, lease));
    const CoordStatus before = fixture.coord->status();
    EXPECT_GT(before.db_bytes_in_use, 0);
    EXPECT_GE(before.db_bytes, before.db_bytes_in_use);
    fixture.put("a", std::string(10'000, 'x'));
    const CoordStatus after = fixture.coord->status();
    EXPECT_GE(after.db_bytes_in_use, before.db_bytes_in_use + 10'000);
    EXPECT_GE(after.db_bytes, after.db_bytes_in_use);
}

TEST(Coord, ReadOnlyTxnsStayOutOfTheLog) {
    CoordFixture fixture;
    fixture.put("a", "1");
    const size_t commands = fixture.replica.commands.size();
    pb::TxnRequest request;
    *request.add_success()->mutable_request_range() = fixture.range_of("a", everything);
    const auto response = fixture.get(fixture.coord->txn(fixture.nobody, request));
    EXPECT_EQ(response.responses(0).response_range().count(), 1);
    EXPECT_EQ(fixture.replica.commands.size(), commands);
}

// A large range of the past is read from the store; it gives way to others between its slices, and still is of one revision.
TEST(Coord, ALargeRangeShowsOneMoment) {
    CoordFixture fixture;
    for (int i = 0; i < 3000; ++i) fixture.put("k" + std::to_string(i), "old");
    const int64_t then = fixture.coord->header().revision();
    fixture.put("k0", "new");
    runtime::TaskGroup group(fixture.reactor);
    std::optional<Result<Reply<pb::RangeResponse>>> result;
    group.spawn("range", [](CoordFixture& on, int64_t revision, auto& into) -> runtime::Task<void> {
        pb::RangeRequest request = on.range_of("k", everything);
        request.set_revision(revision);
        into.emplace(co_await on.coord->range(on.nobody, request));
        co_return runtime::done();
    }(fixture, then, result));
    fixture.reactor.run_one();
    EXPECT_FALSE(result.has_value());
    fixture.put("k1", "new");
    EXPECT_TRUE(run(fixture.reactor, group.join()).has_value());
    ASSERT_TRUE(result && *result && **result);
    const pb::RangeResponse& response = ***result;
    EXPECT_EQ(response.count(), 3000);
    for (const auto& pair : response.kvs()) EXPECT_EQ(pair.value(), "old");
}

TEST(Coord, NotesHowFarARequestCame) {
    CoordFixture fixture;
    fixture.reactor.run_for(7s);
    Credentials who;
    who.trace = {1, 2};
    who.phases = std::make_shared<RequestPhases>();
    fixture.get(fixture.coord->put(who, fixture.put_of("a", "1")));
    EXPECT_EQ(who.phases->proposed, fixture.reactor.now());
    EXPECT_EQ(who.phases->committed, fixture.reactor.now());
    EXPECT_EQ(who.phases->applied, fixture.reactor.now());

    who.phases = std::make_shared<RequestPhases>();
    fixture.get(fixture.coord->range(who, fixture.range_of("a")));
    EXPECT_TRUE(who.phases->proposed && who.phases->applied);
    EXPECT_FALSE(who.phases->committed.has_value());

    who.phases = std::make_shared<RequestPhases>();
    fixture.replica.refuse_commands = true;
    EXPECT_FALSE(run(fixture.reactor, fixture.coord->put(who, fixture.put_of("a", "2"))).has_value());
    EXPECT_TRUE(who.phases->proposed.has_value());
    EXPECT_FALSE(who.phases->committed.has_value());
    // What comes later under the same trace id is no concern of a request that has ended.
    fixture.replica.refuse_commands = false;
    Credentials later = who;
    later.phases = nullptr;
    fixture.get(fixture.coord->put(later, fixture.put_of("a", "3")));
    EXPECT_FALSE(who.phases->committed.has_value());
}

TEST(Coord, RefusesARangeStreamInAnotherOrder) {
    CoordFixture fixture;
    auto sorted = fixture.range_of("k", everything);
    sorted.set_sort_order(pb::RangeRequest::DESCEND);
    EXPECT_EQ(fixture.refusal(fixture.coord->range_stream(fixture.nobody, sorted, {})),
              Refusal::RangeStreamUnsupported);
}

TEST(Quota, CrossingItRaisesTheAlarm) {
    CoordOptions options = CoordFixture::fast_options();
    options.quota_bytes = 2000;
    CoordFixture fixture(options);
    fixture.put("a", std::string(1000, 'x'));
    const auto large = fixture.put_of("b", std::string(1000, 'x'));
    EXPECT_EQ(fixture.refusal(fixture.coord->put(fixture.nobody, large)), Refusal::NoSpace);
    ASSERT_EQ(fixture.coord->status().alarms.size(), 1u);
    EXPECT_EQ(fixture.coord->status().alarms[0].alarm(), pb::NOSPACE);
    // Even what would fit is refused until somebody made room and took the alarm down.
    EXPECT_EQ(fixture.refusal(fixture.coord->put(fixture.nobody, fixture.put_of("c", "1"))), Refusal::NoSpace);
    EXPECT_EQ(fixture.get(fixture.coord->range(fixture.nobody, fixture.range_of("a"))).count(), 1);
    pb::AlarmRequest disarm;
    disarm.set_action(pb::AlarmRequest::DEACTIVATE);
    disarm.set_memberid(1);
    disarm.set_alarm(pb::NOSPACE);
    fixture.get(fixture.coord->alarm(fixture.nobody, disarm));
    fixture.put("c", "1");
}

int64_t grant(CoordFixture& fixture, int64_t ttl, int64_t id = 0) {
    pb::LeaseGrantRequest request;
    request.set_ttl(ttl);
    request.set_id(id);
    return fixture.get(fixture.coord->lease_grant(fixture.nobody, request)).id();
}

int64_t keep_alive(CoordFixture& fixture, int64_t id) {
    pb::LeaseKeepAliveRequest request;
    request.set_id(id);
    return fixture.get(fixture.coord->lease_keep_alive(fixture.nobody, request)).ttl();
}

bool exists(CoordFixture& fixture, std::string_view key) {
    return fixture.get(fixture.coord->range(fixture.nobody, fixture.range_of(key))).count() == 1;
}

TEST(CoordLease, ExpiresWithItsKeysAfterItsTerm) {
    CoordFixture fixture;
    const int64_t id = grant(fixture, 5);
    EXPECT_GT(id, 0);
    fixture.put("a", "1", id);
    fixture.reactor.run_for(4s);
    EXPECT_TRUE(exists(fixture, "a"));
    fixture.reactor.run_for(2s);
    EXPECT_FALSE(exists(fixture, "a"));
    EXPECT_EQ(keep_alive(fixture, id), 0);
    EXPECT_EQ(fixture.coord->status().leases, 0u);
}

TEST(CoordLease, LivesWhileItIsRenewed) {
    CoordFixture fixture;
    const int64_t id = grant(fixture, 5);
    fixture.put("a", "1", id);
    const size_t commands = fixture.replica.commands.size();
    for (int i = 0; i < 5; ++i) {
        fixture.reactor.run_for(3s);
        EXPECT_EQ(keep_alive(fixture, id), 5);
    }
    EXPECT_TRUE(exists(fixture, "a"));
    EXPECT_EQ(fixture.replica.commands.size(), commands);  // A renewal costs no log entry.
}

TEST(CoordLease, HasItsWholeTermUnderANewLeader) {
    CoordFixture fixture;
    const int64_t id = grant(fixture, 5);
    fixture.put("a", "1", id);
    fixture.reactor.run_for(4s);
    fixture.replica.lose_leader();
    fixture.reactor.run_for(10s);
    fixture.replica.lead(2);
    fixture.reactor.run_for(4s);
    EXPECT_TRUE(exists(fixture, "a"));
    fixture.reactor.run_for(2s);
    EXPECT_FALSE(exists(fixture, "a"));
}

TEST(CoordLease, IsRaisedToTheShortestTerm) {
    CoordFixture fixture;
    const int64_t id = grant(fixture, 0);
    pb::LeaseTimeToLiveRequest request;
    request.set_id(id);
    EXPECT_EQ(fixture.get(fixture.coord->lease_time_to_live(fixture.nobody, request)).grantedttl(), 2);
    pb::LeaseGrantRequest longest;
    longest.set_ttl(9'000'000'001);
    EXPECT_EQ(fixture.refusal(fixture.coord->lease_grant(fixture.nobody, longest)), Refusal::LeaseTtlTooLarge);
    longest.set_ttl(9'000'000'000);
    fixture.get(fixture.coord->lease_grant(fixture.nobody, longest));
    fixture.reactor.run_for(1h);
    EXPECT_EQ(fixture.coord->status().leases, 1u);
}

TEST(CoordLease, TimeToLiveOfAnUnknownLeaseIsMinusOne) {
    CoordFixture fixture;
    const int64_t id = grant(fixture, 60);
    fixture.put("a", "1", id);
    fixture.reactor.run_for(10s);
    pb::LeaseTimeToLiveRequest request;
    request.set_id(id);
    request.set_keys(true);
    const auto known = fixture.get(fixture.coord->lease_time_to_live(fixture.nobody, request));
    EXPECT_LE(known.ttl(), 50);
    EXPECT_GE(known.ttl(), 48);
    ASSERT_EQ(known.keys_size(), 1);
    request.set_id(1);
    EXPECT_EQ(fixture.get(fixture.coord->lease_time_to_live(fixture.nobody, request)).ttl(), -1);
}

TEST(LeaseKeeper, ForgivesAPause) {
    storage::MemoryStore store;
    storage::Overlay state(store);
    LeaseTable table;
    ASSERT_TRUE(table.grant(state, 1, 10).has_value());
    LeaseKeeper keeper;
    const Instant start{100s};
    keeper.lead(table, start);
    keeper.forgive(30s);
    EXPECT_TRUE(keeper.take_due(start + 39s, 10).empty());
    EXPECT_EQ(keeper.take_due(start + 40s, 10), std::vector<int64_t>{1});
    EXPECT_EQ(keeper.renew(1, start + 40s), std::nullopt);  // It is being revoked.
    keeper.retry(1, start + 41s);
    EXPECT_EQ(keeper.renew(1, start + 41s), 10);
}

// ---- Users ----

Credentials login(CoordFixture& fixture, const std::string& name, const std::string& password) {
    pb::AuthenticateRequest request;
    request.set_name(name);
    request.set_password(password);
    Credentials who;
    who.token = fixture.get(fixture.coord->authenticate(request)).token();
    return who;
}

void add_user(CoordFixture& fixture, const Credentials& who, const std::string& name, const std::string& role) {
    pb::AuthUserAddRequest user;
    user.set_name(name);
    user.set_password(name + "'s password");
    fixture.get(fixture.coord->user_add(who, user));
    pb::AuthUserGrantRoleRequest granted;
    granted.set_user(name);
    granted.set_role(role);
    fixture.get(fixture.coord->user_grant_role(who, granted));
}

void add_permission(CoordFixture& fixture, const Credentials& who, const std::string& role,
                    authpb::Permission::Type type, const std::string& key, const std::string& range_end) {
    pb::AuthRoleGrantPermissionRequest request;
    request.set_name(role);
    request.mutable_perm()->set_permtype(type);
    request.mutable_perm()->set_key(key);
    request.mutable_perm()->set_range_end(range_end);
    fixture.get(fixture.coord->role_grant_permission(who, request));
}

/// Auth on: root, and ann who may read and write [a, c) and read [c, e).
struct AuthFixture : CoordFixture {
    AuthFixture() {
        pb::AuthRoleAddRequest worker;
        worker.set_name("worker");
        get(coord->role_add(nobody, worker));
        add_permission(*this, nobody, "worker", authpb::Permission::READWRITE, "a", "c");
        add_permission(*this, nobody, "worker", authpb::Permission::READ, "c", "e");
        add_user(*this, nobody, "root", "root");
        add_user(*this, nobody, "ann", "worker");
        get(coord->auth_enable(nobody));
        root = login(*this, "root", "root's password");
        ann = login(*this, "ann", "ann's password");
    }
    Credentials root;
    Credentials ann;
};

TEST(CoordAuth, NeedsRootBeforeItIsEnabled) {
    CoordFixture fixture;
    EXPECT_EQ(fixture.refusal(fixture.coord->auth_enable(fixture.nobody)), Refusal::RootUserMissing);
    pb::AuthUserAddRequest user;
    user.set_name("root");
    user.set_password("p");
    fixture.get(fixture.coord->user_add(fixture.nobody, user));
    EXPECT_EQ(fixture.refusal(fixture.coord->auth_enable(fixture.nobody)), Refusal::RootRoleMissing);
    pb::AuthenticateRequest early;
    early.set_name("root");
    early.set_password("p");
    EXPECT_EQ(fixture.refusal(fixture.coord->authenticate(early)), Refusal::AuthNotEnabled);
}

TEST(CoordAuth, IsEnabledAgainByRootOnly) {
    AuthFixture fixture;
    Coord& coord = *fixture.coord;
    EXPECT_EQ(fixture.refusal(coord.auth_enable(fixture.nobody)), Refusal::UserEmpty);
    EXPECT_EQ(fixture.refusal(coord.auth_enable(fixture.ann)), Refusal::PermissionDenied);
    const uint64_t revision = fixture.get(coord.auth_status(fixture.root)).authrevision();
    fixture.get(coord.auth_enable(fixture.root));
    EXPECT_EQ(fixture.get(coord.auth_status(fixture.root)).authrevision(), revision);
}

TEST(CoordAuth, ChecksEveryCallersKeys) {
    AuthFixture fixture;
    Coord& coord = *fixture.coord;
    EXPECT_EQ(fixture.refusal(coord.put(fixture.nobody, fixture.put_of("a", "1"))), Refusal::UserEmpty);
    Credentials forged;
    forged.token = "forged.1";
    EXPECT_EQ(fixture.refusal(coord.put(forged, fixture.put_of("a", "1"))), Refusal::InvalidAuthToken);
    fixture.get(coord.put(fixture.ann, fixture.put_of("a", "1")));
    EXPECT_EQ(fixture.refusal(coord.put(fixture.ann, fixture.put_of("c", "1"))), Refusal::PermissionDenied);
    // Two permissions that touch cover a range that neither covers alone.
    EXPECT_EQ(fixture.get(coord.range(fixture.ann, fixture.range_of("a", "e"))).count(), 1);
    EXPECT_EQ(fixture.refusal(coord.range(fixture.ann, fixture.range_of("a", "f"))), Refusal::PermissionDenied);
    EXPECT_EQ(fixture.refusal(coord.range(fixture.ann, fixture.range_of("a", everything))), Refusal::PermissionDenied);
    EXPECT_EQ(fixture.get(coord.range(fixture.root, fixture.range_of("a", everything))).count(), 1);
    Credentials certified;
    certified.common_name = "ann";
    EXPECT_EQ(fixture.get(coord.range(certified, fixture.range_of("a"))).count(), 1);
}

pb::TxnRequest nested_put(const std::string& key, int depth) {
    pb::TxnRequest request;
    if (depth == 0) {
        request.add_failure()->mutable_request_put()->set_key(key);
    } else {
        *request.add_success()->mutable_request_txn() = nested_put(key, depth - 1);
    }
    return request;
}

// CVE-2026-33343: nested operations escaped etcd's check. And what comes back needs its own permission.
TEST(CoordAuth, ChecksEveryLeafOfATxn) {
    AuthFixture fixture;
    Coord& coord = *fixture.coord;
    for (int depth = 0; depth < 4; ++depth) {
        fixture.get(coord.txn(fixture.ann, nested_put("b", depth)));
        EXPECT_EQ(fixture.refusal(coord.txn(fixture.ann, nested_put("d", depth))), Refusal::PermissionDenied);
    }
    pb::TxnRequest compares;
    compares.add_compare()->set_key("x");
    compares.add_success()->mutable_request_range()->set_key("a");
    EXPECT_EQ(fixture.refusal(coord.txn(fixture.ann, compares)), Refusal::PermissionDenied);
}

// CVE-2026-44283: a put could read through prev_kv, and tie its key to others' leases.
TEST(CoordAuth, APutMayNotReadNorJoinOthersLeases) {
    AuthFixture fixture;
    Coord& coord = *fixture.coord;
    pb::AuthRoleAddRequest role;
    role.set_name("writer");
    fixture.get(coord.role_add(fixture.root, role));
    add_permission(fixture, fixture.root, "writer", authpb::Permission::WRITE, "w", "");
    add_user(fixture, fixture.root, "will", "writer");
    const Credentials will = login(fixture, "will", "will's password");
    fixture.get(coord.put(will, fixture.put_of("w", "secret")));
    auto peek = fixture.put_of("w", "2");
    peek.set_prev_kv(true);
    EXPECT_EQ(fixture.refusal(coord.put(will, peek)), Refusal::PermissionDenied);
    pb::TxnRequest txn;
    *txn.add_success()->mutable_request_put() = peek;
    EXPECT_EQ(fixture.refusal(coord.txn(will, txn)), Refusal::PermissionDenied);

    pb::LeaseGrantRequest lease;
    lease.set_ttl(60);
    const int64_t id = fixture.get(coord.lease_grant(fixture.root, lease)).id();
    fixture.get(coord.put(fixture.root, fixture.put_of("z", "1", id)));
    EXPECT_EQ(fixture.refusal(coord.put(will, fixture.put_of("w", "1", id))), Refusal::PermissionDenied);
    pb::LeaseRevokeRequest revoke;
    revoke.set_id(id);
    EXPECT_EQ(fixture.refusal(coord.lease_revoke(will, revoke)), Refusal::PermissionDenied);
}

TEST(CoordAuth, OnlyRootManages) {
    AuthFixture fixture;
    Coord& coord = *fixture.coord;
    pb::AuthUserAddRequest user;
    user.set_name("x");
    user.set_password("x");
    EXPECT_EQ(fixture.refusal(coord.user_add(fixture.ann, user)), Refusal::PermissionDenied);
    EXPECT_EQ(fixture.refusal(coord.user_list(fixture.ann)), Refusal::PermissionDenied);
    EXPECT_EQ(fixture.refusal(coord.auth_disable(fixture.ann)), Refusal::PermissionDenied);
    EXPECT_EQ(fixture.refusal(coord.hash_kv(fixture.ann, {})), Refusal::PermissionDenied);
    EXPECT_FALSE(coord.permit_admin(fixture.ann).has_value());
    EXPECT_TRUE(coord.permit_admin(fixture.root).has_value());
    pb::AuthUserGetRequest self;
    self.set_name("ann");
    EXPECT_EQ(fixture.get(coord.user_get(fixture.ann, self)).roles(0), "worker");
    self.set_name("root");
    EXPECT_EQ(fixture.refusal(coord.user_get(fixture.ann, self)), Refusal::PermissionDenied);
    pb::AuthUserDeleteRequest remove;
    remove.set_name("root");
    EXPECT_EQ(fixture.refusal(coord.user_delete(fixture.root, remove)), Refusal::InvalidAuthManagement);
}

TEST(CoordAuth, AWrongPasswordGivesNoToken) {
    AuthFixture fixture;
    pb::AuthenticateRequest request;
    request.set_name("ann");
    request.set_password("wrong");
    EXPECT_EQ(fixture.refusal(fixture.coord->authenticate(request)), Refusal::AuthFailed);
    request.set_name("nobody at all");
    EXPECT_EQ(fixture.refusal(fixture.coord->authenticate(request)), Refusal::AuthFailed);
}

// CVE-2021-28235: passwords must not be found in the log or the store.
TEST(CoordAuth, PasswordsReachNeitherLogNorStore) {
    AuthFixture fixture;
    pb::AuthUserChangePasswordRequest change;
    change.set_name("ann");
    change.set_password("canary");
    fixture.get(fixture.coord->user_change_password(fixture.root, change));
    login(fixture, "ann", "canary");
    for (const Bytes& command : fixture.replica.commands) {
        EXPECT_EQ(command.view().find("canary"), std::string_view::npos);
        EXPECT_EQ(command.view().find("'s password"), std::string_view::npos);
    }
    const auto cursor = fixture.store.cursor({});
    for (cursor->seek(""); cursor->valid(); cursor->next())
        EXPECT_EQ(cursor->value().find("canary"), std::string_view::npos);
}

TEST(CoordAuth, TokensEndWithTheirTermAndTheirPassword) {
    AuthFixture fixture;
    Coord& coord = *fixture.coord;
    for (int i = 0; i < 3; ++i) {
        fixture.reactor.run_for(200s);  // Each use prolongs it.
        fixture.get(coord.put(fixture.ann, fixture.put_of("a", "1")));
    }
    fixture.reactor.run_for(301s);
    EXPECT_EQ(fixture.refusal(coord.put(fixture.ann, fixture.put_of("a", "1"))), Refusal::InvalidAuthToken);
    const Credentials again = login(fixture, "ann", "ann's password");
    fixture.root = login(fixture, "root", "root's password");
    pb::AuthUserChangePasswordRequest change;
    change.set_name("ann");
    change.set_password("other");
    fixture.get(coord.user_change_password(fixture.root, change));
    EXPECT_EQ(fixture.refusal(coord.put(again, fixture.put_of("a", "1"))), Refusal::InvalidAuthToken);
}

TEST(CoordAuth, AWatchEndsWhenItsRightIsTaken) {
    AuthFixture fixture;
    const auto stream = fixture.coord->watch(fixture.ann);
    pb::WatchRequest outside;
    outside.mutable_create_request()->set_key("a");
    outside.mutable_create_request()->set_range_end("f");
    stream->request(outside);
    const auto refused = fixture.next(*stream);
    EXPECT_TRUE(refused.head.canceled());
    EXPECT_EQ(refused.head.cancel_reason(), "rpc error: code = PermissionDenied desc = etcdserver: permission denied");
    pb::WatchRequest inside;
    inside.mutable_create_request()->set_key("a");
    inside.mutable_create_request()->set_range_end("c");
    stream->request(inside);
    EXPECT_FALSE(fixture.next(*stream).head.canceled());
    fixture.get(fixture.coord->put(fixture.root, fixture.put_of("b", "1")));
    EXPECT_EQ(fixture.next(*stream).events.size(), 1u);
    pb::AuthUserRevokeRoleRequest revoke;
    revoke.set_name("ann");
    revoke.set_role("worker");
    fixture.get(fixture.coord->user_revoke_role(fixture.root, revoke));
    EXPECT_TRUE(fixture.next(*stream).head.canceled());
    fixture.get(fixture.coord->put(fixture.root, fixture.put_of("b", "2")));
    EXPECT_TRUE(fixture.silent(*stream));
}

// ---- Maintenance ----

TEST(CoordCompaction, AutomaticKeepsTheLastRevisions) {
    CoordOptions options = CoordFixture::fast_options();
    options.auto_compaction = CoordOptions::AutoCompaction::Revision;
    options.auto_compaction_revisions = 10;
    CoordFixture fixture(options);
    for (int i = 0; i < 50; ++i) fixture.put("a", std::to_string(i));
    fixture.reactor.run_for(6min);
    EXPECT_EQ(fixture.coord->status().compacted_revision, 41);
    auto past = fixture.range_of("a");
    past.set_revision(40);
    EXPECT_EQ(fixture.refusal(fixture.coord->range(fixture.nobody, past)), Refusal::Compacted);
}

TEST(CoordCompaction, AutomaticKeepsTheLastPeriod) {
    CoordOptions options = CoordFixture::fast_options();
    options.auto_compaction = CoordOptions::AutoCompaction::Periodic;
    options.auto_compaction_period = 1h;
    CoordFixture fixture(options);
    fixture.put("a", "1");
    fixture.put("a", "2");
    fixture.reactor.run_for(90min);
    fixture.put("a", "3");
    fixture.reactor.run_for(45min);
    EXPECT_EQ(fixture.coord->status().compacted_revision, 3);
}

TEST(CoordSnapshot, ComesInChunksThatAddUp) {
    CoordFixture fixture;
    for (int i = 0; i < 200; ++i) fixture.put("k" + std::to_string(i), std::string(1000, 'x'));
    struct Received {
        std::string file;
        std::vector<size_t> chunks;
        uint64_t remaining = 1;
    } received;
    const auto sent =
        run(fixture.reactor, fixture.coord->snapshot(fixture.nobody, [&received](Bytes chunk, uint64_t remaining) {
            received.file.append(chunk.view());
            received.chunks.push_back(chunk.size());
            received.remaining = remaining;
            return []() -> runtime::Task<void> { co_return runtime::done(); }();
        }));
    ASSERT_TRUE(sent && *sent);
    EXPECT_EQ(received.remaining, 0u);
    EXPECT_EQ(received.file.size() % 4096, 0u);
    for (size_t i = 0; i + 1 < received.chunks.size(); ++i) EXPECT_EQ(received.chunks[i], 32u << 10);
}

TEST(CoordHash, TellsWhatItCovers) {
    CoordFixture fixture;
    fixture.put("a", "1");
    const auto response = fixture.get(fixture.coord->hash_kv(fixture.nobody, {}));
    EXPECT_EQ(response.compact_revision(), -1);
    EXPECT_EQ(response.hash_revision(), 2);
    EXPECT_NE(response.hash(), 0u);
}

// etcd's figure is of its file, ours of our store: what operators rely on is that equal nodes give equal ones.
TEST(CoordHash, IsEqualOnNodesWithEqualHistory) {
    const auto hash_of = [](CoordFixture& fixture) { return fixture.get(fixture.coord->hash(fixture.nobody)).hash(); };
    CoordFixture one;
    CoordFixture other;
    EXPECT_EQ(hash_of(one), hash_of(other));
    one.put("a", "1");
    EXPECT_NE(hash_of(one), hash_of(other));
    other.put("a", "1");
    EXPECT_EQ(hash_of(one), hash_of(other));
    one.put("b", "1");
    other.put("b", "2");
    EXPECT_NE(hash_of(one), hash_of(other));
    const auto response = one.get(one.coord->hash(one.nobody));
    EXPECT_EQ(response.header().revision(), 3);
    EXPECT_EQ(response.header().cluster_id(), 77u);
}

TEST(CoordHash, IsForRootOnly) {
    AuthFixture fixture;
    EXPECT_EQ(fixture.refusal(fixture.coord->hash(fixture.ann)), Refusal::PermissionDenied);
    EXPECT_EQ(fixture.refusal(fixture.coord->hash(fixture.nobody)), Refusal::UserEmpty);
    fixture.get(fixture.coord->hash(fixture.root));
}

}  // namespace
}  // namespace polis::services
