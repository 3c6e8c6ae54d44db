// The shell's maintenance calls: alarms, hashes, snapshots.
#include <algorithm>
#include <optional>
#include <utility>

#include "services/coord/coord.h"
#include "services/coord/key_hash.h"
#include "services/coord/snapshot_file.h"

namespace polis::services {

using runtime::Task;

Task<Reply<pb::AlarmResponse>> CoordService::alarm(const Credentials& who, pb::AlarmRequest request) {
    co_return co_await submit<pb::AlarmResponse>(who, CommandKind::Alarm, request);
}

Task<Reply<pb::HashResponse>> CoordService::hash(const Credentials& who) {
    using Response = Reply<pb::HashResponse>;
    if (const auto allowed = permit_admin(who); !allowed) co_return Response(refuse(allowed.error()));
    pb::HashResponse response;
    *response.mutable_header() = header();
    // Without what a replica keeps for itself under octet 00.
    const storage::KeyRange range{std::string(1, '\1'), {}};
    Result<uint64_t> hash = fail(Code::Canceled, "the hashing did not run");
    CO_TRY(co_await world_.pool.run([&hash, &range, this] { hash = replica_.store().hash(range); }));
    CO_LET(const uint64_t whole, std::move(hash));
    response.set_hash(static_cast<uint32_t>(whole ^ whole >> 32));
    co_return Response(std::move(response));
}

Task<Reply<pb::HashKVResponse>> CoordService::hash_kv(const Credentials& who, pb::HashKVRequest request) {
    using Response = Reply<pb::HashKVResponse>;
    if (const auto allowed = permit_admin(who); !allowed) co_return Response(refuse(allowed.error()));
    const Mvcc& mvcc = model_.mvcc();
    const int64_t newest = mvcc.visible_revision();
    if (const auto readable = mvcc.check_readable(request.revision(), newest); !readable)
        co_return Response(refuse(readable.error()));
    const int64_t revision = request.revision() > 0 ? request.revision() : newest;
    const int64_t compacted = mvcc.compacted_revision();
    pb::HashKVResponse response;
    *response.mutable_header() = header();
    const auto view = replica_.store().view();
    Result<uint32_t> hash = fail(Code::Canceled, "the hashing did not run");
    CO_TRY(co_await world_.pool.run([&hash, &view, revision, compacted] {
        hash = hash_keys(ReaderOf<storage::View>(*view), revision, compacted);
    }));
    CO_LET(const uint32_t sum, std::move(hash));
    response.set_hash(sum);
    response.set_compact_revision(compacted);
    response.set_hash_revision(revision);
    co_return Response(std::move(response));
}

Task<Reply<void>> CoordService::snapshot(const Credentials& who, SnapshotSink sink) {
    if (const auto allowed = permit_admin(who); !allowed) co_return allowed;
    SnapshotOrigin origin{cluster_.members(), replica_.applied_index().value, replica_.leadership().ballot.epoch};
    const std::vector<codec::BboltBucket> buckets = snapshot_buckets(replica_.store().view(), origin);
    Result<codec::BboltPlan> planned = fail(Code::Canceled, "the planning did not run");
    CO_TRY(co_await world_.pool.run([&planned, &buckets] { planned = codec::plan_bbolt(buckets); }));
    CO_LET(const codec::BboltPlan plan, std::move(planned));

    // One portion at a time: the next is made only when the sink has taken this one.
    constexpr size_t chunk_bytes = 32u << 10;
    constexpr size_t portion_bytes = 8 * chunk_bytes;
    codec::BboltWriter writer(buckets, plan);
    uint64_t remaining = plan.file_bytes();
    std::string rest;
    while (remaining > 0) {
        Result<std::string> piece = fail(Code::Canceled, "the writing did not run");
        CO_TRY(co_await world_.pool.run([&piece, &writer] { piece = writer.next(portion_bytes); }));
        CO_LET(const std::string octets, std::move(piece));
        rest.append(octets);
        const bool last = octets.empty() || rest.size() >= remaining;
        const Bytes portion = Bytes::take(std::exchange(rest, {}));
        size_t sent = 0;
        while (sent < portion.size() && (last || portion.size() - sent >= chunk_bytes)) {
            const Bytes chunk = portion.slice(sent, chunk_bytes);
            sent += chunk.size();
            remaining -= chunk.size();
            CO_TRY(co_await sink(chunk, remaining));
        }
        rest = portion.slice(sent).str();
        if (octets.empty() && remaining > 0)
            co_return fail(Code::Corrupt, "the snapshot came out shorter than planned");
    }
    co_return Reply<void>();
}

}  // namespace polis::services
