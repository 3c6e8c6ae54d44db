// SimNetwork: the simulated twin of the network: hosts by name, TCP between them in virtual time, and its faults.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/time.h"
#include "runtime/sim_reactor.h"
#include "runtime/stream.h"

namespace polis::runtime {

/// How the wires behave while nothing is broken on purpose. Times are virtual.
struct SimNetworkOptions {
    /// One way, drawn for each segment between these; order within a connection is kept.
    Duration latency_min = std::chrono::microseconds(50);
    Duration latency_max = std::chrono::microseconds(500);
    /// So many segments of 1000 take up to `tail_latency_max` instead.
    uint32_t tail_permille = 5;
    Duration tail_latency_max = std::chrono::milliseconds(20);
    /// Of each direction of each connection.
    uint64_t bytes_per_second = 1'000'000'000;
    /// How much a writer may have under way or unread before it waits.
    size_t window_bytes = 256u << 10;
    size_t segment_bytes_max = 64u << 10;
    /// So many writes of 1000 are cut into segments of 1..16 octets, so that readers see every split of a frame.
    uint32_t fragment_permille = 100;
    /// So many segments of a million break their connection, wherever in a frame that may be.
    uint32_t reset_per_million = 0;
    /// A connection breaks, as keep-alive would have it, when it has been cut for so long.
    Duration give_up_after = std::chrono::seconds(60);
    Duration connect_timeout = std::chrono::seconds(127);  // Linux with its usual 6 retries.
};

/// The wires between named hosts on one simulated reactor. Octets are never lost or changed one by one: this is TCP, which
/// delivers in order until the connection breaks. A cut only delays, until it has lasted `give_up_after`.
///
/// Same seed, options and calls: same events. Connections under TLS are not quite like that, since OpenSSL draws its own
/// random numbers, which change the lengths of some handshake messages.
/// REQUIRES: `reactor` outlives it and everything it makes.
class SimNetwork {
public:
    SimNetwork(SimReactor& reactor, uint64_t seed, SimNetworkOptions options = {});
    ~SimNetwork();

    /// The network as `name` sees it, made at the first call. Listening on any address means: on this host. Connecting goes to
    /// the host of the given name; "localhost", "127.0.0.1" and "::1" are the host itself.
    Network& host(const std::string& name);

    SimNetworkOptions& options();

    // Faults. All are idempotent; none touches the traffic inside one host.

    /// Nothing passes from `from` to `to` any more, acknowledgements included. What was under way waits.
    void cut(const std::string& from, const std::string& to);
    void heal(const std::string& from, const std::string& to);
    /// Both directions.
    void partition(const std::string& a, const std::string& b);
    void join(const std::string& a, const std::string& b);
    /// Heals everything and clears every delay.
    void heal_all();

    /// Everything from `from` to `to` takes `delay` longer (a clogged link). Zero: as usual.
    void set_delay(const std::string& from, const std::string& to, Duration delay);

    /// Breaks the connections between `a` and `b` now, after a drawn part of what was under way has arrived.
    void reset(const std::string& a, const std::string& b);

    /// The process on `host` is gone: its ports close, its connections are reset. Its own streams and listeners
    /// fail from now on; destroying them does nothing more.
    void crash(const std::string& host);
    /// The machine is gone without a word: nothing it had answers, new connections hang.
    void power_off(const std::string& host);
    /// It is back; old connections are now reset.
    void power_on(const std::string& host);

    size_t connections() const;

    struct Fabric;

private:
    std::shared_ptr<Fabric> fabric_;
};

}  // namespace polis::runtime
