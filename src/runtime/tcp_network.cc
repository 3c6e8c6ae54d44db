#include "runtime/tcp_network.h"

#include <utility>

#include "runtime/tcp_socket.h"
#include "runtime/tcp_stream.h"
#include "runtime/tls.h"
#include "runtime/wait.h"

namespace polis::runtime {
namespace {

constexpr auto attempt_time_max = std::chrono::seconds(2);  // For each address of a name but the last.

class TcpListener : public Listener {
public:
    TcpListener(EpollReactor& reactor, std::unique_ptr<TcpPort> port, std::shared_ptr<const TlsContext> tls)
        : reactor_(reactor), port_(std::move(port)), tls_(std::move(tls)) {}

    Task<std::unique_ptr<Stream>> accept() override {
        CO_LET(const ConnectedSocket socket, co_await port_->accept());
        co_return make_server_stream(reactor_, socket, tls_);
    }
    Task<void> handshake(Stream& stream) override { return tls_handshake(stream); }
    void set_tls(std::shared_ptr<const TlsContext> tls) override { tls_ = std::move(tls); }
    Address address() const override { return port_->address(); }

private:
    EpollReactor& reactor_;
    std::unique_ptr<TcpPort> port_;
    std::shared_ptr<const TlsContext> tls_;
};

Task<std::unique_ptr<Stream>> connect_to(EpollReactor& reactor, SocketAddress to, std::string name) {
    CO_LET(const ConnectedSocket socket, co_await connect_socket(reactor, to, std::move(name)));
    co_return make_tcp_stream(reactor, socket.descriptor, socket.peer);
}

Task<std::unique_ptr<Stream>> connect_to_first(EpollReactor& reactor, std::vector<SocketAddress> addresses,
                                               std::string name) {
    ENSURE(!addresses.empty());
    for (size_t i = 0; i + 1 < addresses.size(); ++i) {
        const Context here = co_await this_context();
        const Instant until = reactor.now() + attempt_time_max;
        auto stream = co_await with_deadline(until, connect_to(reactor, addresses[i], name));
        if (stream || here.scope->canceled()) co_return stream;
    }
    co_return co_await connect_to(reactor, addresses.back(), name);
}

}  // namespace

Task<std::unique_ptr<Stream>> TcpNetwork::connect(Address address, std::shared_ptr<const TlsContext> tls) {
    CO_LET(std::vector<SocketAddress> found, co_await resolver_.resolve(address));
    CO_LET(auto stream, co_await connect_to_first(reactor_, std::move(found), to_string(address)));
    if (!tls) co_return stream;
    co_return co_await tls_connect(std::move(stream), std::move(tls), address.host);
}

Result<std::unique_ptr<Listener>> TcpNetwork::listen(Address address, std::shared_ptr<const TlsContext> tls) {
    LET(auto port, TcpPort::open(reactor_, address));
    return std::make_unique<TcpListener>(reactor_, std::move(port), std::move(tls));
}

}  // namespace polis::runtime
