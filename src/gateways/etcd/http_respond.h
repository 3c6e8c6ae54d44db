// Headers of plain HTTP answers.
#pragma once

#include "rpc/server.h"

namespace polis::gateways {

/// `base` and that the body is JSON.
inline rpc::Metadata json_headers(rpc::Metadata base = {}) {
    base.add("content-type", "application/json");
    return base;
}

/// That the body is text, and is not to be taken for anything else.
inline rpc::Metadata text_headers() {
    rpc::Metadata headers;
    headers.add("content-type", "text/plain; charset=utf-8");
    headers.add("x-content-type-options", "nosniff");
    return headers;
}

}  // namespace polis::gateways
