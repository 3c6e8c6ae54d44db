#include "rpc/status.h"

#include <array>

#include "base/ensure.h"

namespace polis::rpc {

std::string_view name_of(StatusCode code) {
    static constexpr std::array<std::string_view, status_code_count> names = {
        "OK",        "CANCELLED",       "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
        "NOT_FOUND", "ALREADY_EXISTS",  "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
        "ABORTED",   "OUT_OF_RANGE",    "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
        "DATA_LOSS", "UNAUTHENTICATED",
    };
    ENSURE(static_cast<size_t>(code) < names.size());
    return names[static_cast<size_t>(code)];
}

namespace {

StatusCode code_of(Code code) {
    switch (code) {
        case Code::Invalid: return StatusCode::InvalidArgument;
        case Code::NotFound: return StatusCode::NotFound;
        case Code::Exists: return StatusCode::AlreadyExists;
        case Code::Stale: return StatusCode::Aborted;
        case Code::NotLeader: return StatusCode::Unavailable;
        case Code::Unavailable: return StatusCode::Unavailable;
        case Code::Overloaded: return StatusCode::ResourceExhausted;
        case Code::NoSpace: return StatusCode::ResourceExhausted;
        case Code::Denied: return StatusCode::PermissionDenied;
        case Code::Timeout: return StatusCode::DeadlineExceeded;
        case Code::Canceled: return StatusCode::Cancelled;
        case Code::Unknown: return StatusCode::Unknown;
        case Code::Corrupt: return StatusCode::DataLoss;
        case Code::Io: return StatusCode::Unavailable;
    }
    return StatusCode::Unknown;
}

}  // namespace

Status status_of(const Error& error) { return {code_of(error.code), error.what, {}}; }

}  // namespace polis::rpc
