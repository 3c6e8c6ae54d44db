// Tokens that prove an earlier login: etcd's simple tokens and JSON web tokens (RFC 7519).
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "security/secret.h"

namespace polis::security {

constexpr size_t simple_token_letters = 16;

/// The random part of an etcd simple token: 16 letters of either case. The service adds "." and the log index.
std::string simple_token(std::span<const std::byte, 2 * simple_token_letters> random);

/// How a token is signed (RFC 7518 section 3.1, RFC 8037).
enum class TokenAlgorithm : uint8_t {
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    ES512,
    HS256,
    HS384,
    HS512,
    EdDSA
};

/// "RS256" and so on, as in a token's header. Errors: Invalid, "none" included.
Result<TokenAlgorithm> token_algorithm_named(std::string_view name);
std::string_view name_of(TokenAlgorithm algorithm);

/// One algorithm with one key. The algorithm is pinned: a token that names another one is refused, whatever its signature,
/// so that a public key is never taken for a shared secret. Immutable; any thread.
class TokenKey {
public:
    /// Signs and verifies. `key` is PEM; for HS256..512 the shared secret itself, at least as long as the hash (RFC 7518 section 3.2).
    /// Errors: Invalid if the key is none, is too weak (RSA under 2048 bits), or not of the algorithm's kind and curve.
    static Result<TokenKey> signing(TokenAlgorithm algorithm, const Secret& key);
    /// Verifies only. `pem` is a public key or a certificate. Errors: as above, and Invalid for HS256..512.
    static Result<TokenKey> verifying(TokenAlgorithm algorithm, std::string_view pem);

    TokenKey(TokenKey&&) noexcept;
    TokenKey& operator=(TokenKey&&) noexcept;
    ~TokenKey();

    bool can_sign() const;

    /// `claims`, a JSON object, as a signed token. RSA takes 0.2 ms: call it on a pool. REQUIRES: can_sign().
    std::string sign(std::string_view claims) const;

    /// The claims of a token whose signature is good. Their meaning ("exp" above all) is the caller's to check.
    /// Errors: Denied, saying why.
    Result<std::string> verify(std::string_view token) const;

private:
    struct Parts;
    explicit TokenKey(std::unique_ptr<Parts> parts);

    std::unique_ptr<Parts> parts_;
};

}  // namespace polis::security
