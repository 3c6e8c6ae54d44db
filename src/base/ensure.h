// ENSURE(cond): an invariant. Always on; a failure is a bug here, so the process stops.
#pragma once

namespace polis {

/// Prints the broken invariant to standard error and aborts. Called by ENSURE only.
[[noreturn]] void broken_invariant(const char* file, int line, const char* condition) noexcept;

}  // namespace polis

/// Ends the process if `cond` is false. Never on outside input: that is a Result. A restart from the log is
/// safe, a replica that goes on after a broken invariant is not.
#define ENSURE(cond) ((cond) ? void(0) : ::polis::broken_invariant(__FILE__, __LINE__, #cond))
