#include "cli/outcome.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace polis::cli {
namespace {

using rpc::StatusCode;

// What servers say when they surely did nothing, under codes that leave it open.
constexpr std::array<std::string_view, 5> not_done = {
    "etcdserver: no leader", "etcdserver: too many requests", "etcdserver: unhealthy cluster",
    "etcdserver: not enough started members", "etcdserver: re-configuration failed due to not enough started members"};

}  // namespace

ExitCode exit_code_of(const rpc::Status& status, Effect effect, Reached reached) {
    if (status.code == StatusCode::Ok) return ExitCode::Ok;
    const bool plainly_refused = std::ranges::find(not_done, status.message) != not_done.end();
    switch (status.code) {
        case StatusCode::Unavailable:
        case StatusCode::DeadlineExceeded:
        case StatusCode::Cancelled:
        case StatusCode::Unknown:
        case StatusCode::Internal:
            if (effect == Effect::Writes && reached == Reached::Server && !plainly_refused)
                return ExitCode::UnknownOutcome;
            break;
        default: return ExitCode::Failed;
    }
    const bool passing = status.code == StatusCode::Unavailable || status.code == StatusCode::DeadlineExceeded;
    return passing ? ExitCode::Unavailable : ExitCode::Failed;
}

ExitCode exit_code_of(const Error& error) {
    switch (error.code) {
        case Code::Invalid: return ExitCode::Usage;
        case Code::Unavailable:
        case Code::Timeout:
        case Code::Overloaded: return ExitCode::Unavailable;
        case Code::Unknown: return ExitCode::UnknownOutcome;
        default: return ExitCode::Failed;
    }
}

}  // namespace polis::cli
