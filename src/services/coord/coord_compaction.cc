// The shell's compaction: the call, the leader's loop that does the work in steps, and the automatic kinds.
#include <algorithm>
#include <deque>
#include <utility>

#include "services/coord/coord.h"

namespace polis::services {

using namespace std::chrono_literals;
using runtime::Task;

namespace {

constexpr uint64_t changes_per_step = 200;  // About a millisecond of every node's time.
constexpr Duration revision_mode_interval = 5min;

}  // namespace

Task<Reply<pb::CompactionResponse>> CoordService::compact(const Credentials& who, pb::CompactionRequest request) {
    CO_LET(Reply<pb::CompactionResponse> response,
           co_await submit<pb::CompactionResponse>(who, CommandKind::Compact, request));
    if (response && request.physical())
        while (model_.mvcc().finished_revision() < request.revision()) CO_TRY(co_await changed_.wait());
    co_return response;
}

/// One step after the other, each through the log: so all nodes remove the same at the same place in history, their stores
/// stay comparable, and a new leader goes on where the old one stopped.
Task<void> CoordService::drive_compaction() {
    std::string step;
    append_big_endian(step, changes_per_step);
    for (;;) {
        if (!leadership_.ready || !model_.mvcc().is_compacting()) {
            CO_TRY(co_await changed_.wait());
            continue;
        }
        const Ballot ballot = leadership_.ballot;
        const auto reply =
            co_await replica_.propose_as_leader(ballot, encode_command(CommandKind::StepCompaction, step));
        if (!reply) CO_TRY(co_await runtime::sleep_for(100ms));
    }
}

Task<void> CoordService::propose_compaction(int64_t revision) {
    if (!leadership_.ready || revision <= std::max<int64_t>(model_.mvcc().compacted_revision(), 1))
        co_return runtime::done();
    pb::CompactionRequest request;
    request.set_revision(revision);
    const Ballot ballot = leadership_.ballot;
    CO_TRY(co_await replica_.propose_as_leader(ballot, encode_command(CommandKind::AutoCompact, request)));
    co_return runtime::done();
}

/// As etcd: looks ten times in each period, or hour if that is shorter, and compacts what was newest a whole period ago, once
/// each of them.
Task<void> CoordService::compact_periodically() {
    if (options_.auto_compaction_period <= Duration(0)) co_return runtime::done();
    const Duration between = std::min<Duration>(options_.auto_compaction_period, 1h);
    const Duration interval = between / 10;
    const auto kept = static_cast<size_t>(options_.auto_compaction_period / interval);
    std::deque<int64_t> revisions;
    Instant last = world_.reactor.now();
    for (;;) {
        revisions.push_back(model_.mvcc().visible_revision());
        if (revisions.size() > kept + 1) revisions.pop_front();
        CO_TRY(co_await runtime::sleep_for(interval));
        if (revisions.size() < kept || world_.reactor.now() - last < between) continue;
        last = world_.reactor.now();
        if (const auto proposed = co_await propose_compaction(revisions.front());
            !proposed && proposed.error().code == Code::Canceled)
            co_return std::unexpected(proposed.error());
    }
}

Task<void> CoordService::compact_by_revision() {
    for (;;) {
        CO_TRY(co_await runtime::sleep_for(revision_mode_interval));
        const int64_t revision = model_.mvcc().visible_revision() - options_.auto_compaction_revisions;
        if (const auto proposed = co_await propose_compaction(revision);
            !proposed && proposed.error().code == Code::Canceled)
            co_return std::unexpected(proposed.error());
    }
}

}  // namespace polis::services
