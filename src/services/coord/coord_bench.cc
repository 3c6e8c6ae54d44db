// What the model and the watch hub cost: put, get, range, fan-out.
#include <benchmark/benchmark.h>

#include <memory>
#include <string>
#include <vector>

#include "base/ensure.h"
#include "runtime/sim_reactor.h"
#include "services/coord/model.h"
#include "services/coord/range_scan.h"
#include "services/coord/watch_hub.h"
#include "storage/kv/memory_store.h"

namespace polis::services {
namespace {

constexpr int keys = 10'000;

class Node : public EffectsListener {
public:
    Node() : model_(64u << 20), overlay_(store) {
        ENSURE(model_.load(store).has_value());
        model_.listen(this);
        for (int i = 0; i < keys; ++i) {
            put(i);
            if (i % 100 == 99) commit();
        }
        commit();
    }

    static std::string key(int i) { return "/registry/pods/default/pod-" + std::to_string(100'000 + i); }
    static Bytes put_command(int i) {
        pb::PutRequest request;
        request.set_key(key(i));
        request.set_value(std::string(256, 'x'));
        return encode_command(CommandKind::Put, request);
    }
    void put(int i) { apply(put_command(i)); }
    void apply(const Bytes& command) {
        cluster::Envelope envelope;
        envelope.command = command;
        benchmark::DoNotOptimize(model_.apply(index_ = index_.next(), envelope, overlay_));
    }
    void commit() {
        model_.end_batch(overlay_);
        ENSURE(store.write(overlay_.batch()).has_value());
        drop();
    }
    /// Forgets the batch: only what the model itself costs is of interest.
    void drop() {
        overlay_.clear();
        model_.committed(index_);
    }
    CoordModel& model() { return model_; }

    void on_command(const cluster::Envelope&) override {}
    void on_effects(Effects effects) override {
        if (hub) hub->publish(effects.changes);
    }
    void on_loaded() override {}

    storage::MemoryStore store;
    WatchHub* hub = nullptr;

private:
    CoordModel model_;
    storage::Overlay overlay_;
    LogIndex index_;
};

/// Applying a put of 256 octets to an existing key, in batches of 64, without the store's write.
void PutApply(benchmark::State& state) {
    Node node;
    std::vector<Bytes> commands;
    for (int i = 0; i < keys; ++i) commands.push_back(Node::put_command(i));
    int i = 0;
    for (auto _ : state) {
        node.apply(commands[static_cast<size_t>(i % keys)]);
        if (++i % 64 == 0) node.drop();
    }
    node.drop();
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(PutApply);

void GetFromCache(benchmark::State& state) {
    Node node;
    const ReaderOf<storage::Store> reader(node.store);
    std::vector<std::string> names;
    for (int i = 0; i < keys; ++i) names.push_back(Node::key(i));
    size_t i = 0;
    for (auto _ : state)
        benchmark::DoNotOptimize(
            node.model().mvcc().find(reader, names[i++ % names.size()], node.model().mvcc().visible_revision()));
}
BENCHMARK(GetFromCache);

void Range1000(benchmark::State& state) {
    Node node;
    pb::RangeRequest request;
    request.set_key(Node::key(1000));
    request.set_range_end(Node::key(2000));
    const ReaderOf<storage::Store> reader(node.store);
    for (auto _ : state) {
        RangeScan scan(reader, request, node.model().mvcc().visible_revision());
        while (!must(scan.step(1000))) continue;
        benchmark::DoNotOptimize(scan.take());
    }
    state.SetItemsProcessed(state.iterations() * 1000);
}
BENCHMARK(Range1000);

/// One put, seen by a thousand watchers on ten streams, read by all.
void FanOut1000(benchmark::State& state) {
    Node node;
    runtime::SimReactor reactor(1);
    WatchHub hub(
        reactor, node.model().mvcc(), node.store,
        {.identify =
             [](const Credentials&) { return std::expected<WatchHub::Identity, Refusal>({{}, Access::everything()}); },
         .access_of = [](const std::string&) { return Access::everything(); }},
        {});
    node.hub = &hub;
    std::vector<std::unique_ptr<WatchStream>> streams;
    pb::WatchRequest create;
    create.mutable_create_request()->set_key(Node::key(5));
    for (int i = 0; i < 10; ++i) {
        streams.push_back(hub.open({}));
        for (int n = 0; n < 100; ++n) {
            streams.back()->request(create);
            ENSURE(streams.back()->next().run_ready().has_value());
        }
    }
    const Bytes command = Node::put_command(5);
    for (auto _ : state) {
        node.apply(command);
        node.commit();
        for (const auto& stream : streams)
            for (int n = 0; n < 100; ++n) benchmark::DoNotOptimize(stream->next().run_ready());
    }
    node.hub = nullptr;
    state.SetItemsProcessed(state.iterations() * 1000);
}
BENCHMARK(FanOut1000);

}  // namespace
}  // namespace polis::services
