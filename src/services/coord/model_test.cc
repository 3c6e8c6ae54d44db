// Stories about keys: puts, deletes, transactions, compaction, leases, as commands change them.
#include "services/coord/model.h"

#include <gtest/gtest.h>

#include "services/coord/model_fixture.h"

namespace polis::services {
namespace {

pb::RequestOp put_op(std::string_view key, std::string_view value) {
    pb::RequestOp operation;
    operation.mutable_request_put()->set_key(std::string(key));
    operation.mutable_request_put()->set_value(std::string(value));
    return operation;
}

pb::RequestOp delete_op(std::string_view key) {
    pb::RequestOp operation;
    operation.mutable_request_delete_range()->set_key(std::string(key));
    return operation;
}

pb::RequestOp range_op(std::string_view key, std::string_view range_end = {}) {
    pb::RequestOp operation;
    operation.mutable_request_range()->set_key(std::string(key));
    operation.mutable_request_range()->set_range_end(std::string(range_end));
    return operation;
}

void grant(ModelFixture& fixture, int64_t id) {
    pb::LeaseGrantRequest request;
    request.set_id(id);
    request.set_ttl(60);
    ASSERT_TRUE(fixture.run<pb::LeaseGrantResponse>(CommandKind::LeaseGrant, request).has_value());
}

TEST(Put, FirstRevisionIsTwo) {
    ModelFixture fixture;
    EXPECT_EQ(fixture.put("a", "1"), 2);
    EXPECT_EQ(fixture.put("a", "2"), 3);
    EXPECT_EQ(fixture.get("a"), "2");
    EXPECT_EQ(fixture.get("a", 2), "1");
    EXPECT_EQ(fixture.get("a", 1), std::nullopt);
}

TEST(Put, CountsVersionsFromEachCreation) {
    ModelFixture fixture;
    fixture.put("a", "1");
    fixture.put("a", "2");
    fixture.remove("a");
    fixture.put("a", "3");
    const auto response = fixture.range("a", "");
    ASSERT_EQ(response.kvs_size(), 1);
    EXPECT_EQ(response.kvs(0).create_revision(), 5);
    EXPECT_EQ(response.kvs(0).mod_revision(), 5);
    EXPECT_EQ(response.kvs(0).version(), 1);
}

// Once it is known that a key is gone, what it was must still be found.
TEST(Put, AKeyThatIsGoneKeepsItsPast) {
    ModelFixture fixture;
    fixture.put("a", "1");
    fixture.remove("a");
    ModelFixture small(0);
    small.put("a", "1");
    small.remove("a");
    EXPECT_EQ(small.get("a"), std::nullopt);
    EXPECT_EQ(small.get("a", 2), "1");
    fixture.reload();
    EXPECT_EQ(fixture.get("a"), std::nullopt);
    EXPECT_EQ(fixture.get("a", 2), "1");
}

TEST(Put, KeepsTheValueWhenAskedTo) {
    ModelFixture fixture;
    fixture.put("a", "kept");
    pb::PutRequest request;
    request.set_key("a");
    request.set_ignore_value(true);
    request.set_prev_kv(true);
    const auto reply = fixture.run<pb::PutResponse>(CommandKind::Put, request);
    ASSERT_TRUE(reply.has_value());
    EXPECT_EQ(reply->prev_kv().value(), "kept");
    EXPECT_EQ(fixture.get("a"), "kept");
    EXPECT_EQ(reply->header().revision(), 3);
}

TEST(Put, RefusesToKeepTheValueOfAMissingKey) {
    ModelFixture fixture;
    pb::PutRequest request;
    request.set_key("a");
    request.set_ignore_value(true);
    const auto reply = fixture.run<pb::PutResponse>(CommandKind::Put, request);
    ASSERT_FALSE(reply.has_value());
    EXPECT_EQ(reply.error(), Refusal::KeyNotFound);
    EXPECT_EQ(fixture.model().mvcc().applied_revision(), 1);
}

TEST(Put, RefusesAnUnknownLease) {
    ModelFixture fixture;
    pb::PutRequest request;
    request.set_key("a");
    request.set_lease(5);
    EXPECT_EQ(fixture.run<pb::PutResponse>(CommandKind::Put, request).error(), Refusal::LeaseNotFound);
}

TEST(Delete, SpendsNoRevisionOnNothing) {
    ModelFixture fixture;
    fixture.put("a", "1");
    EXPECT_EQ(fixture.remove("b"), 0);
    EXPECT_EQ(fixture.model().mvcc().applied_revision(), 2);
    EXPECT_EQ(fixture.remove("a"), 1);
    EXPECT_EQ(fixture.model().mvcc().applied_revision(), 3);
}

TEST(Delete, TakesOneRevisionForAWholeRange) {
    ModelFixture fixture;
    for (const auto* key : {"a", "b", "c", "d"}) fixture.put(key, "x");
    EXPECT_EQ(fixture.remove("b", "d"), 2);
    EXPECT_EQ(fixture.model().mvcc().applied_revision(), 6);
    EXPECT_EQ(fixture.range("a", std::string(1, '\0')).count(), 2);
    ASSERT_EQ(fixture.newest_changes().size(), 2u);
    EXPECT_EQ(fixture.newest_changes()[1].version.revision, (Revision{6, 1}));
}

// The octet 00 inside keys must not disturb their order, nor make one key's versions look like another's.
TEST(Range, OrdersKeysWithZeroOctets) {
    ModelFixture fixture;
    const std::vector<std::string> keys{std::string("a"),        std::string("a\0", 2),     std::string("a\0\0", 3),
                                        std::string("a\0\1", 3), std::string("a\0\xff", 3), std::string("a\1"),
                                        std::string("b")};
    for (size_t i = keys.size(); i-- > 0;) fixture.put(keys[i], std::to_string(i));
    const auto response = fixture.range(std::string(1, '\0'), std::string(1, '\0'));
    ASSERT_EQ(response.kvs_size(), static_cast<int>(keys.size()));
    for (int i = 0; i < response.kvs_size(); ++i) EXPECT_EQ(response.kvs(i).key(), keys[static_cast<size_t>(i)]);
    EXPECT_EQ(fixture.range(keys[0], "").count(), 1);
}

TEST(Range, CountIgnoresTheLimit) {
    ModelFixture fixture;
    for (const auto* key : {"a", "b", "c"}) fixture.put(key, key);
    pb::RangeRequest request;
    request.set_key("a");
    request.set_range_end(std::string(1, '\0'));
    request.set_limit(2);
    const auto response = fixture.range(request);
    EXPECT_EQ(response.kvs_size(), 2);
    EXPECT_EQ(response.count(), 3);
    EXPECT_TRUE(response.more());
}

// etcd takes the first limit+1 keys in key order before it sorts by another target without an order.
TEST(Range, SortsAfterTheLimitWithoutAnOrder) {
    ModelFixture fixture;
    fixture.put("a", "3");
    fixture.put("b", "2");
    fixture.put("c", "1");
    fixture.put("d", "0");
    pb::RangeRequest request;
    request.set_key("a");
    request.set_range_end(std::string(1, '\0'));
    request.set_limit(2);
    request.set_sort_target(pb::RangeRequest::VALUE);
    const auto response = fixture.range(request);
    ASSERT_EQ(response.kvs_size(), 2);
    EXPECT_EQ(response.kvs(0).key(), "c");
    EXPECT_EQ(response.kvs(1).key(), "b");
    request.set_sort_order(pb::RangeRequest::ASCEND);
    EXPECT_EQ(fixture.range(request).kvs(0).key(), "d");
}

TEST(Range, FiltersBeforeTheLimitAndCountsAll) {
    ModelFixture fixture;
    for (const auto* key : {"a", "b", "c", "d"}) fixture.put(key, key);
    pb::RangeRequest request;
    request.set_key("a");
    request.set_range_end("z");
    request.set_min_mod_revision(4);
    request.set_limit(1);
    const auto response = fixture.range(request);
    ASSERT_EQ(response.kvs_size(), 1);
    EXPECT_EQ(response.kvs(0).key(), "c");
    EXPECT_EQ(response.count(), 4);
    EXPECT_TRUE(response.more());
}

TEST(Txn, TakesOneRevisionAndSeesItsOwnWrites) {
    ModelFixture fixture;
    pb::TxnRequest request;
    *request.add_success() = range_op("a");
    *request.add_success() = put_op("a", "1");
    *request.add_success() = put_op("b", "2");
    *request.add_success() = range_op("a", "c");
    const auto reply = fixture.txn(request);
    ASSERT_TRUE(reply.has_value());
    EXPECT_TRUE(reply->succeeded());
    EXPECT_EQ(reply->header().revision(), 2);
    EXPECT_EQ(reply->responses(0).response_range().header().revision(), 1);
    EXPECT_EQ(reply->responses(0).response_range().count(), 0);
    EXPECT_EQ(reply->responses(3).response_range().count(), 2);
    EXPECT_EQ(reply->responses(3).response_range().header().revision(), 2);
}

TEST(Txn, ReadsAloneSpendNoRevision) {
    ModelFixture fixture;
    fixture.put("a", "1");
    pb::TxnRequest request;
    *request.add_success() = range_op("a");
    EXPECT_EQ(fixture.txn(request)->header().revision(), 2);
    EXPECT_EQ(fixture.put("b", "1"), 3);
}

TEST(Txn, ComparesZerosOnAMissingKeyButNoValue) {
    ModelFixture fixture;
    pb::TxnRequest request;
    auto& compare = *request.add_compare();
    compare.set_key("a");
    compare.set_target(pb::Compare::CREATE);
    compare.set_create_revision(0);
    EXPECT_TRUE(fixture.txn(request)->succeeded());
    compare.set_target(pb::Compare::VALUE);
    compare.set_value("");
    EXPECT_FALSE(fixture.txn(request)->succeeded());
    compare.set_result(pb::Compare::NOT_EQUAL);
    EXPECT_FALSE(fixture.txn(request)->succeeded());
}

TEST(Txn, RangeCompareNeedsEveryKey) {
    ModelFixture fixture;
    fixture.put("a", "x");
    fixture.put("b", "x");
    pb::TxnRequest request;
    auto& compare = *request.add_compare();
    compare.set_key("a");
    compare.set_range_end("c");
    compare.set_target(pb::Compare::VALUE);
    compare.set_value("x");
    EXPECT_TRUE(fixture.txn(request)->succeeded());
    fixture.put("b", "y");
    EXPECT_FALSE(fixture.txn(request)->succeeded());
}

// The inner compare is decided before the outer put is done.
TEST(Txn, DecidesNestedComparesOnTheStateBefore) {
    ModelFixture fixture;
    pb::TxnRequest request;
    *request.add_success() = put_op("a", "1");
    auto& inner = *request.add_success()->mutable_request_txn();
    auto& compare = *inner.add_compare();
    compare.set_key("a");
    compare.set_target(pb::Compare::VERSION);
    compare.set_version(0);
    *inner.add_success() = put_op("b", "then");
    *inner.add_failure() = put_op("b", "else");
    const auto reply = fixture.txn(request);
    ASSERT_TRUE(reply.has_value());
    EXPECT_TRUE(reply->responses(1).response_txn().succeeded());
    EXPECT_EQ(fixture.get("b"), "then");
}

TEST(Txn, FailsAsAWholeBeforeTheFirstWrite) {
    ModelFixture fixture;
    pb::TxnRequest request;
    *request.add_success() = put_op("a", "1");
    auto operation = put_op("b", "1");
    operation.mutable_request_put()->set_lease(77);
    *request.add_success() = operation;
    EXPECT_EQ(fixture.txn(request).error(), Refusal::LeaseNotFound);
    EXPECT_EQ(fixture.get("a"), std::nullopt);
    EXPECT_EQ(fixture.put("c", "1"), 2);
}

TEST(Txn, TellsMistakesOfPutsBeforeThoseOfRanges) {
    ModelFixture fixture;
    pb::TxnRequest request;
    auto future = range_op("a");
    future.mutable_request_range()->set_revision(99);
    *request.add_success() = future;
    auto& nested = *request.add_success()->mutable_request_txn();
    *nested.add_success() = put_op("b", "");
    EXPECT_EQ(fixture.txn(request).error(), Refusal::FutureRevision);
    nested.mutable_success(0)->mutable_request_put()->set_lease(77);
    EXPECT_EQ(fixture.txn(request).error(), Refusal::LeaseNotFound);
    nested.mutable_success(0)->mutable_request_put()->set_ignore_value(true);
    EXPECT_EQ(fixture.txn(request).error(), Refusal::KeyNotFound);
    // What is not run is not checked.
    nested.mutable_failure()->Swap(nested.mutable_success());
    EXPECT_EQ(fixture.txn(request).error(), Refusal::FutureRevision);
}

// etcd: -1 is the compacted revision of a store that never was compacted, and only what is below that is compacted.
TEST(Txn, ARangeAtANegativeRevisionIsCompacted) {
    ModelFixture fixture;
    fixture.put("a", "1");
    pb::TxnRequest request;
    *request.add_success() = range_op("a");
    request.mutable_success(0)->mutable_request_range()->set_revision(-1);
    ASSERT_TRUE(fixture.txn(request).has_value());
    EXPECT_EQ(fixture.txn(request)->responses(0).response_range().count(), 1);
    request.mutable_success(0)->mutable_request_range()->set_revision(-2);
    EXPECT_EQ(fixture.txn(request).error(), Refusal::Compacted);
    ASSERT_TRUE(fixture.compact(2).has_value());
    request.mutable_success(0)->mutable_request_range()->set_revision(-1);
    EXPECT_EQ(fixture.txn(request).error(), Refusal::Compacted);
}

TEST(Txn, KeepsNoValueOfAKeyThatItDeletedItself) {
    ModelFixture fixture;
    fixture.put("a", "old");
    fixture.put("b", "old");
    pb::TxnRequest request;
    *request.add_success() = put_op("c", "1");
    *request.add_success() = delete_op("a");
    request.mutable_success(1)->mutable_request_delete_range()->set_range_end(std::string(1, '\0'));
    *request.add_success() = put_op("b", "");
    for (const bool value : {true, false}) {
        request.mutable_success(2)->mutable_request_put()->set_ignore_value(value);
        request.mutable_success(2)->mutable_request_put()->set_ignore_lease(!value);
        EXPECT_EQ(fixture.txn(request).error(), Refusal::KeyNotFound);
    }
    EXPECT_EQ(fixture.get("b"), "old");
    EXPECT_EQ(fixture.model().mvcc().applied_revision(), 3);
    // Put before it is deleted, the key is still there.
    request.mutable_success()->SwapElements(1, 2);
    ASSERT_TRUE(fixture.txn(request).has_value());
    EXPECT_EQ(fixture.get("b"), std::nullopt);
}

// etcd's checker lets a later nested delete follow an earlier nested put: the key is then in one revision twice.
TEST(Txn, OneRevisionMayPutAndThenDeleteAKey) {
    ModelFixture fixture;
    fixture.put("a", "old");
    pb::TxnRequest request;
    *request.add_success()->mutable_request_txn()->add_success() = put_op("a", "new");
    *request.add_success()->mutable_request_txn()->add_success() = delete_op("a");
    ASSERT_TRUE(fixture.txn(request).has_value());
    EXPECT_EQ(fixture.get("a"), std::nullopt);
    EXPECT_EQ(fixture.get("a", 2), "old");
    EXPECT_EQ(fixture.newest_changes().size(), 2u);
    fixture.reload();
    EXPECT_EQ(fixture.get("a"), std::nullopt);
}

TEST(Lease, RevokeDeletesItsKeysInOneRevision) {
    ModelFixture fixture;
    grant(fixture, 7);
    fixture.put("b", "1", 7);
    fixture.put("a", "1", 7);
    fixture.put("c", "1", 7);
    fixture.put("c", "2");  // A plain put takes the key off the lease.
    pb::LeaseRevokeRequest request;
    request.set_id(7);
    const auto reply = fixture.run<pb::LeaseRevokeResponse>(CommandKind::LeaseRevoke, request);
    ASSERT_TRUE(reply.has_value());
    EXPECT_EQ(reply->header().revision(), 6);
    EXPECT_EQ(fixture.get("a"), std::nullopt);
    EXPECT_EQ(fixture.get("b"), std::nullopt);
    EXPECT_EQ(fixture.get("c"), "2");
    EXPECT_EQ(fixture.newest_changes()[0].key, "a");
    EXPECT_EQ(fixture.run<pb::LeaseRevokeResponse>(CommandKind::LeaseRevoke, request).error(), Refusal::LeaseNotFound);
}

TEST(Lease, RevokeWithoutKeysSpendsNoRevision) {
    ModelFixture fixture;
    grant(fixture, 7);
    pb::LeaseRevokeRequest request;
    request.set_id(7);
    EXPECT_EQ(fixture.run<pb::LeaseRevokeResponse>(CommandKind::LeaseRevoke, request)->header().revision(), 1);
}

TEST(Lease, IsStillThereAfterARestart) {
    ModelFixture fixture;
    grant(fixture, 7);
    fixture.put("a", "1", 7);
    fixture.reload();
    ASSERT_NE(fixture.model().leases().find(7), nullptr);
    EXPECT_EQ(fixture.model().leases().find(7)->ttl_seconds, 60);
    EXPECT_EQ(LeaseTable::keys_of(fixture.reader(), 7), std::vector<Bytes>{Bytes::copy("a")});
}

TEST(Compaction, ReadsAtTheCompactedRevisionStayPossible) {
    ModelFixture fixture;
    fixture.put("a", "1");
    fixture.put("a", "2");
    fixture.put("a", "3");
    ASSERT_TRUE(fixture.compact(3).has_value());
    const Mvcc& mvcc = fixture.model().mvcc();
    EXPECT_EQ(mvcc.check_readable(2, 4).error(), Refusal::Compacted);
    EXPECT_TRUE(mvcc.check_readable(3, 4).has_value());
    EXPECT_EQ(mvcc.check_readable(5, 4).error(), Refusal::FutureRevision);
    fixture.finish_compaction();
    EXPECT_EQ(fixture.get("a", 3), "2");
    EXPECT_EQ(fixture.get("a"), "3");
    EXPECT_EQ(fixture.compact(3).error(), Refusal::Compacted);
    EXPECT_EQ(fixture.compact(5).error(), Refusal::FutureRevision);
}

TEST(Compaction, RemovesWhatNoReadCanSee) {
    ModelFixture fixture;
    for (int i = 0; i < 10; ++i) fixture.put("a", "x");
    fixture.put("b", "1");
    fixture.remove("b");
    fixture.put("c", "1");
    ASSERT_TRUE(fixture.compact(14).has_value());
    fixture.finish_compaction();
    EXPECT_EQ(fixture.model().mvcc().totals().bytes, 2 * cost_of(1, 1));
    EXPECT_EQ(fixture.model().mvcc().totals().keys, 2);
    fixture.reload();
    EXPECT_EQ(fixture.model().mvcc().applied_revision(), 14);
}

TEST(Compaction, RevisionSurvivesWhenEverythingIsGone) {
    ModelFixture fixture;
    fixture.put("a", "1");
    fixture.remove("a");
    fixture.put("b", "1");
    fixture.remove("b");
    ASSERT_TRUE(fixture.compact(4).has_value());
    fixture.finish_compaction();
    fixture.reload();
    EXPECT_EQ(fixture.put("c", "1"), 6);
}

// A watch may start exactly at the compacted revision: a deletion made there must still be found.
TEST(Compaction, KeepsADeletionMadeByTheCompactedRevision) {
    ModelFixture fixture;
    fixture.put("a", "1");
    fixture.remove("a");
    fixture.put("b", "1");
    ASSERT_TRUE(fixture.compact(3).has_value());
    fixture.finish_compaction();
    EXPECT_TRUE(fixture.store().get(revision_key({3, 0})).value().has_value());
    ASSERT_TRUE(fixture.compact(4).has_value());
    fixture.finish_compaction();
    EXPECT_FALSE(fixture.store().get(revision_key({3, 0})).value().has_value());
}

TEST(Alarm, NoSpaceRefusesWhatGrowsOnly) {
    ModelFixture fixture;
    fixture.put("a", "1");
    pb::AlarmRequest alarm;
    alarm.set_action(pb::AlarmRequest::ACTIVATE);
    alarm.set_memberid(1);
    alarm.set_alarm(pb::NOSPACE);
    EXPECT_EQ(fixture.run<pb::AlarmResponse>(CommandKind::Alarm, alarm)->alarms_size(), 1);
    pb::PutRequest put;
    put.set_key("b");
    EXPECT_EQ(fixture.run<pb::PutResponse>(CommandKind::Put, put).error(), Refusal::NoSpace);
    pb::TxnRequest reads;
    *reads.add_success() = range_op("a");
    EXPECT_TRUE(fixture.txn(reads).has_value());
    EXPECT_EQ(fixture.remove("a"), 1);
    fixture.reload();
    EXPECT_TRUE(fixture.model().alarms().raised(pb::NOSPACE));
    alarm.set_action(pb::AlarmRequest::DEACTIVATE);
    EXPECT_EQ(fixture.run<pb::AlarmResponse>(CommandKind::Alarm, alarm)->alarms_size(), 1);
    EXPECT_EQ(fixture.put("b", "1"), 4);
}

}  // namespace
}  // namespace polis::services
