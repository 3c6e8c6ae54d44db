// Errors: the one table from what can go wrong to the gRPC code and the exact text that etcd's clients know.
#pragma once

#include <cstdint>
#include <expected>
#include <span>
#include <string_view>
#include <variant>

#include "base/result.h"
#include "rpc/status.h"
#include "services/coord/api.h"

namespace polis::gateways {

/// What this gateway itself finds wrong: with a call, with the state of the cluster, with a request to change the members.
enum class Complaint : uint8_t {
    NoLeader,
    NotLeader,
    BadLeaderTransferee,
    LeaderTransferTimeout,
    NotSupportedForLearner,
    InvalidClientApiVersion,
    MemberNotFound,
    MemberUrlsInvalid,
    PeerUrlExists,
    MemberNotLearner,
    LearnerNotReady,
    TooManyLearners,
    NotEnoughStartedMembers,
    UnhealthyCluster,
    DowngradeVersionFormat,
    DowngradeTargetInvalid,
    UnknownMethod,       // An enumerator that etcd does not know, in a field that chooses what to do.
    RangeStreamFilters,  // RangeStream with revision filters; with a sort order it is a Refusal of coord's.
    LeaderFieldMissing,  // Election: a request without its LeaderKey.
    ElectionNotLeader,   // Proclaim by one who does not lead.
    ElectionNoLeader,    // Leader of an election that nobody has won.
    LockSessionExpired,  // The lease was gone when the lock would have been won.
    UndecodableRequest,  // The octets are no message of the method's type.
    HealthServiceUnknown,
};

/// One row: what happened, and how a client is told. Texts are the contract: etcd's Go client turns them back into its errors
/// by comparing whole strings.
struct ErrorRow {
    std::variant<services::Refusal, Code, Complaint> cause;
    rpc::StatusCode code;
    std::string_view text;
};

/// All rows, for tests and documentation.
/// Source: etcd api/v3rpc/rpctypes/error.go and server/etcdserver/api/v3rpc/util.go (v3.6.14).
std::span<const ErrorRow> error_table();

rpc::Status status_of(services::Refusal refusal);
rpc::Status status_of(Complaint complaint);
/// Of what the cluster refuses: no leader, overload, an unknown outcome. Where the table has no text, the error's own is used.
rpc::Status status_of_error(const Error& error);

/// The HTTP status with which grpc-gateway v2 answers that code (runtime/errors.go).
int http_status_of(rpc::StatusCode code);

/// An answer, or the status that says why there is none.
template <class Message>
using Answer = std::expected<Message, rpc::Status>;

/// Flattens the two ways in which coord and the cluster fail.
template <class Message>
Answer<Message> answer_of(Result<services::Reply<Message>> result) {
    if (!result) return std::unexpected(status_of_error(result.error()));
    if (!*result) return std::unexpected(status_of(result->error()));
    if constexpr (std::is_void_v<Message>) {
        return {};
    } else {
        return std::move(**result);
    }
}
template <class Message>
Answer<Message> answer_of(Result<Answer<Message>> result) {
    if (!result) return std::unexpected(status_of_error(result.error()));
    return *std::move(result);
}

}  // namespace polis::gateways
