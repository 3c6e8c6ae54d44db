// HashKV against figures from etcd 3.4.23 (Debian 12) given the same requests.
#include "services/coord/key_hash.h"

#include <gtest/gtest.h>

#include "services/coord/model_fixture.h"

namespace polis::services {
namespace {

uint32_t hash_of(ModelFixture& fixture, int64_t revision = 0) {
    const Mvcc& mvcc = fixture.model().mvcc();
    const auto hash =
        hash_keys(fixture.reader(), revision > 0 ? revision : mvcc.visible_revision(), mvcc.compacted_revision());
    EXPECT_TRUE(hash.has_value());
    return hash.value_or(0);
}

void put_op(pb::TxnRequest& txn, std::string_view key, std::string_view value) {
    auto& put = *txn.add_success()->mutable_request_put();
    put.set_key(std::string(key));
    put.set_value(std::string(value));
}

void delete_op(pb::TxnRequest& txn, std::string_view key) {
    txn.add_success()->mutable_request_delete_range()->set_key(std::string(key));
}

TEST(KeyHash, EqualsEtcdsThroughAHistory) {
    ModelFixture fixture;
    EXPECT_EQ(hash_of(fixture), 1084519789u);
    fixture.put("a", "1");
    fixture.put("b", "2");
    fixture.put("a", "3");
    EXPECT_EQ(hash_of(fixture), 2069675932u);
    fixture.remove("b");
    EXPECT_EQ(hash_of(fixture), 1125682900u);
    EXPECT_EQ(hash_of(fixture, 3), 1827592406u);

    pb::LeaseGrantRequest grant;
    grant.set_id(77);
    grant.set_ttl(600);
    ASSERT_TRUE(fixture.run<pb::LeaseGrantResponse>(CommandKind::LeaseGrant, grant).has_value());
    fixture.put("leased", "x", 77);
    EXPECT_EQ(hash_of(fixture), 2655096683u);

    pb::TxnRequest txn;
    put_op(txn, "t1", "v1");
    auto& nested = *txn.add_success()->mutable_request_txn();
    auto& compare = *nested.add_compare();
    compare.set_key("t1");
    compare.set_version(0);
    put_op(nested, "t2", "then");
    delete_op(txn, "zz");
    ASSERT_TRUE(fixture.txn(txn).has_value());
    EXPECT_EQ(hash_of(fixture), 1472471127u);

    pb::TxnRequest twice;
    put_op(*twice.add_success()->mutable_request_txn(), "a", "new");
    delete_op(*twice.add_success()->mutable_request_txn(), "a");
    ASSERT_TRUE(fixture.txn(twice).has_value());
    EXPECT_EQ(hash_of(fixture), 1366265470u);

    fixture.put("a", "4");
    fixture.put("a", "5");
    fixture.put(std::string_view("n\0ul", 4), std::string_view("\0\1\xff", 3));
    EXPECT_EQ(hash_of(fixture), 2993226286u);
    EXPECT_EQ(fixture.put("q", "q"), 12);
    EXPECT_EQ(hash_of(fixture), 3019567243u);

    // The figure depends on what is kept, not on how far the work has come.
    ASSERT_TRUE(fixture.compact(9).has_value());
    EXPECT_EQ(hash_of(fixture), 104814000u);
    fixture.finish_compaction();
    EXPECT_EQ(hash_of(fixture), 104814000u);
    EXPECT_EQ(hash_of(fixture, 10), 3906293869u);

    EXPECT_EQ(fixture.remove(std::string_view("\0", 1), std::string_view("\0", 1)), 6);
    EXPECT_EQ(hash_of(fixture), 400194448u);
    EXPECT_EQ(fixture.put("last", "1"), 14);
    EXPECT_EQ(hash_of(fixture), 2593122593u);
    ASSERT_TRUE(fixture.compact(13).has_value());
    EXPECT_EQ(hash_of(fixture), 350789858u);
    fixture.finish_compaction();
    EXPECT_EQ(hash_of(fixture), 350789858u);

    fixture.put("s1", "c");
    fixture.put("s2", "b");
    EXPECT_EQ(fixture.put("s3", "a"), 17);
    EXPECT_EQ(hash_of(fixture), 1089769238u);
}

}  // namespace
}  // namespace polis::services
