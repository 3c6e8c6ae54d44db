#include "runtime/sim_network.h"

#include <algorithm>

#include "base/ensure.h"
#include "runtime/sim_wire.h"
#include "runtime/tls.h"

namespace polis::runtime {
namespace {

using Fabric = SimNetwork::Fabric;

constexpr uint16_t first_free_port = 32768;                    // As Linux' ephemeral ports.
constexpr auto connect_retry_first = std::chrono::seconds(1);  // Doubling, as TCP does with its SYN.

class SimStream : public Stream {
public:
    SimStream(std::shared_ptr<SimConnection> connection, size_t end, Address peer)
        : connection_(std::move(connection)), end_(end) {
        peer_.address = std::move(peer);
    }
    ~SimStream() override {
        ENSURE(!reading_);
        ENSURE(!writing_);
        connection_->leave(end_);
    }

    Task<size_t> read_some(std::span<std::byte> target) override {
        ENSURE(!reading_);
        reading_ = true;
        auto result = co_await connection_->read(end_, target);
        reading_ = false;
        co_return result;
    }
    Task<void> write(std::span<const std::string_view> parts) override {
        ENSURE(!writing_);
        writing_ = true;
        auto result = co_await connection_->write(end_, parts);
        writing_ = false;
        co_return result;
    }
    Task<void> finish() override { co_return connection_->finish(end_); }
    void close() override { connection_->close(end_); }
    const Peer& peer() const override { return peer_; }

private:
    std::shared_ptr<SimConnection> connection_;
    size_t end_;
    Peer peer_;
    bool reading_ = false;
    bool writing_ = false;
};

class SimListener : public Listener {
public:
    SimListener(std::shared_ptr<Fabric> fabric, Address address, std::string host,
                std::shared_ptr<const TlsContext> tls)
        : fabric_(std::move(fabric)), address_(std::move(address)), host_(std::move(host)), tls_(std::move(tls)) {
        port_ = fabric_->ports[{host_, address_.port}] = std::make_shared<SimPort>();
    }
    ~SimListener() override {
        const auto open = fabric_->ports.find({host_, address_.port});
        if (open != fabric_->ports.end() && open->second == port_) fabric_->ports.erase(open);
    }

    Task<std::unique_ptr<Stream>> accept() override {
        while (port_->waiting.empty()) CO_TRY(co_await port_->arrived.wait());
        auto stream = std::move(port_->waiting.front());
        port_->waiting.pop_front();
        if (!tls_) co_return stream;
        co_return make_tls_server_stream(std::move(stream), tls_);
    }
    Task<void> handshake(Stream& stream) override { return tls_handshake(stream); }
    void set_tls(std::shared_ptr<const TlsContext> tls) override { tls_ = std::move(tls); }
    Address address() const override { return address_; }

private:
    std::shared_ptr<Fabric> fabric_;
    Address address_;
    std::string host_;
    std::shared_ptr<const TlsContext> tls_;
    std::shared_ptr<SimPort> port_;
};

bool is_own_name(const std::string& name) {
    return name == "localhost" || name == "127.0.0.1" || name == "::1" || name == "0.0.0.0" || name == "::";
}

}  // namespace

/// The network as one host sees it.
class SimHost : public Network {
public:
    SimHost(Fabric& fabric, std::string name) : fabric_(fabric), name_(std::move(name)) {}

    Task<std::unique_ptr<Stream>> connect(Address address, std::shared_ptr<const TlsContext> tls) override {
        const std::string to = is_own_name(address.host) ? name_ : address.host;
        if (!fabric_.hosts.contains(to)) co_return fail(Code::Unavailable, "cannot look up '" + to + "'");
        CO_LET(auto stream, co_await open(to, address));
        if (!tls) co_return stream;
        co_return co_await tls_connect(std::move(stream), std::move(tls), address.host);
    }

    Result<std::unique_ptr<Listener>> listen(Address address, std::shared_ptr<const TlsContext> tls) override {
        if (!is_own_name(address.host) && address.host != name_) {
            return fail(Code::Invalid, "cannot listen on " + to_string(address) + ": not an address of " + name_);
        }
        while (address.port == 0) {
            if (!fabric_.ports.contains({name_, next_port_})) address.port = next_port_;
            next_port_ = std::max<uint16_t>(first_free_port, static_cast<uint16_t>(next_port_ + 1));
        }
        if (fabric_.ports.contains({name_, address.port})) {
            return fail(Code::Exists, "cannot listen on " + to_string(address) + ": the port is taken");
        }
        return std::make_unique<SimListener>(shared_fabric(), std::move(address), name_, std::move(tls));
    }

private:
    // What exchanging SYNs comes to. A listener with a full backlog answers as little as a host that is cut off.
    Task<std::unique_ptr<Stream>> open(std::string to, Address address) {
        const std::shared_ptr<Fabric> fabric = shared_fabric();
        const Instant give_up = fabric->reactor.now() + fabric->options.connect_timeout;
        for (Duration pause = connect_retry_first;; pause *= 2) {
            if (!fabric->is_cut(name_, to)) {
                CO_TRY(co_await sleep_for(fabric->latency(name_, to)));
                const auto found = fabric->ports.find({to, address.port});
                const bool answers = !fabric->is_cut(to, name_);
                if (found == fabric->ports.end() && answers) {
                    CO_TRY(co_await sleep_for(fabric->latency(to, name_)));
                    co_return fail(Code::Unavailable, "cannot connect to " + to_string(address) + ": refused");
                }
                if (answers && found->second->waiting.size() < SimPort::backlog_max) {
                    auto stream = meet(*found->second, to, address);
                    CO_TRY(co_await sleep_for(fabric->latency(to, name_)));
                    co_return stream;
                }
            }
            const Instant now = fabric->reactor.now();
            if (now >= give_up) {
                co_return fail(Code::Unavailable, "cannot connect to " + to_string(address) + ": no answer");
            }
            CO_TRY(co_await sleep_for(std::min(pause, give_up - now)));
        }
    }

