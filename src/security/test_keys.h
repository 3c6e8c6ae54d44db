// Known Ed25519 keys as PEM, for tests: those of RFC 8032, section 7.1.
#pragma once

#include <string_view>

namespace polis::security::testing {

/// Test 1: the pair.
constexpr std::string_view ed25519_private_pem = R"(-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g
-----END PRIVATE KEY-----
)";
constexpr std::string_view ed25519_public_pem = R"(-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=
-----END PUBLIC KEY-----
)";
/// Test 2: another's public key.
constexpr std::string_view ed25519_other_public_pem = R"(-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAPUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=
-----END PUBLIC KEY-----
)";

}  // namespace polis::security::testing
