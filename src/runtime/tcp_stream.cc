#include "runtime/tcp_stream.h"

#include <netinet/tcp.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "runtime/descriptor.h"

namespace polis::runtime {
namespace {

constexpr size_t parts_per_call_max = 64;  // Far below IOV_MAX; the array lives on the stack.

class TcpStream : public Stream {
public:
    TcpStream(EpollReactor& reactor, int socket, const SocketAddress& peer) : socket_(reactor, socket) {
        peer_.address = peer.address();
    }

    Task<size_t> read_some(std::span<std::byte> target) override;
    Task<void> write(std::span<const std::string_view> parts) override;
    Result<size_t> try_write(std::span<const std::string_view> parts) override;
    Task<void> finish() override;
    void close() override;
    const Peer& peer() const override { return peer_; }

private:
    Result<size_t> send(std::span<const std::string_view> parts, size_t offset);

    Error gone(const char* doing, int error) const {
        return {Code::Io, std::string(doing) + " " + to_string(peer_.address) + ": " + std::strerror(error)};
    }
    Error closed() const { return {Code::Io, "the connection with " + to_string(peer_.address) + " was closed here"}; }

    Descriptor socket_;
    Peer peer_;
    bool closed_ = false;
};

Task<size_t> TcpStream::read_some(std::span<std::byte> target) {
    ENSURE(!target.empty());
    ENSURE(!socket_.is_read());
    for (;;) {
        CO_TRY(co_await socket_.readable());
        if (closed_) co_return std::unexpected(closed());
        const ssize_t count = ::recv(socket_.number(), target.data(), target.size(), 0);
        if (count >= 0) {
            if (count > 0 && static_cast<size_t>(count) < target.size()) socket_.read_short();
            co_return static_cast<size_t>(count);
        }
        if (errno == EAGAIN) {
            socket_.read_nothing();
        } else if (errno != EINTR) {
            co_return std::unexpected(gone("reading from", errno));
        }
    }
}

// In one system call, without the first `offset` octets. None if the socket takes none now.
Result<size_t> TcpStream::send(std::span<const std::string_view> parts, size_t offset) {
    std::array<iovec, parts_per_call_max> gathered;
    const size_t count = std::min(parts.size(), gathered.size());
    for (size_t i = 0; i < count; ++i) {
        const std::string_view octets = parts[i].substr(i == 0 ? offset : 0);
        gathered[i] = {const_cast<char*>(octets.data()), octets.size()};
    }
    msghdr message{};
    message.msg_iov = gathered.data();
    message.msg_iovlen = count;
    for (;;) {
        const ssize_t sent = ::sendmsg(socket_.number(), &message, MSG_NOSIGNAL);
        if (sent >= 0) return static_cast<size_t>(sent);
        if (errno == EAGAIN) return size_t{0};
        if (errno != EINTR) return std::unexpected(gone("writing to", errno));
    }
}

Task<void> TcpStream::write(std::span<const std::string_view> parts) {
    ENSURE(!socket_.is_written());
    size_t offset = 0;  // How much of the first of `parts` is sent.
    while (!parts.empty()) {
        if (closed_) co_return std::unexpected(closed());
        CO_LET(const size_t sent, send(parts, offset));
        offset += sent;
        while (!parts.empty() && offset >= parts.front().size()) {
            offset -= parts.front().size();
            parts = parts.subspan(1);
        }
        if (sent > 0 || parts.empty()) continue;
        socket_.wrote_nothing();
        CO_TRY(co_await socket_.writable());
    }
    co_return done();
}

Result<size_t> TcpStream::try_write(std::span<const std::string_view> parts) {
    ENSURE(!socket_.is_written());
    if (closed_) return std::unexpected(closed());
    if (parts.empty()) return size_t{0};
    return send(parts, 0);
}

Task<void> TcpStream::finish() {
    if (closed_) co_return std::unexpected(closed());
    if (::shutdown(socket_.number(), SHUT_WR) != 0) co_return std::unexpected(gone("finishing with", errno));
    co_return done();
}

void TcpStream::close() {
    if (closed_) return;
    closed_ = true;
    ::shutdown(socket_.number(), SHUT_RDWR);
    socket_.wake_all();
}

}  // namespace

std::unique_ptr<Stream> make_tcp_stream(EpollReactor& reactor, int socket, const SocketAddress& peer) {
    return std::make_unique<TcpStream>(reactor, socket, peer);
}

void set_tcp_options(int socket) {
    const auto set = [socket](int level, int name, int value) {
        setsockopt(socket, level, name, &value, sizeof(value));
    };
    set(IPPROTO_TCP, TCP_NODELAY, 1);
    // A peer that is gone without a word (power, cable) is found out after a minute even where no protocol asks, if nothing is
    // on its way to it: the kernel probes only then. Octets never acknowledged it gives up after tcp_retries2, a quarter of an
    // hour, unless a protocol's own ping is earlier; TCP_USER_TIMEOUT would also cut off a client that is merely slow to read.
    set(SOL_SOCKET, SO_KEEPALIVE, 1);
    set(IPPROTO_TCP, TCP_KEEPIDLE, 30);
    set(IPPROTO_TCP, TCP_KEEPINTVL, 10);
    set(IPPROTO_TCP, TCP_KEEPCNT, 3);
}

void set_loopback_options(int socket) {
    constexpr std::string_view algorithm = "reno";
    setsockopt(socket, IPPROTO_TCP, TCP_CONGESTION, algorithm.data(), algorithm.size());
}

}  // namespace polis::runtime
