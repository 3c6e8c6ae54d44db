// TLS contexts from the configuration's files, or from self-signed certificates where it says auto.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "node/config.h"
#include "runtime/stream.h"

namespace polis::node {

/// Null if no TLS is configured. `side`: "client" or "peer". Errors: Invalid, naming the file.
Result<std::shared_ptr<const runtime::TlsContext>> load_server_tls(const TlsConfig& tls, const std::string& data_dir,
                                                                   std::string_view side);
/// What this node shows and demands when it dials others. Null if no TLS is configured.
Result<std::shared_ptr<const runtime::TlsContext>> load_client_tls(const TlsConfig& tls, const std::string& data_dir,
                                                                   std::string_view side);

}  // namespace polis::node
