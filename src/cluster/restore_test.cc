// A node's state out of a backup, into a store that cannot keep up.
#include "cluster/restore.h"

#include <gtest/gtest.h>

#include "cluster/cluster_testing.h"

namespace polis::cluster {
namespace {

// Says Overloaded from its second write on, until it is flushed: as RocksDB does with its memory full.
class SlowStore final : public MortalStore {
public:
    SlowStore() : MortalStore(std::make_shared<storage::MemoryStore>()) {}
    Result<void> write(const storage::Batch& batch) override {
        if (std::exchange(full_, true)) return fail(Code::Overloaded, "compaction is behind");
        return MortalStore::write(batch);
    }
    Result<void> flush() override {
        full_ = false;
        return MortalStore::flush();
    }

private:
    bool full_ = false;
};

class SlowShelf final : public StoreShelf {
public:
    runtime::Task<std::unique_ptr<storage::Store>> open_current() override {
        co_return std::unique_ptr<storage::Store>(std::make_unique<SlowStore>());
    }
    runtime::Task<std::unique_ptr<storage::Store>> open_next() override { return open_current(); }
    runtime::Task<std::unique_ptr<storage::Store>> reopen_next() override { return open_current(); }
    runtime::Task<void> remove_unused() override { co_return runtime::done(); }
    runtime::Task<void> switch_to_next() override { co_return runtime::done(); }
};

TEST(Restore, WaitsForAStoreThatIsBehind) {
    runtime::SimReactor reactor(1);
    runtime::SimNetwork network(reactor, 2);
    runtime::SimDisk disk(reactor, {});
    runtime::SimRandom random(3);
    runtime::SimPool pool(4);
    const runtime::World world{reactor, network.host("n1"), disk, random, pool};
    HostOptions options;
    options.name = "n1";
    options.advertised_peer_urls = {SimCluster::url_of(1)};
    options.initial.emplace("n1", SimCluster::url_of(1));
    options.make_shelf = [](GroupId) { return std::make_unique<SlowShelf>(); };
    const auto fill = [](storage::Store& store) {
        storage::Batch batch;
        batch.put("k", "v");
        return store.write(batch);
    };
    const Result<void> restored = runtime::run(reactor, restore_node(world, options, fill));
    EXPECT_TRUE(restored) << restored.error().what;
}

}  // namespace
}  // namespace polis::cluster
