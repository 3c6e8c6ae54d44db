// CoordService: the shell over coord's model: checks, proposes, waits for barriers, serves reads, and runs what the leader does.
#pragma once

#include <cstdint>
#include <deque>
#include <expected>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cluster/api.h"
#include "runtime/task_group.h"
#include "runtime/wait.h"
#include "runtime/world.h"
#include "services/coord/api.h"
#include "services/coord/jwt_tokens.h"
#include "services/coord/lease_keeper.h"
#include "services/coord/load_gate.h"
#include "services/coord/model.h"
#include "services/coord/options.h"
#include "services/coord/range_stream.h"
#include "services/coord/token_table.h"
#include "services/coord/watch_hub.h"

namespace polis::services {

/// See Coord. Lifecycle: make, calls, stop() awaited, destroy. Parameters given by reference live until the call ends.
class CoordService : public Coord, private EffectsListener {
public:
    CoordService(runtime::World world, cluster::Cluster& cluster, cluster::Replica& replica, CoordModel& model,
                 const CoordOptions& options);
    ~CoordService() override;

    runtime::Task<Reply<pb::RangeResponse>> range(const Credentials& who, pb::RangeRequest request) override;
    runtime::Task<Reply<void>> range_stream(const Credentials& who, pb::RangeRequest request,
                                            std::function<runtime::Task<void>(pb::RangeStreamResponse)> sink) override;
    runtime::Task<Reply<pb::PutResponse>> put(const Credentials& who, pb::PutRequest request) override;
    runtime::Task<Reply<pb::DeleteRangeResponse>> delete_range(const Credentials& who,
                                                               pb::DeleteRangeRequest request) override;
    runtime::Task<Reply<pb::TxnResponse>> txn(const Credentials& who, pb::TxnRequest request) override;
    runtime::Task<Reply<pb::CompactionResponse>> compact(const Credentials& who,
                                                         pb::CompactionRequest request) override;

    std::unique_ptr<WatchStream> watch(const Credentials& who) override;

    runtime::Task<Reply<pb::LeaseGrantResponse>> lease_grant(const Credentials& who,
                                                             pb::LeaseGrantRequest request) override;
    runtime::Task<Reply<pb::LeaseRevokeResponse>> lease_revoke(const Credentials& who,
                                                               pb::LeaseRevokeRequest request) override;
    runtime::Task<Reply<pb::LeaseKeepAliveResponse>> lease_keep_alive(const Credentials& who,
                                                                      pb::LeaseKeepAliveRequest request) override;
    runtime::Task<Reply<pb::LeaseTimeToLiveResponse>> lease_time_to_live(const Credentials& who,
                                                                         pb::LeaseTimeToLiveRequest request) override;
    runtime::Task<Reply<pb::LeaseLeasesResponse>> lease_leases(const Credentials& who,
                                                               pb::LeaseLeasesRequest request) override;

