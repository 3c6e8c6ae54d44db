// Status: how a gRPC call ended. The codes and their numbers are gRPC's (grpc/doc/statuscodes.md).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace polis::rpc {

enum class StatusCode : uint8_t {
    Ok = 0,
    Cancelled = 1,
    Unknown = 2,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    AlreadyExists = 6,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    Aborted = 10,
    OutOfRange = 11,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    DataLoss = 15,
    Unauthenticated = 16,
};
constexpr size_t status_code_count = 17;

struct Status {
    StatusCode code = StatusCode::Ok;
    std::string message;  // UTF-8; percent-encoded on the wire.
    std::string details;  // Serialised google.rpc.Status, for grpc-status-details-bin; usually empty.

    bool ok() const { return code == StatusCode::Ok; }
    friend bool operator==(const Status&, const Status&) = default;
};

/// "OK", "CANCELLED", "INVALID_ARGUMENT" ... as gRPC spells them.
std::string_view name_of(StatusCode code);

/// The status that tells a caller of `error` when the service has no text of its own for it.
Status status_of(const Error& error);

}  // namespace polis::rpc
