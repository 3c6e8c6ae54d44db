// IoThreads: a network whose accepted connections are read, written and deciphered by threads of their own.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "runtime/epoll_reactor.h"
#include "runtime/stream.h"
#include "runtime/tcp_network.h"

namespace polis::runtime {

/// Streams, listeners and connecting as on `home`, its users' reactor, where all their coroutines run. Each accepted connection is given
/// to the thread that has the fewest; that thread, a reactor of its own, makes the system calls and does TLS, and octets pass between
/// the two in batches. Worth it where one core is full and others are idle: every wake-up of another thread costs both sides.
/// Connections that `connect` makes stay on `home`.
///
/// REQUIRES: made and destroyed on home's thread; `home` outlives it; all that it made is destroyed before it.
class IoThreads : public Network {
public:
    /// `threads`: 1 or more.
    IoThreads(EpollReactor& home, uint32_t threads);
    /// Waits until what was written has been delivered to the sockets, or for a second, and ends the threads.
    ~IoThreads() override;

    Task<std::unique_ptr<Stream>> connect(Address address, std::shared_ptr<const TlsContext> tls) override;
    Result<std::unique_ptr<Listener>> listen(Address address, std::shared_ptr<const TlsContext> tls) override;

    /// Connections each thread has now.
    std::vector<size_t> connections() const;

private:
    class Thread;
    class Port;
    class RelayedStream;
    struct HomeEnd;
    struct FarEnd;

    Thread& least_busy();

    EpollReactor& home_;
    TcpNetwork direct_;
    std::vector<std::unique_ptr<Thread>> threads_;
};

}  // namespace polis::runtime
