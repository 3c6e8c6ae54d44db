// TLS contexts from the configuration's files, or from self-signed certificates where it says auto.
#pragma once

#include <memory>

#include "node/config.h"
#include "runtime/stream.h"

namespace polis::node {

/// What a node shows, and whom it believes. Null where no TLS is configured.
struct TlsContexts {
    std::shared_ptr<const runtime::TlsContext> client_server;  // Towards clients.
    std::shared_ptr<const runtime::TlsContext> peer_server;    // Towards members that dial this node ...
    std::shared_ptr<const runtime::TlsContext> peer_client;    // ... and those that it dials.
};

/// Reads all files; makes self-signed certificates where the configuration says auto. Errors: Invalid, naming the file; Io.
Result<TlsContexts> load_tls(const Config& config);

}  // namespace polis::node
