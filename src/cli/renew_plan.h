// What `polis init --renew` makes: new certificates in the place of those that an earlier init made, by the same authorities.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "cli/init_plan.h"

namespace polis::cli {

struct RenewOptions {
    std::string folder;                                    // That of the earlier init; absolute.
    std::vector<std::string> nodes = {};                   // Whose certificates; with no clients either: everybody's.
    std::vector<std::string> clients = {};                 // Common names.
    std::chrono::hours validity = std::chrono::days(365);  // From now on; never beyond the authority's.
    WallTime now = {};
};

/// One certificate and its key.
struct Renewal {
    std::string certificate_file, key_file;
    bool by_peers = false;  // Whose authority signs; else the clients'.
    bool for_server = true, for_client = true;
};

/// Which files there are to be renewed, nodes' first, each sorted by name. Errors: NotFound: the folder holds none, or not those of a name; Io.
Result<std::vector<Renewal>> find_renewals(const RenewOptions& options);

/// A new certificate with a new key, which says what the one that `pem` holds says. Errors: Invalid, also if the authority has ended.
Result<security::CertifiedKey> renewed(const security::CertifiedKey& authority, std::string_view pem,
                                       const Renewal& renewal, const RenewOptions& options);

}  // namespace polis::cli
