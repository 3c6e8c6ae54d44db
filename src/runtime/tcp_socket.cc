#include "runtime/tcp_socket.h"

#include <netinet/tcp.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/log.h"
#include "runtime/descriptor.h"
#include "runtime/tcp_stream.h"
#include "runtime/tls.h"
#include "runtime/wait.h"

namespace polis::runtime {
namespace {

constexpr int backlog = 4096;  // Cut by the kernel to net.core.somaxconn.
constexpr auto descriptors_pause = std::chrono::milliseconds(100);

std::string explain(const std::string& what, int error) { return what + ": " + std::strerror(error); }

class ListeningPort : public TcpPort {
public:
    ListeningPort(EpollReactor& reactor, int socket, Address address)
        : socket_(reactor, socket), address_(std::move(address)) {}

    Task<ConnectedSocket> accept() override;
    const Address& address() const override { return address_; }

private:
    Task<void> outlast(int error);

    Descriptor socket_;
    Address address_;
    bool starved_ = false;  // Of descriptors or memory; logged once until it ends.
};

Task<ConnectedSocket> ListeningPort::accept() {
    for (;;) {
        CO_TRY(co_await socket_.readable());
        ConnectedSocket accepted;
        SocketAddress& peer = accepted.peer;
        accepted.descriptor = ::accept4(socket_.number(), &peer.any, &peer.bytes, SOCK_NONBLOCK | SOCK_CLOEXEC);
        const int error = errno;
        if (accepted.descriptor >= 0) {
            if (std::exchange(starved_, false)) log::info("accept_resumed", {"listener", to_string(address_)});
            if (peer.is_loopback()) set_loopback_options(accepted.descriptor);
            co_return accepted;
        }
        if (error == EAGAIN) {
            socket_.read_nothing();
        } else {
            CO_TRY(co_await outlast(error));
        }
    }
}

// Without descriptors or memory the waiting connection stays in the backlog, and trying at once would spin. All other
// errors are those of one connection (accept(2) lists them): on to the next.
Task<void> ListeningPort::outlast(int error) {
    if (error != EMFILE && error != ENFILE && error != ENOBUFS && error != ENOMEM) co_return done();
    if (!std::exchange(starved_, true)) {
        log::warn("accept_starved", {"listener", to_string(address_)}, {"why", std::strerror(error)});
    }
    co_return co_await sleep_for(descriptors_pause);
}

Code code_of_bind(int error) {
    switch (error) {
        case EADDRINUSE: return Code::Exists;
        case EACCES:
        case EPERM: return Code::Denied;
        default: return Code::Invalid;
    }
}

Result<int> open_port(const SocketAddress& address, const std::string& name) {
    const int socket = ::socket(address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (socket < 0) return fail(Code::Unavailable, explain("cannot open a socket for " + name, errno));
    const int yes = 1;
    // A restart must not wait for the old connections' TIME_WAIT. Two listeners still exclude each other.
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    if (address.is_v6()) setsockopt(socket, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof(yes));
    set_tcp_options(socket);
    if (::bind(socket, &address.any, address.bytes) == 0 && ::listen(socket, backlog) == 0) return socket;
    const int error = errno;
    ::close(socket);
    return fail(code_of_bind(error), explain("cannot listen on " + name, error));
}

Address local_address(int socket) {
    SocketAddress local;
    ENSURE(::getsockname(socket, &local.any, &local.bytes) == 0);
    return local.address();
}

}  // namespace

Result<std::unique_ptr<TcpPort>> TcpPort::open(EpollReactor& reactor, const Address& address) {
    const std::string name = to_string(address);
    const auto found = look_up(address);
    if (!found) return fail(Code::Invalid, "cannot listen on " + name + ": " + found.error().what);
    LET(const int socket, open_port(found->front(), name));
    return std::make_unique<ListeningPort>(reactor, socket, local_address(socket));
}

Task<ConnectedSocket> connect_socket(EpollReactor& reactor, SocketAddress to, std::string name) {
    const int socket = ::socket(to.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (socket < 0) co_return fail(Code::Unavailable, explain("cannot open a socket for " + name, errno));
    set_tcp_options(socket);
    if (to.is_loopback()) set_loopback_options(socket);
    const int begun = ::connect(socket, &to.any, to.bytes) == 0 ? 0 : errno;
    Descriptor descriptor(reactor, socket);  // Owns the socket until it is connected.
    if (begun != 0) {
        if (begun != EINPROGRESS) co_return fail(Code::Unavailable, explain("cannot connect to " + name, begun));
        descriptor.wrote_nothing();
        CO_TRY(co_await descriptor.writable());
        int error = 0;
        socklen_t bytes = sizeof(error);
        ENSURE(::getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &bytes) == 0);
        if (error != 0) co_return fail(Code::Unavailable, explain("cannot connect to " + name, error));
    }
    co_return ConnectedSocket{descriptor.release(), to};
}

std::unique_ptr<Stream> make_server_stream(EpollReactor& reactor, const ConnectedSocket& socket,
                                           std::shared_ptr<const TlsContext> tls) {
    auto stream = make_tcp_stream(reactor, socket.descriptor, socket.peer);
    if (!tls) return stream;
    return make_tls_server_stream(std::move(stream), std::move(tls));
}

}  // namespace polis::runtime
