// Measures the stores as models use them: batches of 32 puts of 256 octets at random keys, point reads, scans.
#include <benchmark/benchmark.h>
#include <stdlib.h>

#include <filesystem>
#include <memory>
#include <string>

#include "base/ensure.h"
#include "base/random.h"
#include "storage/kv/memory_store.h"
#include "storage/kv/overlay.h"
#include "storage/kv/store.h"

namespace polis::storage {
namespace {

constexpr uint64_t keys = 200'000;
constexpr size_t batch_puts = 32;

/// 16 octets: a spread-out number, so that neighbours in time are no neighbours in the order.
std::string key_of(uint64_t number) {
    const uint64_t spread = Chance(number).next();
    std::string key(16, '\0');
    for (size_t i = 0; i < 8; ++i) key[i] = static_cast<char>(spread >> (8 * i));
    return key;
}

/// A RocksDB store that is gone with its directory afterwards.
class Rocksdb {
public:
    Rocksdb() {
        std::string name = (std::filesystem::temp_directory_path() / "polis-kv-bench-XXXXXX").string();
        ENSURE(mkdtemp(name.data()) != nullptr);
        path_ = name;
        store_ = open_rocksdb_store(path_.string(), {}).value();
    }
    ~Rocksdb() {
        store_.reset();
        std::filesystem::remove_all(path_);
    }
    Store& store() { return *store_; }

private:
    std::filesystem::path path_;
    std::unique_ptr<Store> store_;
};

class Memory {
public:
    Store& store() { return *store_; }

private:
    std::unique_ptr<MemoryStore> store_ = make_memory_store();
};

void write_patiently(Store& store, const Batch& batch) {
    for (;;) {
        const auto written = store.write(batch);
        if (written) return;
        ENSURE(written.error().code == Code::Overloaded);
    }
}

void fill(Store& store) {
    const std::string value(256, 'v');
    for (uint64_t i = 0; i < keys;) {
        Batch batch;
        for (size_t n = 0; n < batch_puts; ++n) batch.put(key_of(i++), value);
        write_patiently(store, batch);
    }
}

template <class Kind>
void put(benchmark::State& state) {
    Kind kind;
    const std::string value(256, 'v');
    uint64_t number = 0;
    uint64_t refusals = 0;
    Batch batch;
    for (auto _ : state) {
        batch.clear();
        for (size_t n = 0; n < batch_puts; ++n) batch.put(key_of(number++), value);
        while (!kind.store().write(batch)) ++refusals;
    }
    state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(batch_puts));
    state.counters["refusals"] = static_cast<double>(refusals);
}

template <class Kind>
void get(benchmark::State& state) {
    Kind kind;
    fill(kind.store());
    ENSURE(kind.store().flush());
    Chance chance(1);
    const bool hit = state.range(0) == 1;
    for (auto _ : state) {
        const uint64_t number = chance.below(keys) + (hit ? 0 : keys);
        auto value = kind.store().get(key_of(number)).value();
        ENSURE(value.has_value() == hit);
        benchmark::DoNotOptimize(value);
    }
    state.SetItemsProcessed(state.iterations());
}

template <class Kind>
void scan(benchmark::State& state) {
    Kind kind;
    fill(kind.store());
    ENSURE(kind.store().flush());
    int64_t rows = 0;
    for (auto _ : state) {
        const auto cursor = kind.store().cursor({});
        for (cursor->seek(""); cursor->valid(); cursor->next(), ++rows) benchmark::DoNotOptimize(cursor->value());
    }
    state.SetItemsProcessed(rows);
}

/// What a model does a command: two reads and three puts through an overlay that is written every 32 commands.
template <class Kind>
void apply(benchmark::State& state) {
    Kind kind;
    fill(kind.store());
    Overlay overlay(kind.store());
    const std::string value(256, 'v');
    Chance chance(1);
    uint64_t commands = 0;
    for (auto _ : state) {
        const std::string key = key_of(chance.below(keys));
        benchmark::DoNotOptimize(overlay.get(key).value());
        benchmark::DoNotOptimize(overlay.get("applied").value());
        overlay.put(key, value);
        overlay.put("revision" + std::to_string(commands), value);
        overlay.put("applied", "position");
        if (++commands % 32 != 0) continue;
        write_patiently(kind.store(), overlay.batch());
        overlay.clear();
    }
    state.SetItemsProcessed(state.iterations());
}

BENCHMARK(put<Rocksdb>);
BENCHMARK(put<Memory>)->Iterations(20'000);
BENCHMARK(get<Rocksdb>)->ArgName("hit")->Arg(1)->Arg(0);
BENCHMARK(get<Memory>)->ArgName("hit")->Arg(1)->Arg(0);
BENCHMARK(scan<Rocksdb>);
BENCHMARK(scan<Memory>);
BENCHMARK(apply<Rocksdb>);
BENCHMARK(apply<Memory>);

}  // namespace
}  // namespace polis::storage
