// What a committed entry costs in the core alone: three participants in memory, no disk, no network.
#include <benchmark/benchmark.h>

#include <deque>
#include <vector>

#include "base/ensure.h"
#include "consensus/paxos/paxos.h"

namespace polis::consensus {
namespace {

class Trio {
public:
    Trio() {
        const Membership everyone{.voters = {NodeId{1}, NodeId{2}, NodeId{3}}};
        for (uint64_t id = 1; id <= 3; ++id) {
            Options options;
            options.self = NodeId{id};
            logs_.push_back(make_paxos(options));
            Recovered recovered;
            recovered.membership = everyone;
            step(id - 1, std::move(recovered));
        }
        while (!logs_[0]->status().ready) {
            now_ = now_ + std::chrono::milliseconds(10);
            step(0, Tick{});
            settle();
        }
    }

    // Proposes `batch` commands to the leader, and returns when all three have delivered them.
    void commit(uint64_t batch) {
        Propose propose;
        propose.proposals.reserve(batch);
        for (uint64_t at = 0; at < batch; ++at) propose.proposals.push_back({++requests_, command_});
        const uint64_t goal = delivered_ + 3 * batch;
        step(0, std::move(propose));
        settle();
        ENSURE(delivered_ == goal);
        const LogIndex applied = logs_[0]->status().applied;
        if (applied.value % 4096 < batch) compact(applied);
    }

private:
    void compact(LogIndex index) {
        for (size_t at = 0; at < 3; ++at) step(at, Compacted{{index, {1, NodeId::Nobody}}});
    }

    void step(size_t node, Input input) {
        Outputs outputs;
        logs_[node]->step(now_, std::move(input), outputs);
        for (Output& output : outputs) {
            if (auto* send = std::get_if<Send>(&output)) {
                queue_.push_back({static_cast<size_t>(number_of(send->to) - 1),
                                  Receive{NodeId{node + 1}, std::move(send->message)}});
            } else if (const auto* store = std::get_if<Store>(&output)) {
                queue_.push_back({node, Stored{store->token}});
            } else if (const auto* deliver = std::get_if<Deliver>(&output)) {
                delivered_ += deliver->entries.size();
                queue_.push_back({node, Applied{deliver->entries.back().index}});
            }
        }
    }

    void settle() {
        while (!queue_.empty()) {
            auto [node, input] = std::move(queue_.front());
            queue_.pop_front();
            step(node, std::move(input));
        }
    }

    std::vector<std::unique_ptr<Log>> logs_;
    std::deque<std::pair<size_t, Input>> queue_;
    Instant now_{std::chrono::seconds(1)};
    Bytes command_ = Bytes::copy(std::string(256, 'x'));
    RequestId requests_ = 0;
    uint64_t delivered_ = 0;
};

void commit_batches(benchmark::State& state) {
    Trio trio;
    const auto batch = static_cast<uint64_t>(state.range(0));
    for (auto unused : state) trio.commit(batch);
    state.SetItemsProcessed(static_cast<int64_t>(static_cast<uint64_t>(state.iterations()) * batch));
}
BENCHMARK(commit_batches)->Arg(1)->Arg(32)->Arg(64);

}  // namespace
}  // namespace polis::consensus
