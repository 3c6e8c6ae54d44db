// Password hashes as etcd stores them: bcrypt.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "security/secret.h"

namespace polis::security {

/// What bcrypt looks at; etcd refuses longer ones, as we do, rather than ignore the rest.
constexpr size_t password_bytes_max = 72;
/// etcd's default: 2^10 rounds, some 50 ms.
constexpr unsigned bcrypt_cost_default = 10;
constexpr size_t bcrypt_salt_bytes = 16;

/// "$2a$10$...", 60 characters, readable by etcd. Slow on purpose: call it on a pool, never on a reactor. `salt` is random.
/// Errors: Invalid if the password is empty, longer than password_bytes_max or holds a zero octet; or if the cost is not 4..31.
Result<std::string> hash_password(const Secret& password, std::span<const std::byte, bcrypt_salt_bytes> salt,
                                  unsigned cost = bcrypt_cost_default);

/// True if `password` gave `hash` ($2a$, $2b$ or $2y$). As slow as hashing. False for anything that is no bcrypt hash, and
/// for the empty hash that etcd keeps for users without a password.
bool verify_password(const Secret& password, std::string_view hash);

/// The cost that a bcrypt hash was made with; for renewing hashes after a change of the option. Errors: Invalid.
Result<unsigned> cost_of_hash(std::string_view hash);

}  // namespace polis::security
