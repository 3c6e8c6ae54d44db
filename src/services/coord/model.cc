#include "services/coord/model.h"

#include <limits>
#include <utility>

#include "base/ensure.h"
#include "services/coord/model_context.h"
#include "services/coord/put_parse.h"
#include "services/coord/request_check.h"
#include "services/coord/txn.h"

namespace polis::services {

namespace pb = ::etcdserverpb;

namespace {

template <class Message>
Bytes encode_outcome(const std::expected<Message, Refusal>& outcome) {
    return outcome ? encode_reply(*outcome) : encode_reply(outcome.error());
}

// The limits of options are checked before a command is proposed; nodes may differ in them, so here they must not count.
constexpr int64_t any_number = std::numeric_limits<int64_t>::max();

}  // namespace

Result<void> CoordModel::load(const storage::Store& store) {
    const ReaderOf<storage::Store> reader(store);
    effects_ = {};
    TRY(mvcc_.load(reader));
    TRY(leases_.load(reader));
    TRY(alarms_.load(reader));
    TRY(auth_.load(reader));
    if (listener_) listener_->on_loaded();
    return {};
}

cluster::Applied CoordModel::apply(LogIndex index, const cluster::Envelope& envelope, storage::Overlay& state) {
    if (listener_) listener_->on_command(envelope);
    const Bytes& command = envelope.command;
    if (command.empty()) return {encode_misunderstood()};
    Context context{state, auth_.access_of(envelope.principal, envelope.auth_revision), envelope.principal, index};
    return {execute(context, static_cast<CommandKind>(command.view().front()), command.slice(1))};
}

void CoordModel::end_batch(storage::Overlay& state) { mvcc_.save_totals(state); }

void CoordModel::committed(LogIndex) {
    effects_.changes = mvcc_.publish();
    Effects effects = std::exchange(effects_, {});
    if (listener_) listener_->on_effects(std::move(effects));
}

Bytes CoordModel::execute(Context& context, CommandKind kind, const Bytes& request) {
    switch (kind) {
        case CommandKind::Put: return put(context, request);
        case CommandKind::DeleteRange: return delete_range(context, request);
        case CommandKind::Txn: return txn(context, request);
        case CommandKind::Compact: return compact(context, request, false);
        case CommandKind::AutoCompact: return compact(context, request, true);
        case CommandKind::StepCompaction: return step_compaction(context, request);
        case CommandKind::LeaseGrant: return lease_grant(context, request);
        case CommandKind::LeaseRevoke: return lease_revoke(context, request, false);
        case CommandKind::LeaseExpire: return lease_revoke(context, request, true);
        case CommandKind::LeaseCheckpoint: return lease_checkpoint(context, request);
        case CommandKind::Alarm: return alarm(context, request, false);
        case CommandKind::RaiseAlarm: return alarm(context, request, true);
        default: return auth(context, kind, request);
    }
}

Allowed CoordModel::check_alarms(int64_t quota_cost) const {
    if (alarms_.raised(pb::CORRUPT)) return refuse(Refusal::Corrupt);
    if (quota_cost > 0 && alarms_.raised(pb::NOSPACE)) return refuse(Refusal::NoSpace);
    return {};
}

Bytes CoordModel::put(Context& context, const Bytes& request) {
    auto command = parse_put(request);
    if (!command || command->key.empty()) return encode_misunderstood();
    if (const auto allowed = check_alarms(1); !allowed) return encode_reply(allowed.error());
    MvccWrite write(mvcc_, context.state);
    Executing executing{mvcc_, write, leases_, context.access};
    const auto outcome = execute_put(executing, *std::move(command));
    write.finish();
    if (!outcome) return encode_reply(outcome.error());
    ++counters_.puts;
    return outcome->previous ? encode_reply(outcome->response()) : encode_put_reply(outcome->revision);
}

Bytes CoordModel::delete_range(Context& context, std::string_view octets) {
    const auto request = parse<pb::DeleteRangeRequest>(octets);
    if (!request || !check_delete_range(*request)) return encode_misunderstood();
    if (const auto allowed = check_alarms(0); !allowed) return encode_reply(allowed.error());
    MvccWrite write(mvcc_, context.state);
    Executing executing{mvcc_, write, leases_, context.access};
    const auto outcome = execute_delete_range(executing, *request);
    write.finish();
    if (outcome) ++counters_.deletes;
    return encode_outcome(outcome);
}

Bytes CoordModel::txn(Context& context, std::string_view octets) {
    const auto request = parse<pb::TxnRequest>(octets);
    if (!request || !check_txn(*request, any_number)) return encode_misunderstood();
    if (const auto allowed = check_alarms(quota_cost(*request)); !allowed) return encode_reply(allowed.error());
    MvccWrite write(mvcc_, context.state);
    Executing executing{mvcc_, write, leases_, context.access};
    const auto outcome = execute_txn(executing, *request);
    ENSURE(outcome.has_value() || write.changes() == 0);
    write.finish();
    if (outcome) ++counters_.txns;
    return encode_outcome(outcome);
}

Bytes CoordModel::compact(Context& context, std::string_view octets, bool by_leader) {
    const auto request = parse<pb::CompactionRequest>(octets);
    if (!request) return encode_misunderstood();
    if (const auto allowed = context.access.identified(); !allowed && !by_leader) return encode_reply(allowed.error());
    if (const auto allowed = check_alarms(0); !allowed) return encode_reply(allowed.error());
    if (const auto allowed = mvcc_.check_compaction(request->revision()); !allowed)
        return encode_reply(allowed.error());
    mvcc_.compact(context.state, request->revision());
    effects_.compacted = true;
    pb::CompactionResponse response;
    response.mutable_header()->set_revision(mvcc_.applied_revision());
    return encode_reply(response);
}

Bytes CoordModel::step_compaction(Context& context, std::string_view octets) {
    if (octets.size() != 8) return encode_misunderstood();
    constexpr uint64_t changes_max = 100'000;  // Whatever is asked for, one command must not stop the node for long.
    mvcc_.step_compaction(context.state, std::clamp<uint64_t>(read_big_endian(octets), 1, changes_max));
    if (!mvcc_.is_compacting()) effects_.compacted = true;
    return encode_reply(pb::CompactionResponse());
}

Bytes CoordModel::lease_grant(Context& context, std::string_view octets) {
    const auto request = parse<pb::LeaseGrantRequest>(octets);
    if (!request) return encode_misunderstood();
    if (const auto allowed = context.access.identified(); !allowed) return encode_reply(allowed.error());
    if (const auto allowed = check_alarms(lease_quota_cost); !allowed) return encode_reply(allowed.error());
    if (const auto granted = leases_.grant(context.state, request->id(), request->ttl()); !granted)
        return encode_reply(granted.error());
    effects_.leases_granted.push_back(request->id());
    pb::LeaseGrantResponse response;
    response.mutable_header()->set_revision(mvcc_.applied_revision());
    response.set_id(request->id());
    response.set_ttl(request->ttl());
    return encode_reply(response);
}

Bytes CoordModel::lease_revoke(Context& context, std::string_view octets, bool by_leader) {
    const auto request = parse<pb::LeaseRevokeRequest>(octets);
    if (!request) return encode_misunderstood();
    if (const auto allowed = check_alarms(0); !allowed && !by_leader) return encode_reply(allowed.error());
    if (!leases_.find(request->id())) return encode_reply(Refusal::LeaseNotFound);

    MvccWrite write(mvcc_, context.state);
    const std::vector<Bytes> keys = LeaseTable::keys_of(write.reader(), request->id());
    if (!by_leader) {
        if (const auto allowed = context.access.identified(); !allowed) return encode_reply(allowed.error());
        for (const Bytes& key : keys)
            if (const auto allowed = context.access.write(Interval::one(key)); !allowed)
                return encode_reply(allowed.error());
    }
    for (const Bytes& key : keys) ENSURE(write.remove(Interval::one(key)).size() == 1);
    write.finish();
    leases_.remove(context.state, request->id());
    effects_.leases_removed.push_back(request->id());
    pb::LeaseRevokeResponse response;
    response.mutable_header()->set_revision(mvcc_.applied_revision());
    return encode_reply(response);
}

Bytes CoordModel::lease_checkpoint(Context& context, std::string_view octets) {
    const auto request = parse<pb::LeaseCheckpointRequest>(octets);
    if (!request) return encode_misunderstood();
    for (const pb::LeaseCheckpoint& each : request->checkpoints())
        leases_.checkpoint(context.state, each.id(), each.remaining_ttl());
    pb::LeaseCheckpointResponse response;
    response.mutable_header()->set_revision(mvcc_.applied_revision());
    return encode_reply(response);
}

Bytes CoordModel::alarm(Context& context, std::string_view octets, bool by_node) {
    const auto request = parse<pb::AlarmRequest>(octets);
    if (!request) return encode_misunderstood();
    if (!by_node) {
        const bool looks_only = request->action() == pb::AlarmRequest::GET;
        const auto allowed = looks_only ? context.access.identified() : auth_.permit_admin(context.principal);
        if (!allowed) return encode_reply(allowed.error());
    }
    pb::AlarmResponse response = alarms_.apply(context.state, *request);
    response.mutable_header()->set_revision(mvcc_.applied_revision());
    return encode_reply(response);
}

}  // namespace polis::services
