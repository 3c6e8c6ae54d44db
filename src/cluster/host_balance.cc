// The part of Host that spreads the leaderships of the groups over the nodes.
#include <algorithm>
#include <utility>

#include "base/log.h"
#include "cluster/host.h"

namespace polis::cluster {

runtime::Task<void> Host::balance_loop() {
    constexpr auto look_every = std::chrono::seconds(1);
    for (;;) {
        CO_TRY(co_await runtime::sleep_for(look_every));
        if (!options_.balance.enabled) continue;
        if (world_.reactor.now() < undisturbed_since_ + options_.balance.hold) continue;
        const std::optional<LeaderMove> move = next_move();
        if (!move) continue;
        log::info("leader_moves", {"group", move->group}, {"to", move->to});
        // Whatever comes of it, the next one waits again.
        undisturbed_since_ = world_.reactor.now();
        const Result<void> moved = co_await replicas_.at(move->group)->transfer_leadership(move->to);
        if (!moved) log::info("leader_stays", {"group", move->group}, {"why", moved.error().what});
    }
}

std::optional<LeaderMove> Host::next_move() const {
    std::map<NodeId, uint64_t> counts;
    std::vector<LedGroup> led;
    if (!is_founded()) return std::nullopt;
    for (const auto& [group, replica] : replicas_) {
        const Leadership leadership = replica->leadership();
        if (leadership.leader == NodeId::Nobody) return std::nullopt;  // An election is under way somewhere.
        ++counts[leadership.leader];
        if (!leadership.ready) continue;
        const consensus::Status core = replica->core_status();
        if (core.membership.joint() || core.membership.everyone().size() != meta_.members().size()) return std::nullopt;
        LedGroup one{.group = group, .able = {}};
        for (const consensus::Status::Progress& progress : core.progress) {
            if (may_lead(core, progress)) one.able.push_back({progress.node, progress.priority});
        }
        led.push_back(std::move(one));
    }
    return plan_move({identity_.node, options_.timing.priority}, led, counts);
}

runtime::Task<void> Host::hand_over(Instant deadline) {
    for (auto& [group, replica] : replicas_) {
        if (!replica->leadership().ready) continue;
        const consensus::Status core = replica->core_status();
        const consensus::Status::Progress* best = nullptr;
        for (const consensus::Status::Progress& progress : core.progress) {
            if (!may_lead(core, progress)) continue;
            const auto rank = [](const auto& one) { return std::pair(one.priority, one.matched); };
            if (!best || rank(*best) < rank(progress)) best = &progress;
        }
        if (!best) continue;
        const Result<void> moved = co_await runtime::with_deadline(deadline, replica->transfer_leadership(best->node));
        if (!moved) log::info("leader_stays", {"group", group}, {"why", moved.error().what});
    }
    co_return runtime::done();
}

bool Host::may_lead(const consensus::Status& core, const consensus::Status::Progress& progress) const {
    const PeerHealth health = peers_->health(progress.node);
    const bool close = progress.matched.value + options_.balance.lag_entries_max >= core.last.value;
    const bool well = progress.active && health.connected && health.alive && !health.suspected;
    return core.membership.votes(progress.node) && well && close && !progress.snapshotting;
}

}  // namespace polis::cluster
