// What others see of coord's etcd half: the multi-version store, watches, leases, users and roles of one cluster.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "cluster/api.h"
#include "codec/etcd/rpc.pb.h"
#include "runtime/world.h"

namespace polis::services {

/// Why coord refuses a request by its own rules. A gateway maps each to its protocol's code and text in one table. What the cluster
/// refuses (no leader, overloaded, unknown outcome) comes as the Task's Error instead.
enum class Refusal : uint8_t {
    EmptyKey,       // key is not provided
    KeyNotFound,    // ignore_value/ignore_lease on a missing key; an empty operation in a txn
    ValueProvided,  // with ignore_value
    LeaseProvided,  // with ignore_lease
    TooManyOperations,
    DuplicateKey,
    Compacted,
    FutureRevision,
    NoSpace,  // the quota's alarm is raised
    Corrupt,  // the corruption alarm is raised
    RequestTooLarge,
    InvalidSortOption,
    RangeStreamUnsupported,  // custom sort or revision filters on RangeStream
    LeaseNotFound,
    LeaseExists,
    LeaseTtlTooLarge,
    TooManyRequests,  // too far behind in applying
    UserEmpty,
    UserExists,
    UserNotFound,
    RoleEmpty,
    RoleExists,
    RoleNotFound,
    RoleNotGranted,
    PermissionNotGiven,
    PermissionNotGranted,
    PermissionDenied,
    RootUserMissing,
    RootRoleMissing,  // root user does not have root role
    AuthFailed,       // invalid user ID or password
    AuthNotEnabled,
    NoPasswordUser,  // password was given for a user without one
    InvalidAuthToken,
    AuthOldRevision,
    InvalidAuthManagement,
    MemberNotFound,    // an alarm of an unknown member
    TokenVerifyOnly,   // a login, where only tokens of others are taken
    UserRateExceeded,  // more requests a second than one user may make
};

/// An answer, or why there is none.
template <class Message>
using Reply = std::expected<Message, Refusal>;

/// Which of many a request belongs to, across processes (W3C Trace Context). Zero: it was not told.
struct TraceId {
    uint64_t high = 0, low = 0;

    friend bool operator==(const TraceId&, const TraceId&) = default;
};

/// When a request came how far, for the log of slow ones. What it never came to is absent.
struct RequestPhases {
    std::string user;                  // Whom it was taken to come from; empty: nobody in particular.
    std::optional<Instant> proposed;   // Checked, and handed to the log; of a read: its currency was asked for.
    std::optional<Instant> committed;  // In the log for good, and about to be applied on this node.
    std::optional<Instant> applied;    // Its effects can be read on this node; of a read: this node is current.
};

/// Who asks, as the gateway knows it: what the request carried, not yet checked.
struct Credentials {
    std::string token;        // Metadata "token" / HTTP "authorization"; empty: none.
    std::string common_name;  // Of a verified client certificate, if the gateway admits that as identity; else empty.
    TraceId trace;
    std::shared_ptr<RequestPhases> phases;  // Filled while the request is served; null: nobody wants to know.
};

namespace pb = ::etcdserverpb;

/// One message for one watcher, ready to be sent: WatchResponse without its header's ids, events encoded once for all
/// watchers that get them.
struct WatchMessage {
    pb::WatchResponse
        head;  // header.revision, watch_id, created, canceled, compact_revision, cancel_reason, fragment; no events.
    std::vector<Bytes> events;  // Each one an encoded `mvccpb.Event` with its tag (field 11) and length in front.
};

/// The watchers of one client stream. Lives on the reactor; REQUIRES: destroyed before Coord.
///
/// Guarantees (etcd): events ordered by revision, each once, none missing, a revision never split (but by `fragment`), resumable
/// from any revision not compacted. A slow stream is taken out of the live set and catches up from the store: it costs
/// bounded memory and never delays writers or other streams.
class WatchStream {
public:
    virtual ~WatchStream() = default;
    /// Any request of the client: create, cancel or progress. Answers come through next().
    virtual void request(const pb::WatchRequest& request) = 0;
    /// The next message to send, in order. Fair over the stream's watchers. Ends with Canceled when the stream is closed.
    virtual runtime::Task<WatchMessage> next() = 0;
    virtual size_t watchers() const = 0;
};

/// Settings of coord's etcd half; the names and defaults are etcd's. (Table with docs: services/coord/options.h.)
struct CoordOptions;

/// Sizes, for Status, quota and metrics.
struct CoordStatus {
    int64_t revision = 1;
    int64_t compacted_revision = 0;
    int64_t db_bytes = 0;         // What the store takes on disk, with what waits to be flushed there.
    int64_t db_bytes_in_use = 0;  // Of which live; <= db_bytes.
    int64_t quota_bytes = 0;
    std::vector<pb::AlarmMember> alarms;
    uint64_t keys = 0, watchers = 0, watch_streams = 0, slow_watchers = 0, leases = 0;
    uint64_t puts = 0, deletes = 0, txns = 0, ranges = 0, events = 0, pending_events = 0;
    uint64_t refused_for_load = 0, refused_for_rate = 0;  // Requests that were turned away at once.
};

/// Where a snapshot's octets go, chunk by chunk (32 KiB). `remaining`: octets of the file that follow this chunk.
using SnapshotSink = std::function<runtime::Task<void>(Bytes chunk, uint64_t remaining)>;

/// coord's etcd half on one node. Any node answers anything; what must go to the leader is forwarded inside. All responses come with a
/// complete header. One reactor.
class Coord {
public:
    virtual ~Coord() = default;