    std::unique_ptr<Stream> meet(SimPort& port, const std::string& to, const Address& address) {
        const auto fabric = shared_fabric();
        const auto connection = std::make_shared<SimConnection>(fabric, name_, to);
        fabric->connections.push_back(connection);
        next_port_ = std::max<uint16_t>(first_free_port, static_cast<uint16_t>(next_port_ + 1));
        port.waiting.push_back(std::make_unique<SimStream>(connection, 1, Address{name_, next_port_}));
        port.arrived.notify_all();
        return std::make_unique<SimStream>(connection, 0, address);
    }

    std::shared_ptr<Fabric> shared_fabric() const { return fabric_.shared_from_this(); }

    Fabric& fabric_;  // Which owns us.
    std::string name_;
    uint16_t next_port_ = first_free_port;
};

SimNetwork::SimNetwork(SimReactor& reactor, uint64_t seed, SimNetworkOptions options)
    : fabric_(std::make_shared<Fabric>(reactor, seed, options)) {}
SimNetwork::~SimNetwork() = default;

Network& SimNetwork::host(const std::string& name) {
    auto& host = fabric_->hosts[name];
    if (!host) host = std::make_unique<SimHost>(*fabric_, name);
    return *host;
}

SimNetworkOptions& SimNetwork::options() { return fabric_->options; }

void SimNetwork::cut(const std::string& from, const std::string& to) {
    Fabric::Link& link = fabric_->links[{from, to}];
    if (std::exchange(link.is_cut, true)) return;
    const uint64_t number = ++link.cuts;
    fabric_->reactor.call_at(fabric_->reactor.now() + fabric_->options.give_up_after,
                             [fabric = fabric_, from, to, number] {
                                 const Fabric::Link& now = fabric->links[{from, to}];
                                 if (!now.is_cut || now.cuts != number) return;
                                 for (const auto& one : fabric->between(from, to)) one->break_both("no answer");
                             });
}

void SimNetwork::heal(const std::string& from, const std::string& to) {
    if (!std::exchange(fabric_->links[{from, to}].is_cut, false)) return;
    for (const auto& one : fabric_->between(from, to)) one->resume();
}

void SimNetwork::partition(const std::string& a, const std::string& b) {
    cut(a, b);
    cut(b, a);
}

void SimNetwork::join(const std::string& a, const std::string& b) {
    heal(a, b);
    heal(b, a);
}

void SimNetwork::heal_all() {
    for (auto& [ends, link] : fabric_->links) {
        link.delay = Duration(0);
        heal(ends.first, ends.second);
    }
}

void SimNetwork::set_delay(const std::string& from, const std::string& to, Duration delay) {
    ENSURE(delay >= Duration(0));
    fabric_->links[{from, to}].delay = delay;
}

void SimNetwork::reset(const std::string& a, const std::string& b) {
    for (const auto& one : fabric_->between(a, b)) one->reset_midway();
}

void SimNetwork::crash(const std::string& host) {
    std::erase_if(fabric_->ports, [&host](const auto& port) { return port.first.first == host; });
    for (const auto& one : fabric_->living()) {
        for (const size_t end : {size_t{0}, size_t{1}})
            if (one->host_of(end) == host) one->kill(end, true);
    }
}

void SimNetwork::power_off(const std::string& host) {
    if (!fabric_->powered_off.insert(host).second) return;
    std::erase_if(fabric_->ports, [&host](const auto& port) { return port.first.first == host; });
    for (const auto& one : fabric_->living()) {
        for (const size_t end : {size_t{0}, size_t{1}}) {
            if (one->host_of(end) != host) continue;
            one->kill(end, false);
            // Keep-alive finds out, unless the machine is back before and says so itself.
            fabric_->reactor.call_at(fabric_->reactor.now() + fabric_->options.give_up_after,
                                     [one] { one->break_both("no answer"); });
        }
    }
}

void SimNetwork::power_on(const std::string& host) {
    if (fabric_->powered_off.erase(host) == 0) return;
    for (const auto& one : fabric_->living()) {
        for (const size_t end : {size_t{0}, size_t{1}}) {
            if (one->host_of(end) == host) one->send_reset(end);
        }
    }
}

size_t SimNetwork::connections() const { return fabric_->living().size(); }

}  // namespace polis::runtime
