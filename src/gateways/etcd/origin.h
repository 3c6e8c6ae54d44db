// Whether a web page may use the HTTP side: what stands between a page that a user happens to visit and a store on loopback.
#pragma once

#include <string>
#include <vector>

#include "rpc/server.h"

namespace polis::gateways {

struct OriginVerdict {
    bool allowed = false;
    rpc::Metadata headers;  // For the response: CORS, if the origin is another's.
};

/// Requests without an Origin header are no page's, and pass. Others pass if the origin is in `allowed_origins` (or that holds
/// "*"), or if it is this server itself. Over plain HTTP "itself" counts only under an address or "localhost": any other name
/// may be an attacker's that points here (DNS rebinding, CVE-2018-5702).
OriginVerdict judge_origin(const rpc::HttpRequest& request, const std::vector<std::string>& allowed_origins);

}  // namespace polis::gateways
