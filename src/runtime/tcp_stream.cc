#include "runtime/tcp_stream.h"

#include <netinet/tcp.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <cerrno>
#include <cstring>

#include "runtime/handler_memory.h"

namespace polis::runtime {
namespace {

using AsioSocket = boost::asio::basic_stream_socket<boost::asio::ip::tcp, boost::asio::io_context::executor_type>;

constexpr size_t parts_per_call_max = 64;  // Far below IOV_MAX; the array lives on the stack.
constexpr uint32_t direct_reads_max = 16;  // In a row, before other connections get their turn.

class TcpStream : public Stream {
public:
    TcpStream(AsioReactor& reactor, int socket, const SocketAddress& peer)
        : reactor_(reactor), socket_(reactor.io_context()), fd_(socket) {
        using boost::asio::ip::tcp;
        boost::system::error_code error;
        socket_.assign(peer.is_v6() ? tcp::v6() : tcp::v4(), socket, error);
        ENSURE(!error);
        socket_.native_non_blocking(true, error);
        peer_.address = peer.address();
    }
    ~TcpStream() override { ENSURE(reader_ == nullptr && writer_ == nullptr); }

    Task<size_t> read_some(std::span<std::byte> target) override;
    Task<void> write(std::span<const std::string_view> parts) override;
    Task<void> finish() override;
    void close() override;
    const Peer& peer() const override { return peer_; }

private:
    // A coroutine that sleeps until Asio has ended one operation. A cancelled operation ends through its handler too, so
    // that Asio holds no pointer into a frame that is gone, and octets that came meanwhile are not lost.
    class Operation : public Wait {
    public:
        explicit Operation(TcpStream& stream) : stream_(stream) {}
        bool await_ready() const noexcept { return false; }
        void cancel() override {
            boost::system::error_code ignored;
            stream_.socket_.cancel(ignored);
        }
        void end(const boost::system::error_code& error, size_t bytes) {
            unlink();
            error_ = error;
            bytes_ = bytes;
            stream_.reactor_.schedule(self_);
        }

    protected:
        // False if the scope was cancelled already: then nothing is to be started.
        template <TaskPromise P>
        bool enter(std::coroutine_handle<P> self) {
            context_ = self.promise().context;
            error_ = boost::asio::error::operation_aborted;
            if (context_.scope->canceled()) return false;
            self_ = self;
            context_.scope->add(*this);
            return true;
        }
        bool aborted() const { return error_ == boost::asio::error::operation_aborted; }

        TcpStream& stream_;
        Context context_;
        std::coroutine_handle<> self_;
        boost::system::error_code error_;
        size_t bytes_ = 0;
    };

    template <Operation* TcpStream::* waiting, HandlerMemory TcpStream::* memory>
    struct Handler {
        using allocator_type = HandlerMemory::Allocator<void>;
        allocator_type get_allocator() const noexcept { return allocator_type(stream->*memory); }
        void operator()(const boost::system::error_code& error, size_t bytes = 0) const {
            std::exchange(stream->*waiting, nullptr)->end(error, bytes);
        }
        TcpStream* stream;
    };

    struct Reading;
    struct Writable;

    Error gone(const char* doing, int error) const {
        return {Code::Io, std::string(doing) + " " + to_string(peer_.address) + ": " + std::strerror(error)};
    }
    Error closed() const { return {Code::Io, "the connection with " + to_string(peer_.address) + " was closed here"}; }

    AsioReactor& reactor_;
    AsioSocket socket_;
    int fd_;  // socket_'s.
    Peer peer_;
    bool closed_ = false;
    uint32_t direct_reads_left_ = 0;  // > 0 while more input is likely there: the last read filled its target.
    Operation* reader_ = nullptr;
    Operation* writer_ = nullptr;
    HandlerMemory read_memory_;
    HandlerMemory write_memory_;
};

// Asio reads as soon as there is something. (Waiting for readiness and reading ourselves would cost one epoll_ctl a read.)
struct TcpStream::Reading : Operation {
    Reading(TcpStream& stream, std::span<std::byte> target) : Operation(stream), target_(target) {}

