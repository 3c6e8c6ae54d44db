// Certificates: an authority of one's own, what it issues, and what a certificate says. ECDSA P-256.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "security/secret.h"

namespace polis::security {

/// A certificate and its private key, both PEM (the key in PKCS #8).
struct CertifiedKey {
    std::string certificate;
    Secret key;
};

/// What a certificate is to say.
struct CertificateRequest {
    std::string common_name;              // For clients: the user (etcd takes it so).
    std::string organization = {};        // May be empty.
    std::vector<std::string> names = {};  // DNS names and IP addresses; each is recognised for what it is.
    WallTime now = {};                    // Valid from an hour before, for clocks that are behind.
    std::chrono::hours validity = std::chrono::days(365);
    bool for_server = true;  // Extended key usages. A node is both to its peers.
    bool for_client = true;
};

/// A self-signed authority for `request` (names and usages are ignored). Errors: Invalid for an empty or overlong name.
Result<CertifiedKey> make_authority(const CertificateRequest& request);

/// A certificate signed by `authority`, which ends no later than it. Errors: Invalid for a bad request or an authority that is
/// none, or whose key is another's.
Result<CertifiedKey> issue_certificate(const CertifiedKey& authority, const CertificateRequest& request);

/// What a person wants to know of a certificate.
struct CertificateSummary {
    std::string common_name;
    std::string organization;
    std::string issuer_common_name;
    std::string serial;              // Hexadecimal.
    std::vector<std::string> names;  // DNS names and IP addresses, as in the certificate.
    WallTime not_before;
    WallTime not_after;
    bool is_authority = false;
};

/// The certificates of a PEM text, in their order (a chain: leaf first). Errors: Invalid if there is none.
Result<std::vector<CertificateSummary>> inspect_certificates(std::string_view pem);

/// Writes both as new files, the key with mode 0600, and syncs them. Blocking. Errors: Exists if either is there (nothing is
/// overwritten), NoSpace, Io.
Result<void> write_certified_key(const CertifiedKey& made, const std::string& certificate_file,
                                 const std::string& key_file);

/// Reads both. Blocking. Errors: NotFound, Denied for a key that everybody may read, Io.
Result<CertifiedKey> read_certified_key(const std::string& certificate_file, const std::string& key_file);

}  // namespace polis::security
