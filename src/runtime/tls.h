// TLS over any stream: the same code runs over TCP and over the simulated network.
#pragma once

#include <memory>
#include <string>

#include "runtime/stream.h"

namespace polis::runtime {

/// The server's end over `transport`. It can be used after `tls_handshake`.
/// REQUIRES: `context` was made by TlsContext::server.
std::unique_ptr<Stream> make_tls_server_stream(std::unique_ptr<Stream> transport,
                                               std::shared_ptr<const TlsContext> context);

/// Does the server's handshake; returns at once if `stream` is none of make_tls_server_stream, or is through it.
/// Errors: Io, saying why it failed (the stream is of no further use); the scope's error.
Task<void> tls_handshake(Stream& stream);

/// The client's end over `transport`, handshake done, server verified against the context's server_name, or against `host`
/// if that is empty. REQUIRES: `context` was made by TlsContext::client.
/// Errors: Io, saying why it failed; the scope's error.
Task<std::unique_ptr<Stream>> tls_connect(std::unique_ptr<Stream> transport, std::shared_ptr<const TlsContext> context,
                                          std::string host);

}  // namespace polis::runtime