    runtime::Task<Reply<pb::AuthEnableResponse>> auth_enable(const Credentials& who) override;
    runtime::Task<Reply<pb::AuthDisableResponse>> auth_disable(const Credentials& who) override;
    runtime::Task<Reply<pb::AuthStatusResponse>> auth_status(const Credentials& who) override;
    runtime::Task<Reply<pb::AuthenticateResponse>> authenticate(pb::AuthenticateRequest request) override;
    runtime::Task<Reply<pb::AuthUserAddResponse>> user_add(const Credentials& who,
                                                           pb::AuthUserAddRequest request) override;
    runtime::Task<Reply<pb::AuthUserGetResponse>> user_get(const Credentials& who,
                                                           pb::AuthUserGetRequest request) override;
    runtime::Task<Reply<pb::AuthUserListResponse>> user_list(const Credentials& who) override;
    runtime::Task<Reply<pb::AuthUserDeleteResponse>> user_delete(const Credentials& who,
                                                                 pb::AuthUserDeleteRequest request) override;
    runtime::Task<Reply<pb::AuthUserChangePasswordResponse>> user_change_password(
        const Credentials& who, pb::AuthUserChangePasswordRequest request) override;
    runtime::Task<Reply<pb::AuthUserGrantRoleResponse>> user_grant_role(const Credentials& who,
                                                                        pb::AuthUserGrantRoleRequest request) override;
    runtime::Task<Reply<pb::AuthUserRevokeRoleResponse>> user_revoke_role(
        const Credentials& who, pb::AuthUserRevokeRoleRequest request) override;
    runtime::Task<Reply<pb::AuthRoleAddResponse>> role_add(const Credentials& who,
                                                           pb::AuthRoleAddRequest request) override;
    runtime::Task<Reply<pb::AuthRoleGetResponse>> role_get(const Credentials& who,
                                                           pb::AuthRoleGetRequest request) override;
    runtime::Task<Reply<pb::AuthRoleListResponse>> role_list(const Credentials& who) override;
    runtime::Task<Reply<pb::AuthRoleDeleteResponse>> role_delete(const Credentials& who,
                                                                 pb::AuthRoleDeleteRequest request) override;
    runtime::Task<Reply<pb::AuthRoleGrantPermissionResponse>> role_grant_permission(
        const Credentials& who, pb::AuthRoleGrantPermissionRequest request) override;
    runtime::Task<Reply<pb::AuthRoleRevokePermissionResponse>> role_revoke_permission(
        const Credentials& who, pb::AuthRoleRevokePermissionRequest request) override;

    runtime::Task<Reply<pb::AlarmResponse>> alarm(const Credentials& who, pb::AlarmRequest request) override;
    runtime::Task<Reply<pb::HashResponse>> hash(const Credentials& who) override;
    runtime::Task<Reply<pb::HashKVResponse>> hash_kv(const Credentials& who, pb::HashKVRequest request) override;
    runtime::Task<Reply<void>> snapshot(const Credentials& who, SnapshotSink sink) override;
    Reply<void> permit_admin(const Credentials& who) const override;

    void reconfigure(const CoordOptions& options) override;
    runtime::Task<void> stop() override;
    CoordStatus status() const override;
    pb::ResponseHeader header() const override;

private:
    using Caller = cluster::Replica::Caller;
    /// Our commands on their way, by trace id; of those with one id, in the order of the log.
    using Traced = std::multimap<uint64_t, std::shared_ptr<RequestPhases>>;

    /// Who asks, as the log will have it. Refusal: InvalidAuthToken.
    std::expected<Caller, Refusal> identify(const Credentials& who) const;
    std::expected<Access, Refusal> access_of(const Credentials& who) const;
    WatchHub::Gate watch_gate() const;
    /// Whether the caller may ask for something now.
    Allowed check_rate(const Caller& caller);
    /// Entries that are committed and not applied here; looked up anew each millisecond.
    uint64_t apply_lag();
    void complete(pb::ResponseHeader& header) const;

    /// Replicates and gives the reply with a complete header.
    template <class Response>
    runtime::Task<Reply<Response>> propose(const Credentials& who, Bytes command);
    /// For requests whose check is nothing but the propose.
    template <class Response>
    runtime::Task<Reply<Response>> submit(const Credentials& who, CommandKind kind,
                                          const google::protobuf::MessageLite& request);

    // KV (coord_kv.cc)
    bool has_room(int64_t cost) const;
    runtime::Task<Allowed> check_quota(int64_t cost);
    runtime::Task<Reply<void>> prepare_read(const Credentials& who, bool serializable);
    runtime::Task<Reply<pb::RangeResponse>> scan(const Credentials& who, const pb::RangeRequest& request,
                                                 int64_t revision);
    runtime::Task<Reply<pb::RangeStreamResponse>> gather_chunk(const Credentials& who, RangeStreamPlace& place);
    runtime::Task<Reply<pb::TxnResponse>> read_only_txn(const Credentials& who, const pb::TxnRequest& request);
    Allowed permit_read(const Credentials& who, const pb::RangeRequest& request) const;
    runtime::Task<void> give_way();

