// JwtTokens: tokens that carry who somebody is, signed, so that no node has to remember them. etcd's claims.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/time.h"
#include "security/token.h"

namespace polis::services {

/// The tokens of --auth-token=jwt: username, revision of users and roles at login, end. A token of an older revision is good, but
/// gives no right to keys any more: its bearer has to log in again.
class JwtTokens {
public:
    struct Claims {
        std::string user;
        uint64_t revision = 0;
        std::optional<int64_t> ends;    // "exp", seconds since 1970. Without it: never, as etcd takes it.
        std::optional<int64_t> begins;  // "nbf".
    };

    /// REQUIRES: a key.
    JwtTokens(std::shared_ptr<const security::TokenKey> key, Duration ttl);

    /// Whether this node can give out tokens, or only checks those of others.
    bool can_sign() const { return key_->can_sign(); }
    /// Takes up to a millisecond; touches nothing that changes, so that a pool may run it. REQUIRES: can_sign().
    std::string make(const std::string& user, uint64_t revision, WallTime now) const;

    /// What a good token claims; null if it is forged, over, or not one of etcd's. A signature is checked once, then remembered.
    const Claims* find(const std::string& token, WallTime now);

    size_t remembered() const { return known_.size(); }

private:
    std::shared_ptr<const security::TokenKey> key_;
    const Duration ttl_;
    std::unordered_map<std::string, Claims> known_;  // Tokens whose signature is good. At most known_max.
};

/// Absent if the JSON object is not what etcd's tokens say.
std::optional<JwtTokens::Claims> parse_claims(std::string_view json);

}  // namespace polis::services
