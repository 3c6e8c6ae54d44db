// Bodies of plain HTTP: which responses have one, and how a request's is read whole.
#pragma once

#include <cstdint>
#include <string>

#include "base/time.h"
#include "rpc/server.h"
#include "runtime/task.h"
#include "runtime/wait.h"

namespace polis::rpc {

/// Whether a response of that status may have a body (RFC 9110, section 6.4.1).
constexpr bool may_have_body(int status) { return status >= 200 && status != 204 && status != 304; }

struct BodyLimits {
    size_t bytes_max;
    Duration
        timeout;  // For all of it; each octet that has come prolongs it, by as much as the slowest client that is served needs.
};

/// The slowest client that is served beyond BodyLimits::timeout: a body that trickles holds a connection for so long and no longer.
constexpr int64_t body_bytes_per_s_min = 16 << 10;

/// The whole body. Errors: Invalid, Timeout by `limits`; those of read_piece.
inline runtime::Task<std::string> gather_body(HttpExchange& exchange, runtime::Reactor& reactor, BodyLimits limits) {
    const Instant until = reactor.now() + limits.timeout;
    std::string body;
    for (;;) {
        const Duration earned = std::chrono::nanoseconds(std::chrono::seconds(1)) / body_bytes_per_s_min *
                                static_cast<int64_t>(body.size());
        CO_LET(const Bytes piece, co_await runtime::with_deadline(until + earned, exchange.read_piece()));
        if (piece.empty()) co_return body;
        if (body.size() + piece.size() > limits.bytes_max) {
            co_return fail(Code::Invalid, "a body of more than " + std::to_string(limits.bytes_max) + " bytes");
        }
        body.append(piece.view());
    }
}

}  // namespace polis::rpc