    // Leases (coord_lease.cc)
    runtime::Task<Bytes> answer_question(Bytes question);
    runtime::Task<std::optional<int64_t>> ask_about_lease(char question, int64_t id);
    runtime::Task<void> confirm_renewal(int64_t id);
    runtime::Task<void> checkpoint_leases();
    runtime::Task<void> expire_leases();
    runtime::Task<void> expire(int64_t id, Ballot ballot);

    // Compaction (coord_compaction.cc)
    runtime::Task<void> drive_compaction();
    runtime::Task<void> compact_periodically();
    runtime::Task<void> compact_by_revision();
    runtime::Task<void> propose_compaction(int64_t revision);

    // Auth (coord_auth.cc)
    runtime::Task<Reply<std::string>> hash_new_password(std::string password);
    runtime::Task<bool> check_password(std::string password, std::string hash);
    runtime::Task<void> enter_hashing();
    runtime::Task<Reply<pb::AuthenticateResponse>> sign_token(std::string user, uint64_t revision);
    runtime::Task<void> drop_ended_tokens();

    void on_command(const cluster::Envelope& envelope) override;
    void on_effects(Effects effects) override;
    void on_loaded() override;

    /// Notes when a command comes how far, for as long as it lives.
    class Tracing {
    public:
        Tracing(CoordService& service, const Credentials& who, const Caller& caller);
        Tracing(const Tracing&) = delete;
        Tracing& operator=(const Tracing&) = delete;
        ~Tracing();

    private:
        Traced& traced_;
        Traced::iterator place_;
    };
    void on_leadership(const cluster::Leadership& leadership);

    runtime::World world_;
    cluster::Cluster& cluster_;
    cluster::Replica& replica_;
    CoordModel& model_;
    CoordOptions options_;
    ReaderOf<storage::Store> reader_;
    std::unique_ptr<WatchHub> hub_;
    LeaseKeeper leases_;
    bool checkpointing_ = false;  // Remaining times of leases are on their way into the log.
    runtime::Signal checkpointed_;
    mutable TokenTable tokens_;              // A look at a token prolongs it.
    mutable std::optional<JwtTokens> jwts_;  // Instead, if tokens are signed. A look remembers the token.
    LoadGate gate_;
    uint64_t apply_lag_ = 0;
    Instant apply_lag_known_until_{};
    Traced traced_;
    std::vector<std::shared_ptr<RequestPhases>> applying_;  // Of the batch that is being applied.
    cluster::Leadership leadership_;
    int64_t pending_cost_ = 0;  // Of proposals on their way: they count in the quota before they are applied.
    uint32_t hashing_ = 0;      // Passwords on the pool right now ...
    uint32_t hashing_waits_ = 0;
    runtime::Signal hashing_done_;
    runtime::Signal changed_;  // Leadership, or compaction's state.
    uint64_t ranges_ = 0;
    runtime::TaskGroup tasks_;
};

/// REQUIRES: as Replica::propose.
template <class Response>
runtime::Task<Reply<Response>> CoordService::propose(const Credentials& who, Bytes command) {
    auto caller = identify(who);
    if (!caller) co_return Reply<Response>(refuse(caller.error()));
    if (const auto allowed = check_rate(*caller); !allowed) co_return Reply<Response>(refuse(allowed.error()));
    if (const auto allowed = gate_.admit_write(command.size(), apply_lag()); !allowed)
        co_return Reply<Response>(refuse(allowed.error()));
    const LoadGate::Write on_its_way(gate_, command.size());
    const Tracing tracing(*this, who, *caller);
    CO_LET(const Bytes reply, co_await replica_.propose(*caller, std::move(command)));
    CO_LET(Reply<Response> response, decode_reply<Response>(reply));
    if (response) complete(*response->mutable_header());
    co_return response;
}

template <class Response>
runtime::Task<Reply<Response>> CoordService::submit(const Credentials& who, CommandKind kind,
                                                    const google::protobuf::MessageLite& request) {
    return propose<Response>(who, encode_command(kind, request));
}

}  // namespace polis::services
