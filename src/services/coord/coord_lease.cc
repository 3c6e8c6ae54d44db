// The shell's lease calls, and the leader's loop that revokes what is due.
#include <algorithm>
#include <utility>

#include "base/log.h"
#include "services/coord/coord.h"
#include "services/coord/request_check.h"

namespace polis::services {

using namespace std::chrono_literals;
using runtime::Task;

namespace {

// Questions to the leader: an octet and the lease's id in eight; the answer is empty, or seconds in eight octets.
constexpr char renew_question = 'r';
constexpr char remaining_question = 't';

std::string seconds_answer(std::optional<int64_t> seconds) {
    std::string octets;
    if (seconds) append_big_endian(octets, static_cast<uint64_t>(*seconds));
    return octets;
}

constexpr Duration expiry_interval = 500ms;  // As etcd looks.
constexpr size_t expirations_per_interval =
    500;  // 1000 a second, so that a mass expiry does not drown clients' writes.
constexpr size_t checkpoints_per_interval = 1000;  // In one command.
constexpr Duration pause_min = 1s;                 // A longer one between two looks was no busy moment: we stood still.

}  // namespace

Task<Reply<pb::LeaseGrantResponse>> CoordService::lease_grant(const Credentials& who, pb::LeaseGrantRequest request) {
    using Response = Reply<pb::LeaseGrantResponse>;
    CO_LET(const Allowed room, co_await check_quota(lease_quota_cost));
    if (!room) co_return Response(refuse(room.error()));
    if (request.ttl() > LeaseTable::ttl_seconds_max) co_return Response(refuse(Refusal::LeaseTtlTooLarge));
    const int64_t ttl_min = std::chrono::ceil<std::chrono::seconds>(options_.lease_ttl_min).count();
    request.set_ttl(std::max(request.ttl(), ttl_min));
    while (request.id() == 0) {
        const auto id = static_cast<int64_t>(world_.random.next() >> 1);  // Positive, as etcd chooses.
        if (!model_.leases().find(id)) request.set_id(id);
    }
    co_return co_await submit<pb::LeaseGrantResponse>(who, CommandKind::LeaseGrant, request);
}

Task<Reply<pb::LeaseRevokeResponse>> CoordService::lease_revoke(const Credentials& who,
                                                                pb::LeaseRevokeRequest request) {
    co_return co_await submit<pb::LeaseRevokeResponse>(who, CommandKind::LeaseRevoke, request);
}

Task<Reply<pb::LeaseKeepAliveResponse>> CoordService::lease_keep_alive(const Credentials& who,
                                                                       pb::LeaseKeepAliveRequest request) {
    using Response = Reply<pb::LeaseKeepAliveResponse>;
    const auto access = access_of(who);
    if (!access) co_return Response(refuse(access.error()));
    if (const auto allowed = access->identified(); !allowed) co_return Response(refuse(allowed.error()));
    pb::LeaseKeepAliveResponse response;
    *response.mutable_header() = header();  // Before the renewal, as etcd does.
    response.set_id(request.id());
    CO_LET(const std::optional<int64_t> ttl, co_await ask_about_lease(renew_question, request.id()));
    response.set_ttl(ttl.value_or(0));
    co_return Response(std::move(response));
}

Task<Reply<pb::LeaseTimeToLiveResponse>> CoordService::lease_time_to_live(const Credentials& who,
                                                                          pb::LeaseTimeToLiveRequest request) {
    using Response = Reply<pb::LeaseTimeToLiveResponse>;
    CO_LET(const Reply<void> ready, co_await prepare_read(who, false));
    if (!ready) co_return Response(refuse(ready.error()));
    const auto access = access_of(who);
    if (!access) co_return Response(refuse(access.error()));
    if (const auto allowed = access->identified(); !allowed) co_return Response(refuse(allowed.error()));

    pb::LeaseTimeToLiveResponse response;
    *response.mutable_header() = header();
    response.set_id(request.id());
    response.set_ttl(-1);
    const LeaseTable::Lease* lease = model_.leases().find(request.id());
    if (!lease) co_return Response(std::move(response));
    response.set_grantedttl(lease->ttl_seconds);
    if (request.keys()) {
        for (const Bytes& key : LeaseTable::keys_of(reader_, request.id())) {
            if (const auto allowed = access->read(Interval::one(key)); !allowed)
                co_return Response(refuse(allowed.error()));
            response.add_keys(key.data(), key.size());
        }
    }
    CO_LET(const std::optional<int64_t> left, co_await ask_about_lease(remaining_question, request.id()));
    if (left) {
        response.set_ttl(*left);
    } else {  // Revoked while we asked.
        response.clear_grantedttl();
        response.clear_keys();
    }
    co_return Response(std::move(response));
}

Task<Reply<pb::LeaseLeasesResponse>> CoordService::lease_leases(const Credentials& who, pb::LeaseLeasesRequest) {
    using Response = Reply<pb::LeaseLeasesResponse>;
    CO_LET(const Reply<void> ready, co_await prepare_read(who, false));
    if (!ready) co_return Response(refuse(ready.error()));
    const auto access = access_of(who);
    if (!access) co_return Response(refuse(access.error()));
    if (const auto allowed = access->identified(); !allowed) co_return Response(refuse(allowed.error()));
    pb::LeaseLeasesResponse response;
    *response.mutable_header() = header();
    for (const auto& [id, lease] : model_.leases().all()) response.add_leases()->set_id(id);
    co_return Response(std::move(response));
}

// ---- The leader's half ----

Task<std::optional<int64_t>> CoordService::ask_about_lease(char question, int64_t id) {
    std::string octets(1, question);
    append_big_endian(octets, static_cast<uint64_t>(id));
    CO_LET(const Bytes answer, co_await replica_.ask_leader(Bytes::take(std::move(octets))));
    if (answer.empty()) co_return std::optional<int64_t>();
    if (answer.size() != 8) co_return fail(Code::Corrupt, "the leader's answer about a lease has an unknown form");
    co_return std::optional<int64_t>(static_cast<int64_t>(read_big_endian(answer)));
}

Task<Bytes> CoordService::answer_question(Bytes question) {
    if (question.size() != 9) co_return fail(Code::Invalid, "a question about leases of unknown form");
    if (!leases_.leading()) co_return fail(Code::Unavailable, "this node does not lead the group");
    const auto id = static_cast<int64_t>(read_big_endian(question.view().substr(1)));
    const Instant now = world_.reactor.now();
    if (question.view().front() == remaining_question)
        co_return Bytes::take(seconds_answer(leases_.remaining(id, now)));
    if (question.view().front() != renew_question) co_return fail(Code::Invalid, "an unknown question about leases");
    CO_TRY(co_await confirm_renewal(id));
    if (!leases_.leading()) co_return fail(Code::Unavailable, "this node does not lead the group any more");
    co_return Bytes::take(seconds_answer(leases_.renew(id, world_.reactor.now())));
}

/// A leader that was replaced without knowing it must not promise anybody more time, and none may leave a note in the log of
/// what was left before: the next leader would go by it. Only the first renewal after a checkpoint costs an entry of the log.
Task<void> CoordService::confirm_renewal(int64_t id) {
    if (!checkpointing_ && !leases_.is_noted(id)) co_return co_await replica_.read_barrier();
    for (;;) {
        while (checkpointing_) CO_TRY(co_await checkpointed_.wait());
        if (!leases_.is_noted(id)) co_return runtime::done();
        pb::LeaseCheckpointRequest request;
        request.add_checkpoints()->set_id(id);
        leases_.set_noted(id, false);  // A checkpoint that is taken meanwhile sets it again.
        const Ballot ballot = leadership_.ballot;
        const auto reply =
            co_await replica_.propose_as_leader(ballot, encode_command(CommandKind::LeaseCheckpoint, request));
        if (!reply) {
            leases_.set_noted(id, true);
            co_return std::unexpected(reply.error());
        }
    }
}

/// What is left of long leases, so that it outlives this leadership. A batch at a time: renewals wait for it.
Task<void> CoordService::checkpoint_leases() {
    for (;;) {
        CO_TRY(co_await runtime::sleep_for(expiry_interval));
        if (!leases_.leading()) continue;
        const auto taken = leases_.take_checkpoints(world_.reactor.now(), checkpoints_per_interval);
        if (taken.empty()) continue;
        pb::LeaseCheckpointRequest request;
        for (const LeaseKeeper::Remaining& each : taken) {
            pb::LeaseCheckpoint& checkpoint = *request.add_checkpoints();
            checkpoint.set_id(each.id);
            checkpoint.set_remaining_ttl(each.seconds);
        }
        checkpointing_ = true;
        const Ballot ballot = leadership_.ballot;
        // One that fails is made up for by the next: until then a new leader gives more time, never less.
        const auto reply =
            co_await replica_.propose_as_leader(ballot, encode_command(CommandKind::LeaseCheckpoint, request));
        checkpointing_ = false;
        checkpointed_.notify_all();
        if (!reply && reply.error().code == Code::Canceled) co_return std::unexpected(reply.error());
    }
}

/// If this process was stopped, clients' renewals may be waiting in its sockets: everybody gets as much time as it stood
/// still, and nothing is revoked before a majority has confirmed that it still leads.
Task<void> CoordService::expire_leases() {
    for (Instant last = world_.reactor.now();;) {
        CO_TRY(co_await runtime::sleep_for(expiry_interval));
        const Instant now = world_.reactor.now();
        const Duration pause = now - last - expiry_interval;
        last = now;
        if (!leases_.leading()) continue;
        if (pause >= pause_min) {
            log::warn("lease_expiry_was_paused",
                      {"milliseconds", std::chrono::duration_cast<std::chrono::milliseconds>(pause).count()});
            leases_.forgive(pause);
            if (!co_await replica_.read_barrier()) continue;
        }
        if (!leases_.leading()) continue;
        const Ballot ballot = leadership_.ballot;
        for (const int64_t id : leases_.take_due(now, expirations_per_interval))
            tasks_.spawn("expire_lease", expire(id, ballot));
    }
}

Task<void> CoordService::expire(int64_t id, Ballot ballot) {
    pb::LeaseRevokeRequest request;
    request.set_id(id);
    auto reply = co_await replica_.propose_as_leader(ballot, encode_command(CommandKind::LeaseExpire, request));
    // Done, or known to be gone: removed() has been called. Else try again, unless somebody else leads by then.
    if (!reply) leases_.retry(id, world_.reactor.now() + 1s);
    co_return runtime::done();
}

}  // namespace polis::services
