// TCP connections as streams.
#pragma once

#include <memory>

#include "runtime/epoll_reactor.h"
#include "runtime/socket_address.h"
#include "runtime/stream.h"

namespace polis::runtime {

/// Takes over a connected, non-blocking socket.
std::unique_ptr<Stream> make_tcp_stream(EpollReactor& reactor, int socket, const SocketAddress& peer);

/// Options of every connection of ours: no delay, keep-alive. Accepted sockets inherit them from the listening one.
void set_tcp_options(int socket);

/// To be called on sockets with both ends on this machine. `bbr`, a common default, paces itself to less than half
/// of what loopback can do. Left as it is where changing it is not permitted.
void set_loopback_options(int socket);

}  // namespace polis::runtime
