// Result<T>: a value or an Error. The only way an expected failure leaves a function.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace polis {

/// Why an operation failed, in terms a caller can act on. One code per *reaction*, not per cause:
/// add one only if some caller would do something different on seeing it.
enum class Code : uint8_t {
    Invalid,      // The request can never succeed as it stands: the caller must change it.
    NotFound,     // What was named does not exist.
    Exists,       // What was to be made exists already.
    Stale,        // Based on a state that has passed (an old ballot, a compacted revision): read again.
    NotLeader,    // Not served here: go to the leader.
    Unavailable,  // Nothing was done; the same request may succeed later, here or elsewhere.
    Overloaded,   // Refused early by admission control; nothing was done: back off.
    NoSpace,      // The disk or a quota is full; nothing was done; reads go on.
    Denied,       // The caller may not do this.
    Timeout,      // The deadline passed before anything was handed to the log: nothing was done.
    Canceled,     // The caller gave up.
    Unknown,      // The write may or may not have happened: read to find out.
    Corrupt,      // Stored bytes are not what was written.
    Io,           // The peer or the device is gone; the stream or file is of no further use.
};

/// The code's name as written in the enumeration, for logs and messages.
std::string_view name_of(Code code);

struct Error {
    Code code;
    std::string what;  // For people: what happened, why, what to do next. Never parsed.
};

/// std::expected is not [[nodiscard]]; this is, so a dropped error is a compile error.
template <class T>
class [[nodiscard]] Result : public std::expected<T, Error> {
    using Base = std::expected<T, Error>;

public:
    using Base::Base;
    Result(Base base) : Base(std::move(base)) {}
};

/// The failing Result: `return fail(Code::NotFound, "no member 7; `polis member list` shows them")`.
inline std::unexpected<Error> fail(Code code, std::string what) {
    return std::unexpected<Error>(Error{code, std::move(what)});
}

}  // namespace polis

// TRY(expr) returns the error of expr, if any; LET(auto x, expr) also binds its value.
// In coroutines use CO_TRY and CO_LET. These four, ENSURE, BUG and PROBE are the project's only macros.
#define POLIS_CAT_(a, b) a##b
#define POLIS_CAT(a, b) POLIS_CAT_(a, b)
#define POLIS_TRY(result, expr, ret)                \
    if (auto result = (expr); !result) [[unlikely]] \
    ret std::unexpected(std::move(result).error())
#define POLIS_LET(result, decl, expr, ret)              \
    auto result = (expr);                               \
    if (!result) [[unlikely]]                           \
        ret std::unexpected(std::move(result).error()); \
    decl = *std::move(result)
#define TRY(expr) POLIS_TRY(POLIS_CAT(try_, __LINE__), expr, return)
#define LET(decl, expr) POLIS_LET(POLIS_CAT(try_, __LINE__), decl, expr, return)
#define CO_TRY(expr) POLIS_TRY(POLIS_CAT(try_, __LINE__), expr, co_return)
#define CO_LET(decl, expr) POLIS_LET(POLIS_CAT(try_, __LINE__), decl, expr, co_return)