    template <TaskPromise P>
    bool await_suspend(std::coroutine_handle<P> self) {
        if (!enter(self)) return false;
        stream_.reader_ = this;
        stream_.socket_.async_receive(boost::asio::buffer(target_.data(), target_.size()),
                                      Handler<&TcpStream::reader_, &TcpStream::read_memory_>{&stream_});
        return true;
    }
    // Nothing: cut short by somebody else's cancellation, to be tried again.
    std::optional<Result<size_t>> await_resume() {
        if (!error_) return bytes_;
        if (error_ == boost::asio::error::eof) return 0;
        if (stream_.closed_) return std::unexpected(stream_.closed());
        if (!aborted()) return std::unexpected(stream_.gone("reading from", error_.value()));
        if (context_.scope->canceled()) return std::unexpected(context_.scope->error());
        return std::nullopt;
    }
    std::span<std::byte> target_;
};

struct TcpStream::Writable : Operation {
    using Operation::Operation;

    template <TaskPromise P>
    bool await_suspend(std::coroutine_handle<P> self) {
        if (!enter(self)) return false;
        stream_.writer_ = this;
        stream_.socket_.async_wait(AsioSocket::wait_write,
                                   Handler<&TcpStream::writer_, &TcpStream::write_memory_>{&stream_});
        return true;
    }
    // Success means: try to write, whatever the socket has become; that tells more than this could.
    Result<void> await_resume() {
        if (context_.scope->canceled()) return std::unexpected(context_.scope->error());
        return {};
    }
};

Task<size_t> TcpStream::read_some(std::span<std::byte> target) {
    ENSURE(!target.empty());
    ENSURE(reader_ == nullptr);
    for (;;) {
        if (closed_) co_return std::unexpected(closed());
        if (direct_reads_left_ > 0) {
            --direct_reads_left_;
            const ssize_t count = ::recv(fd_, target.data(), target.size(), 0);
            if (count >= 0) {
                if (static_cast<size_t>(count) < target.size()) direct_reads_left_ = 0;
                co_return static_cast<size_t>(count);
            }
            direct_reads_left_ = 0;
            if (errno != EAGAIN && errno != EINTR) co_return std::unexpected(gone("reading from", errno));
        }
        const std::optional<Result<size_t>> ended = co_await Reading(*this, target);
        if (!ended) continue;
        if (*ended && **ended == target.size()) direct_reads_left_ = direct_reads_max;
        if (closed_) co_return std::unexpected(closed());
        co_return *ended;
    }
}

Task<void> TcpStream::write(std::span<const std::string_view> parts) {
    ENSURE(writer_ == nullptr);
    size_t part = 0;    // The first that is not sent in full ...
    size_t offset = 0;  // ... and how much of it is.
    while (part < parts.size()) {
        if (closed_) co_return std::unexpected(closed());
        std::array<iovec, parts_per_call_max> gathered;
        const size_t count = std::min(parts.size() - part, gathered.size());
        for (size_t i = 0; i < count; ++i) {
            const std::string_view octets = parts[part + i].substr(i == 0 ? offset : 0);
            gathered[i] = {const_cast<char*>(octets.data()), octets.size()};
        }
        msghdr message{};
        message.msg_iov = gathered.data();
        message.msg_iovlen = count;
        const ssize_t sent = ::sendmsg(fd_, &message, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0 && errno != EAGAIN) co_return std::unexpected(gone("writing to", errno));
        if (sent < 0) {
            CO_TRY(co_await Writable(*this));
            continue;
        }
        offset += static_cast<size_t>(sent);
        while (part < parts.size() && offset >= parts[part].size()) offset -= parts[part++].size();
    }
    co_return done();
}

Task<void> TcpStream::finish() {
    if (closed_) co_return std::unexpected(closed());
    if (::shutdown(fd_, SHUT_WR) != 0) co_return std::unexpected(gone("finishing with", errno));
    co_return done();
}

void TcpStream::close() {
    if (closed_) return;
    closed_ = true;
    ::shutdown(fd_, SHUT_RDWR);
    boost::system::error_code ignored;
    socket_.cancel(ignored);
}

}  // namespace

std::unique_ptr<Stream> make_tcp_stream(AsioReactor& reactor, int socket, const SocketAddress& peer) {
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
