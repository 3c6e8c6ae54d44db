// SocketAddress: addresses as the operating system takes them, and the look-up of names off the reactor.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <atomic>
#include <memory>
#include <vector>

#include "runtime/epoll_reactor.h"
#include "runtime/stream.h"
#include "runtime/wait.h"

namespace polis::runtime {

/// An IPv4 or IPv6 address with its port.
struct SocketAddress {
    union {
        sockaddr any;
        sockaddr_in v4;
        sockaddr_in6 v6;
        sockaddr_storage storage{};
    };
    socklen_t bytes = sizeof(sockaddr_storage);

    bool is_v6() const { return any.sa_family == AF_INET6; }
    bool is_loopback() const;
    /// The numeric address and port.
    Address address() const;
};

/// Looks `address` up, blocking if its host is not numeric. At least one address, in the order to try them.
/// Errors: Unavailable, naming the host and why.
Result<std::vector<SocketAddress>> look_up(const Address& address);

/// As look_up for numeric hosts, without blocking. Errors: Invalid for all others.
Result<SocketAddress> numeric_address(const Address& address);

/// Looks names up on threads of their own, since the system's resolver blocks for seconds when name servers do not
/// answer. At most `threads_max` at a time; further look-ups wait.
class Resolver {
public:
    explicit Resolver(EpollReactor& reactor);
    ~Resolver();

    /// As look_up, off the reactor. Cancelled at once; the system's look-up then goes on unheeded.
    Task<std::vector<SocketAddress>> resolve(Address address);

private:
    static constexpr size_t threads_max = 8;
    struct Lookup;
    struct Shared;

    std::shared_ptr<Shared> shared_;  // With the threads, which may outlive this.
};

}  // namespace polis::runtime
