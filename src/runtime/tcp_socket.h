// Sockets of TCP connections: ports that give them, and connecting.
#pragma once

#include <memory>
#include <string>

#include "runtime/epoll_reactor.h"
#include "runtime/socket_address.h"
#include "runtime/stream.h"

namespace polis::runtime {

/// A connected, non-blocking socket and who is at its other end. Whoever is given one closes it.
struct ConnectedSocket {
    int descriptor = -1;
    SocketAddress peer;
};

/// An open port. Destroying it closes it. REQUIRES: no accept under way then.
class TcpPort {
public:
    virtual ~TcpPort() = default;

    /// Errors: those of Network::listen.
    static Result<std::unique_ptr<TcpPort>> open(EpollReactor& reactor, const Address& address);

    /// The next connection, as Listener::accept says.
    virtual Task<ConnectedSocket> accept() = 0;

    /// With the port that was really bound.
    virtual const Address& address() const = 0;
};

/// The server's end of an accepted connection; with TLS if `tls` is not null, its handshake not done yet.
std::unique_ptr<Stream> make_server_stream(EpollReactor& reactor, const ConnectedSocket& socket,
                                           std::shared_ptr<const TlsContext> tls);

/// Connects to `to`; `name` is for messages. Errors: Unavailable; the scope's, if cancelled.
Task<ConnectedSocket> connect_socket(EpollReactor& reactor, SocketAddress to, std::string name);

}  // namespace polis::runtime
