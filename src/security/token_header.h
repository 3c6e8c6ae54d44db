// The header of a JSON web token, read without trust.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace polis::security {

/// What we look at of a token's header.
struct TokenHeader {
    std::string algorithm;  // "alg".
    bool has_critical =
        false;  // "crit": extensions that must be understood. We understand none (RFC 7515 section 4.1.11).
};

/// Reads a JSON object (RFC 8259). Escapes in the names and values that matter are refused, as nobody writes them.
/// Errors: Invalid.
Result<TokenHeader> parse_token_header(std::string_view json);

}  // namespace polis::security
