// The shell's KV calls: reads behind a barrier, writes through the log.
#include <algorithm>
#include <limits>
#include <utility>

#include "services/coord/coord.h"
#include "services/coord/range_scan.h"
#include "services/coord/request_check.h"
#include "services/coord/txn.h"

namespace polis::services {

using runtime::Task;

namespace {

constexpr size_t records_per_slice = 1000;  // About half a millisecond.

bool is_serializable(const pb::TxnRequest& txn) {
    const auto serializable = [](const pb::RequestOp& each) {
        return each.has_request_range() && each.request_range().serializable();
    };
    return std::ranges::all_of(txn.success(), serializable) && std::ranges::all_of(txn.failure(), serializable);
}

/// Adds to a count for as long as it lives.
class Pending {
public:
    Pending(int64_t& total, int64_t cost) : total_(total), cost_(cost) { total_ += cost_; }
    Pending(const Pending&) = delete;
    Pending& operator=(const Pending&) = delete;
    ~Pending() { total_ -= cost_; }

private:
    int64_t& total_;
    const int64_t cost_;
};

}  // namespace

/// Lets everything else that is ready run first.
Task<void> CoordService::give_way() {
    const auto turn = std::make_shared<runtime::Completion<>>();
    world_.reactor.post([turn] { turn->complete({}); });
    co_return co_await turn->wait();
}

// ---- Writes ----

/// Puts on their way count, or a burst would overshoot by all of it.
bool CoordService::has_room(int64_t cost) const {
    if (cost == 0) return true;
    const int64_t used = model_.mvcc().totals().bytes + pending_cost_;
    return !model_.alarms().raised(pb::NOSPACE) && used + cost <= static_cast<int64_t>(options_.quota_bytes);
}

/// Raises the alarm when a request would not fit.
Task<Allowed> CoordService::check_quota(int64_t cost) {
    if (has_room(cost)) co_return Allowed();
    if (model_.alarms().raised(pb::NOSPACE)) co_return Allowed(refuse(Refusal::NoSpace));
    pb::AlarmRequest alarm;
    alarm.set_action(pb::AlarmRequest::ACTIVATE);
    alarm.set_memberid(number_of(cluster_.self()));
    alarm.set_alarm(pb::NOSPACE);
    const Caller nobody;
    CO_TRY(co_await replica_.propose(nobody, encode_command(CommandKind::RaiseAlarm, alarm)));
    co_return Allowed(refuse(Refusal::NoSpace));
}

Task<Reply<pb::PutResponse>> CoordService::put(const Credentials& who, pb::PutRequest request) {
    using Response = Reply<pb::PutResponse>;
    const int64_t cost = quota_cost(request);
    if (!has_room(cost)) {  // Only then does it cost a frame.
        CO_LET(const Allowed room, co_await check_quota(cost));
        if (!room) co_return Response(refuse(room.error()));
    }
    if (const auto checked = check_put(request); !checked) co_return Response(refuse(checked.error()));
    Bytes command = encode_command(CommandKind::Put, request);
    if (command.size() > options_.request_bytes_max) co_return Response(refuse(Refusal::RequestTooLarge));
    const Pending pending(pending_cost_, cost);
    co_return co_await propose<pb::PutResponse>(who, std::move(command));
}

Task<Reply<pb::DeleteRangeResponse>> CoordService::delete_range(const Credentials& who,
                                                                pb::DeleteRangeRequest request) {
    using Response = Reply<pb::DeleteRangeResponse>;
    if (const auto checked = check_delete_range(request); !checked) co_return Response(refuse(checked.error()));
    Bytes command = encode_command(CommandKind::DeleteRange, request);
    if (command.size() > options_.request_bytes_max) co_return Response(refuse(Refusal::RequestTooLarge));
    co_return co_await propose<pb::DeleteRangeResponse>(who, std::move(command));
}

Task<Reply<pb::TxnResponse>> CoordService::txn(const Credentials& who, pb::TxnRequest request) {
    using Response = Reply<pb::TxnResponse>;
    const int64_t cost = quota_cost(request);
    CO_LET(const Allowed room, co_await check_quota(cost));
    if (!room) co_return Response(refuse(room.error()));
    if (const auto checked = check_txn(request, options_.operations_per_txn_max); !checked)
        co_return Response(refuse(checked.error()));
    if (is_read_only(request)) co_return co_await read_only_txn(who, request);
    Bytes command = encode_command(CommandKind::Txn, request);
    if (command.size() > options_.request_bytes_max) co_return Response(refuse(Refusal::RequestTooLarge));
    const Pending pending(pending_cost_, cost);
    co_return co_await propose<pb::TxnResponse>(who, std::move(command));
}

// ---- Reads ----

Task<Reply<void>> CoordService::prepare_read(const Credentials& who, bool serializable) {
    const auto caller = identify(who);
    if (!caller) co_return Reply<void>(refuse(caller.error()));
    if (const auto allowed = check_rate(*caller); !allowed) co_return Reply<void>(refuse(allowed.error()));
    if (serializable) co_return Reply<void>();
    if (const auto allowed = gate_.admit_read(); !allowed) co_return Reply<void>(refuse(allowed.error()));
    const LoadGate::Read waiting(gate_);
    if (who.phases) who.phases->proposed = world_.reactor.now();
    CO_TRY(co_await replica_.read_barrier());
    if (who.phases) who.phases->applied = world_.reactor.now();
    co_return Reply<void>();
}

Allowed CoordService::permit_read(const Credentials& who, const pb::RangeRequest& request) const {
    LET(const Access access, access_of(who));
    return access.read(Interval::of(request.key(), request.range_end()));
}

Task<Reply<pb::RangeResponse>> CoordService::range(const Credentials& who, pb::RangeRequest request) {
    using Response = Reply<pb::RangeResponse>;
    if (const auto checked = check_range(request); !checked) co_return Response(refuse(checked.error()));
    CO_LET(const Reply<void> ready, co_await prepare_read(who, request.serializable()));
    if (!ready) co_return Response(refuse(ready.error()));
    ++ranges_;
    if (const auto allowed = permit_read(who, request); !allowed) co_return Response(refuse(allowed.error()));
    if (model_.alarms().raised(pb::CORRUPT)) co_return Response(refuse(Refusal::Corrupt));

    Mvcc& mvcc = model_.mvcc();
    const int64_t newest = mvcc.visible_revision();
    if (const auto readable = mvcc.check_readable(request.revision(), newest); !readable)
        co_return Response(refuse(readable.error()));
    const int64_t revision = request.revision() > 0 ? request.revision() : newest;
    pb::RangeResponse response;
    if (request.range_end().empty()) {
        CO_LET(const std::optional<Version> version, mvcc.find(reader_, request.key(), revision));
        response = RangeScan::of_one(request, version ? &*version : nullptr);
    } else if (auto remembered = range_from_memory(mvcc, request, revision)) {
        response = *std::move(remembered);
    } else {
        CO_LET(Response scanned, co_await scan(who, request, revision));
        if (!scanned) co_return scanned;
        response = *std::move(scanned);
    }
    response.mutable_header()->set_revision(newest);
    complete(*response.mutable_header());
    co_return Response(std::move(response));
}

/// The cursor shows one moment, so that what is applied or compacted between the slices changes nothing.
Task<Reply<pb::RangeResponse>> CoordService::scan(const Credentials& who, const pb::RangeRequest& request,
                                                  int64_t revision) {
    using Response = Reply<pb::RangeResponse>;
    const std::shared_ptr<const storage::View> view = replica_.store().view();
    const ReaderOf<storage::View> reader(*view);
    RangeScan scan(reader, request, revision);
    for (bool first = true;; first = false) {
        if (!first) {
            CO_TRY(co_await give_way());
            // Rights may have been taken away meanwhile.
            if (const auto allowed = permit_read(who, request); !allowed) co_return Response(refuse(allowed.error()));
        }
        CO_LET(const bool whole, scan.step(records_per_slice));
        if (whole) break;
    }
    co_return Response(scan.take());
}

Task<Reply<pb::TxnResponse>> CoordService::read_only_txn(const Credentials& who, const pb::TxnRequest& request) {
    using Response = Reply<pb::TxnResponse>;
    CO_LET(const Reply<void> ready, co_await prepare_read(who, is_serializable(request)));
    if (!ready) co_return Response(refuse(ready.error()));
    const auto access = access_of(who);
    if (!access) co_return Response(refuse(access.error()));
    if (const auto allowed = permit_txn(*access, reader_, request); !allowed)
        co_return Response(refuse(allowed.error()));
    if (model_.alarms().raised(pb::CORRUPT)) co_return Response(refuse(Refusal::Corrupt));
    auto response = read_txn(model_.mvcc(), reader_, model_.mvcc().visible_revision(), request);
    if (!response) co_return Response(refuse(response.error()));
    complete(*response->mutable_header());
    co_return Response(*std::move(response));
}

}  // namespace polis::services