    // ---- KV ----
    virtual runtime::Task<Reply<pb::RangeResponse>> range(const Credentials& who, pb::RangeRequest request) = 0;
    /// Calls `sink` with each part of the answer, in order; the last has header, more and count.
    virtual runtime::Task<Reply<void>> range_stream(
        const Credentials& who, pb::RangeRequest request,
        std::function<runtime::Task<void>(pb::RangeStreamResponse)> sink) = 0;
    virtual runtime::Task<Reply<pb::PutResponse>> put(const Credentials& who, pb::PutRequest request) = 0;
    virtual runtime::Task<Reply<pb::DeleteRangeResponse>> delete_range(const Credentials& who,
                                                                       pb::DeleteRangeRequest request) = 0;
    virtual runtime::Task<Reply<pb::TxnResponse>> txn(const Credentials& who, pb::TxnRequest request) = 0;
    virtual runtime::Task<Reply<pb::CompactionResponse>> compact(const Credentials& who,
                                                                 pb::CompactionRequest request) = 0;

    // ---- Watch ----
    virtual std::unique_ptr<WatchStream> watch(const Credentials& who) = 0;

    // ---- Lease ----
    virtual runtime::Task<Reply<pb::LeaseGrantResponse>> lease_grant(const Credentials& who,
                                                                     pb::LeaseGrantRequest request) = 0;
    virtual runtime::Task<Reply<pb::LeaseRevokeResponse>> lease_revoke(const Credentials& who,
                                                                       pb::LeaseRevokeRequest request) = 0;
    /// TTL 0 in the response: the lease is unknown (not a refusal, as in etcd).
    virtual runtime::Task<Reply<pb::LeaseKeepAliveResponse>> lease_keep_alive(const Credentials& who,
                                                                              pb::LeaseKeepAliveRequest request) = 0;
    virtual runtime::Task<Reply<pb::LeaseTimeToLiveResponse>> lease_time_to_live(
        const Credentials& who, pb::LeaseTimeToLiveRequest request) = 0;
    virtual runtime::Task<Reply<pb::LeaseLeasesResponse>> lease_leases(const Credentials& who,
                                                                       pb::LeaseLeasesRequest request) = 0;

