// Snapshots to and from etcd's database file.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "codec/bbolt/reader.h"
#include "services/coord/import_api.h"
#include "services/coord/key_hash.h"
#include "services/coord/model_fixture.h"
#include "services/coord/snapshot_file.h"

namespace polis::services {
namespace {

std::string snapshot_of(ModelFixture& fixture) {
    SnapshotOrigin origin;
    origin.members.push_back({.id = NodeId{0xabc},
                              .name = "n",
                              .peer_urls = {"http://127.0.0.1:1"},
                              .client_urls = {},
                              .learner = false,
                              .labels = {}});
    const auto buckets = snapshot_buckets(fixture.store().view(), origin);
    const auto plan = codec::plan_bbolt(buckets);
    EXPECT_TRUE(plan.has_value());
    codec::BboltWriter writer(buckets, *plan);
    std::string file;
    for (;;) {
        const auto piece = writer.next(32768);
        EXPECT_TRUE(piece.has_value());
        if (!piece || piece->empty()) break;
        file.append(*piece);
    }
    EXPECT_EQ(file.size(), plan->file_bytes());
    return file;
}

Result<void> import(const std::string& file, storage::Store& store) {
    const codec::BboltMemorySource source(file);
    LET(const codec::BboltReader reader, codec::BboltReader::open(source));
    return import_etcd_snapshot(reader, store);
}

/// A model over an imported state.
struct Imported {
    explicit Imported(const std::string& file) {
        EXPECT_TRUE(import(file, store).has_value());
        EXPECT_TRUE(model.load(store).has_value());
    }
    uint32_t hash() {
        return must(hash_keys(ReaderOf<storage::Store>(store), model.mvcc().visible_revision(),
                              model.mvcc().compacted_revision()));
    }
    storage::MemoryStore store;
    CoordModel model{1u << 20};
};

std::string recorded_snapshot() {
    std::ifstream in(POLIS_SOURCE_DIR "/tests/scenarios/coord/etcd-3.4.23.db", std::ios::binary);
    std::string octets((std::istreambuf_iterator<char>(in)), {});
    constexpr size_t checksum_bytes = 32;  // SHA-256, after the file.
    EXPECT_GT(octets.size(), checksum_bytes);
    octets.resize(octets.size() - checksum_bytes);
    return octets;
}

// The file was saved from the server that gave the figures of key_hash_test.cc.
TEST(Import, TakesASnapshotOfARealEtcd) {
    Imported imported(recorded_snapshot());
    EXPECT_EQ(imported.model.mvcc().visible_revision(), 17);
    EXPECT_EQ(imported.model.mvcc().compacted_revision(), 13);
    EXPECT_EQ(imported.model.mvcc().totals().keys, 4);
    EXPECT_EQ(imported.hash(), 1089769238u);
}

TEST(Import, TakesBackWhatASnapshotGave) {
    ModelFixture fixture;
    pb::LeaseGrantRequest grant;
    grant.set_id(7);
    grant.set_ttl(60);
    ASSERT_TRUE(fixture.run<pb::LeaseGrantResponse>(CommandKind::LeaseGrant, grant).has_value());
    for (int i = 0; i < 300; ++i)
        fixture.put("key" + std::to_string(i % 50), std::string(200, 'x'), i % 3 == 0 ? 7 : 0);
    fixture.remove("key1", "key2");
    ASSERT_TRUE(fixture.compact(250).has_value());
    fixture.finish_compaction();
    pb::AuthRoleAddRequest role;
    role.set_name("reader");
    ASSERT_TRUE(fixture.run<pb::AuthRoleAddResponse>(CommandKind::RoleAdd, role).has_value());

    Imported imported(snapshot_of(fixture));
    const Mvcc& before = fixture.model().mvcc();
    const Mvcc& after = imported.model.mvcc();
    EXPECT_EQ(after.visible_revision(), before.visible_revision());
    EXPECT_EQ(after.compacted_revision(), before.compacted_revision());
    EXPECT_EQ(after.totals(), before.totals());
    EXPECT_EQ(imported.hash(),
              must(hash_keys(fixture.reader(), before.visible_revision(), before.compacted_revision())));
    EXPECT_EQ(LeaseTable::keys_of(ReaderOf<storage::Store>(imported.store), 7),
              LeaseTable::keys_of(fixture.reader(), 7));
    EXPECT_TRUE(imported.model.auth().roles().contains("reader"));
    EXPECT_EQ(imported.model.auth().revision(), fixture.model().auth().revision());
}

TEST(Import, RefusesAStoreThatIsNotEmpty) {
    ModelFixture fixture;
    fixture.put("a", "1");
    const auto imported = import(recorded_snapshot(), fixture.store());
    ASSERT_FALSE(imported.has_value());
    EXPECT_EQ(imported.error().code, Code::Invalid);
}

}  // namespace
}  // namespace polis::services
