// The option etcd.auth_token: simple tokens, or signed ones with their keys.
#pragma once

#include <memory>
#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "security/token.h"

namespace polis::node {

/// How tokens are made and checked.
struct AuthToken {
    std::shared_ptr<const security::TokenKey> key = {};  // Null: simple tokens.
    Duration ttl = std::chrono::minutes(5);              // Of signed ones.
};

/// Reads the option, and the key files that it names: "simple", or "jwt," and name=value pairs with sign-method, pub-key, priv-key
/// and ttl. With a public key alone tokens are checked and none given out; for HS256..512 priv-key holds the shared secret (without
/// the line break at its end).
/// Errors: Invalid, beginning as etcd's; Io.
/// Source: etcd server/auth/{options,jwt}.go.
Result<AuthToken> load_auth_token(std::string_view option);

}  // namespace polis::node