    // ---- Auth ----
    virtual runtime::Task<Reply<pb::AuthEnableResponse>> auth_enable(const Credentials& who) = 0;
    virtual runtime::Task<Reply<pb::AuthDisableResponse>> auth_disable(const Credentials& who) = 0;
    virtual runtime::Task<Reply<pb::AuthStatusResponse>> auth_status(const Credentials& who) = 0;
    virtual runtime::Task<Reply<pb::AuthenticateResponse>> authenticate(pb::AuthenticateRequest request) = 0;
    virtual runtime::Task<Reply<pb::AuthUserAddResponse>> user_add(const Credentials& who,
                                                                   pb::AuthUserAddRequest request) = 0;
    virtual runtime::Task<Reply<pb::AuthUserGetResponse>> user_get(const Credentials& who,
                                                                   pb::AuthUserGetRequest request) = 0;
    virtual runtime::Task<Reply<pb::AuthUserListResponse>> user_list(const Credentials& who) = 0;
    virtual runtime::Task<Reply<pb::AuthUserDeleteResponse>> user_delete(const Credentials& who,
                                                                         pb::AuthUserDeleteRequest request) = 0;
    virtual runtime::Task<Reply<pb::AuthUserChangePasswordResponse>> user_change_password(
        const Credentials& who, pb::AuthUserChangePasswordRequest request) = 0;
    virtual runtime::Task<Reply<pb::AuthUserGrantRoleResponse>> user_grant_role(
        const Credentials& who, pb::AuthUserGrantRoleRequest request) = 0;
    virtual runtime::Task<Reply<pb::AuthUserRevokeRoleResponse>> user_revoke_role(
        const Credentials& who, pb::AuthUserRevokeRoleRequest request) = 0;
    virtual runtime::Task<Reply<pb::AuthRoleAddResponse>> role_add(const Credentials& who,
                                                                   pb::AuthRoleAddRequest request) = 0;
    virtual runtime::Task<Reply<pb::AuthRoleGetResponse>> role_get(const Credentials& who,
                                                                   pb::AuthRoleGetRequest request) = 0;
    virtual runtime::Task<Reply<pb::AuthRoleListResponse>> role_list(const Credentials& who) = 0;
    virtual runtime::Task<Reply<pb::AuthRoleDeleteResponse>> role_delete(const Credentials& who,
                                                                         pb::AuthRoleDeleteRequest request) = 0;
    virtual runtime::Task<Reply<pb::AuthRoleGrantPermissionResponse>> role_grant_permission(
        const Credentials& who, pb::AuthRoleGrantPermissionRequest request) = 0;
    virtual runtime::Task<Reply<pb::AuthRoleRevokePermissionResponse>> role_revoke_permission(
        const Credentials& who, pb::AuthRoleRevokePermissionRequest request) = 0;

    // ---- Maintenance ----
    virtual runtime::Task<Reply<pb::AlarmResponse>> alarm(const Credentials& who, pb::AlarmRequest request) = 0;
    /// Over the whole store of this node (etcd's Hash): comparable between nodes at one applied index only.
    virtual runtime::Task<Reply<pb::HashResponse>> hash(const Credentials& who) = 0;
    /// Byte-exact as etcd computes it (facts: HashKV).
    virtual runtime::Task<Reply<pb::HashKVResponse>> hash_kv(const Credentials& who, pb::HashKVRequest request) = 0;
    /// Streams this node's state as an etcd database file (bbolt). The SHA-256 that etcd appends is the gateway's.
    virtual runtime::Task<Reply<void>> snapshot(const Credentials& who, SnapshotSink sink) = 0;
    /// True if `who` may use the maintenance and cluster calls that etcd reserves for root while auth is enabled.
    virtual Reply<void> permit_admin(const Credentials& who) const = 0;

    /// From now on the limits among `options` hold (options.h says which those are); what was fixed at the start stays as it was. Requests
    /// under way are not looked at again.
    virtual void reconfigure(const CoordOptions& options) = 0;

    /// Ends what runs beside calls (expiry, compaction, watches). Awaited before the replica stops and this is destroyed.
    virtual runtime::Task<void> stop() = 0;

    virtual CoordStatus status() const = 0;
    /// The header every response of this node carries right now.
    virtual pb::ResponseHeader header() const = 0;
};

/// The model to register with the group's replica, and the shell over it. The model must be given to the replica before the shell is
/// made; both live as long as the replica.
std::unique_ptr<cluster::Model> make_coord_model(const CoordOptions& options);
std::unique_ptr<Coord> make_coord(runtime::World world, cluster::Cluster& cluster, cluster::Replica& replica,
                                  cluster::Model& model, const CoordOptions& options);

}  // namespace polis::services
