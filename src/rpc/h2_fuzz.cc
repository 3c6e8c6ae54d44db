// Fuzzes the server's connection: any octets from a client, on the simulated reactor, in pieces of any size.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "rpc/rpc_testing.h"
#include "runtime/sim_network.h"
#include "runtime/sim_reactor.h"

namespace polis::rpc {
namespace {

using namespace std::chrono_literals;

runtime::Task<void> send(runtime::Network& network, std::string octets, size_t piece) {
    runtime::Address address{"server", 2379};
    CO_LET(const std::unique_ptr<runtime::Stream> stream, co_await network.connect(std::move(address), nullptr));
    for (size_t at = 0; at < octets.size(); at += piece) {
        CO_TRY(co_await stream->write(std::string_view(octets).substr(at, piece)));
    }
    CO_TRY(co_await runtime::sleep_for(1s));
    stream->close();
    co_return runtime::done();
}

void serve_one(std::string octets, size_t piece) {
    runtime::SimReactor reactor(1);
    runtime::SimNetwork network(reactor, 1);
    testing::NoDisk disk;
    testing::NoPool pool;
    runtime::SystemRandom random;
    testing::InteropService service;
    Routes routes;
    service.add_to(routes);
    const auto server = Server::create(runtime::World{reactor, network.host("server"), disk, random, pool}, routes, {});
    auto listener = network.host("server").listen({"server", 2379}, nullptr);
    ENSURE(listener.has_value());
    runtime::TaskGroup tasks(reactor);
    tasks.spawn("serve", server->serve(*std::move(listener)));
    (void)runtime::run(reactor, send(network.host("client"), std::move(octets), piece));
    reactor.run_for(5s);
    (void)runtime::run(reactor, server->stop());
    (void)runtime::run(reactor, tasks.stop());
    ENSURE(server->stats().connections_open == 0 && service.running == 0);
}

}  // namespace
}  // namespace polis::rpc

// The first octet says how the rest is sent: bit 7: behind a proper preface; bits 0..6: in pieces of that size.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < 2) return 0;
    std::string octets;
    if ((data[0] & 0x80) != 0) octets = std::string("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", 33);
    octets.append(reinterpret_cast<const char*>(data) + 1, size - 1);
    polis::rpc::serve_one(std::move(octets), 1 + size_t{data[0] & 0x7fu} * 16);
    return 0;
}
