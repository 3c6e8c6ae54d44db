#include "gateways/etcd/errors.h"

#include "base/ensure.h"

namespace polis::gateways {
namespace {

using rpc::StatusCode;
using services::Refusal;

constexpr ErrorRow rows[] = {
    // What coord refuses by its own rules.
    {Refusal::EmptyKey, StatusCode::InvalidArgument, "etcdserver: key is not provided"},
    {Refusal::KeyNotFound, StatusCode::InvalidArgument, "etcdserver: key not found"},
    {Refusal::ValueProvided, StatusCode::InvalidArgument, "etcdserver: value is provided"},
    {Refusal::LeaseProvided, StatusCode::InvalidArgument, "etcdserver: lease is provided"},
    {Refusal::TooManyOperations, StatusCode::InvalidArgument, "etcdserver: too many operations in txn request"},
    {Refusal::DuplicateKey, StatusCode::InvalidArgument, "etcdserver: duplicate key given in txn request"},
    {Refusal::Compacted, StatusCode::OutOfRange, "etcdserver: mvcc: required revision has been compacted"},
    {Refusal::FutureRevision, StatusCode::OutOfRange, "etcdserver: mvcc: required revision is a future revision"},
    {Refusal::NoSpace, StatusCode::ResourceExhausted, "etcdserver: mvcc: database space exceeded"},
    {Refusal::Corrupt, StatusCode::DataLoss, "etcdserver: corrupt cluster"},
    {Refusal::RequestTooLarge, StatusCode::InvalidArgument, "etcdserver: request is too large"},
    {Refusal::InvalidSortOption, StatusCode::InvalidArgument, "etcdserver: invalid sort option"},
    {Refusal::RangeStreamUnsupported, StatusCode::Unimplemented, "RangeStream does not support custom sort orders"},
    {Refusal::LeaseNotFound, StatusCode::NotFound, "etcdserver: requested lease not found"},
    {Refusal::LeaseExists, StatusCode::FailedPrecondition, "etcdserver: lease already exists"},
    {Refusal::LeaseTtlTooLarge, StatusCode::OutOfRange, "etcdserver: too large lease TTL"},
    // The code that etcd's table says. Its server sends the text with Unknown, by a slip that its Go client cannot see; with this
    // one other clients know as well that nothing was done and when to come back.
    {Refusal::TooManyRequests, StatusCode::ResourceExhausted, "etcdserver: too many requests"},
    {Refusal::UserRateExceeded, StatusCode::ResourceExhausted,
     "etcdserver: too many requests of this user: wait a second and try again, or have etcd.user_requests_per_s "
     "raised"},
    {Refusal::UserEmpty, StatusCode::InvalidArgument, "etcdserver: user name is empty"},
    {Refusal::UserExists, StatusCode::FailedPrecondition, "etcdserver: user name already exists"},
    {Refusal::UserNotFound, StatusCode::FailedPrecondition, "etcdserver: user name not found"},
    {Refusal::RoleEmpty, StatusCode::InvalidArgument, "etcdserver: role name is empty"},
    {Refusal::RoleExists, StatusCode::FailedPrecondition, "etcdserver: role name already exists"},
    {Refusal::RoleNotFound, StatusCode::FailedPrecondition, "etcdserver: role name not found"},
    {Refusal::RoleNotGranted, StatusCode::FailedPrecondition, "etcdserver: role is not granted to the user"},
    {Refusal::PermissionNotGiven, StatusCode::InvalidArgument, "etcdserver: permission not given"},
    {Refusal::PermissionNotGranted, StatusCode::FailedPrecondition,
     "etcdserver: permission is not granted to the role"},
    {Refusal::PermissionDenied, StatusCode::PermissionDenied, "etcdserver: permission denied"},
    {Refusal::RootUserMissing, StatusCode::FailedPrecondition, "etcdserver: root user does not exist"},
    {Refusal::RootRoleMissing, StatusCode::FailedPrecondition, "etcdserver: root user does not have root role"},
    {Refusal::AuthFailed, StatusCode::InvalidArgument,
     "etcdserver: authentication failed, invalid user ID or password"},
    {Refusal::AuthNotEnabled, StatusCode::FailedPrecondition, "etcdserver: authentication is not enabled"},
    // No row in etcd's own table, therefore Unknown and without its prefix.
    {Refusal::NoPasswordUser, StatusCode::Unknown,
     "auth: authentication failed, password was given for no password user"},
    {Refusal::TokenVerifyOnly, StatusCode::Unknown, "auth: token signing attempted with verify-only key"},
    {Refusal::InvalidAuthToken, StatusCode::Unauthenticated, "etcdserver: invalid auth token"},
    {Refusal::AuthOldRevision, StatusCode::InvalidArgument, "etcdserver: revision of auth store is old"},
    {Refusal::InvalidAuthManagement, StatusCode::InvalidArgument, "etcdserver: invalid auth management"},
    {Refusal::MemberNotFound, StatusCode::NotFound, "etcdserver: member not found"},

    // What the cluster refuses. Codes that are not here keep the error's own text.
    {Code::NotLeader, StatusCode::FailedPrecondition, "etcdserver: not leader"},
    {Code::Unavailable, StatusCode::Unavailable, "etcdserver: no leader"},
    {Code::Stale, StatusCode::Unavailable, "etcdserver: leader changed"},
    {Code::Overloaded, StatusCode::ResourceExhausted, "etcdserver: too many requests"},
    {Code::NoSpace, StatusCode::ResourceExhausted, "etcdserver: mvcc: database space exceeded"},
    {Code::Denied, StatusCode::PermissionDenied, "etcdserver: permission denied"},
    {Code::Timeout, StatusCode::Unavailable, "etcdserver: request timed out"},
    {Code::Canceled, StatusCode::Cancelled, "etcdserver: request canceled"},
    // etcd's clients take this one for what it is: the write may have happened.
    {Code::Unknown, StatusCode::Unavailable, "etcdserver: request timed out, possibly due to previous leader failure"},
    {Code::Corrupt, StatusCode::DataLoss, "etcdserver: corrupt cluster"},
    {Code::Io, StatusCode::Unavailable, "etcdserver: request timed out, possibly due to connection lost"},

    // What this gateway finds wrong.
    {Complaint::NoLeader, StatusCode::Unavailable, "etcdserver: no leader"},
    {Complaint::NotLeader, StatusCode::FailedPrecondition, "etcdserver: not leader"},
    {Complaint::BadLeaderTransferee, StatusCode::FailedPrecondition, "etcdserver: bad leader transferee"},
    {Complaint::LeaderTransferTimeout, StatusCode::Unknown,
     "etcdserver: request timed out, leader transfer took too long"},
    {Complaint::NotSupportedForLearner, StatusCode::FailedPrecondition, "etcdserver: rpc not supported for learner"},
    {Complaint::InvalidClientApiVersion, StatusCode::InvalidArgument, "etcdserver: invalid client api version"},
    {Complaint::MemberNotFound, StatusCode::NotFound, "etcdserver: member not found"},
    {Complaint::MemberUrlsInvalid, StatusCode::InvalidArgument, "etcdserver: given member URLs are invalid"},
    {Complaint::PeerUrlExists, StatusCode::FailedPrecondition, "etcdserver: Peer URLs already exists"},
    {Complaint::MemberNotLearner, StatusCode::FailedPrecondition, "etcdserver: can only promote a learner member"},
    {Complaint::LearnerNotReady, StatusCode::FailedPrecondition,
     "etcdserver: can only promote a learner member which is in sync with leader"},
    {Complaint::TooManyLearners, StatusCode::FailedPrecondition, "etcdserver: too many learner members in cluster"},
    {Complaint::NotEnoughStartedMembers, StatusCode::Unknown,
     "etcdserver: re-configuration failed due to not enough started members"},
    {Complaint::UnhealthyCluster, StatusCode::Unavailable, "etcdserver: unhealthy cluster"},
    {Complaint::DowngradeVersionFormat, StatusCode::InvalidArgument,
     "etcdserver: wrong downgrade target version format"},
    {Complaint::DowngradeTargetInvalid, StatusCode::InvalidArgument, "etcdserver: invalid downgrade target version"},
    {Complaint::UnknownMethod, StatusCode::Unknown, "etcdserver: unknown method"},
    {Complaint::RangeStreamFilters, StatusCode::Unimplemented, "RangeStream does not support revision filters"},
    {Complaint::LeaderFieldMissing, StatusCode::Unknown, "\"leader\" field must be provided"},
    {Complaint::ElectionNotLeader, StatusCode::Unknown, "election: not leader"},
    {Complaint::ElectionNoLeader, StatusCode::Unknown, "election: no leader"},
    {Complaint::LockSessionExpired, StatusCode::Unknown, "mutex: session is expired"},
    {Complaint::UndecodableRequest, StatusCode::Internal, "grpc: error unmarshalling request"},
    {Complaint::HealthServiceUnknown, StatusCode::NotFound, "unknown service"},
};

/// The row of `cause`, or null. A linear search: failures are rare and the table is short.
template <class Cause>
const ErrorRow* row_of(Cause cause) {
    for (const ErrorRow& row : rows) {
        const Cause* candidate = std::get_if<Cause>(&row.cause);
        if (candidate && *candidate == cause) return &row;
    }
    return nullptr;
}

rpc::Status status_of(const ErrorRow& row) { return {row.code, std::string(row.text), {}}; }

}  // namespace

std::span<const ErrorRow> error_table() { return rows; }

rpc::Status status_of(Refusal refusal) {
    const ErrorRow* row = row_of(refusal);
    ENSURE(row != nullptr);
    return status_of(*row);
}

rpc::Status status_of(Complaint complaint) {
    const ErrorRow* row = row_of(complaint);
    ENSURE(row != nullptr);
    return status_of(*row);
}

rpc::Status status_of_error(const Error& error) {
    if (const ErrorRow* row = row_of(error.code)) return status_of(*row);
    rpc::Status status = rpc::status_of(error);
    ENSURE(!status.ok());
    return status;
}

int http_status_of(StatusCode code) {
    switch (code) {
        case StatusCode::Ok: return 200;
        case StatusCode::Cancelled: return 499;
        case StatusCode::InvalidArgument:
        case StatusCode::FailedPrecondition:
        case StatusCode::OutOfRange: return 400;
        case StatusCode::Unauthenticated: return 401;
        case StatusCode::PermissionDenied: return 403;
        case StatusCode::NotFound: return 404;
        case StatusCode::AlreadyExists:
        case StatusCode::Aborted: return 409;
        case StatusCode::ResourceExhausted: return 429;
        case StatusCode::Unimplemented: return 501;
        case StatusCode::Unavailable: return 503;
        case StatusCode::DeadlineExceeded: return 504;
        case StatusCode::Unknown:
        case StatusCode::Internal:
        case StatusCode::DataLoss: return 500;
    }
    return 500;
}

}  // namespace polis::gateways
