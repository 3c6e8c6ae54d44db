// TcpNetwork: the real network: TCP over one reactor, with TLS on top where asked for.
#pragma once

#include <memory>

#include "runtime/epoll_reactor.h"
#include "runtime/socket_address.h"
#include "runtime/stream.h"

namespace polis::runtime {

/// REQUIRES: `reactor` outlives it and everything it makes.
class TcpNetwork : public Network {
public:
    explicit TcpNetwork(EpollReactor& reactor) : reactor_(reactor), resolver_(reactor) {}

    Task<std::unique_ptr<Stream>> connect(Address address, std::shared_ptr<const TlsContext> tls) override;
    Result<std::unique_ptr<Listener>> listen(Address address, std::shared_ptr<const TlsContext> tls) override;

private:
    EpollReactor& reactor_;
    Resolver resolver_;
};

}  // namespace polis::runtime
