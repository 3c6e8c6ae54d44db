// Stream, Listener, Network: ordered flows of bytes between two parties, over TCP, TLS or (simulated) memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/task.h"

namespace polis::runtime {

/// Where a party listens. `host` is an IPv4 or IPv6 address without brackets, or a name.
struct Address {
    std::string host;
    uint16_t port = 0;

    friend auto operator<=>(const Address&, const Address&) = default;
};

/// Reads "127.0.0.1:2379", "[::1]:2379" or "name:2379". Errors: Invalid, naming what is wrong.
Result<Address> parse_address(std::string_view text);
/// The reverse of parse_address.
std::string to_string(const Address& address);

/// What the TLS handshake told about the other side. Empty strings on a connection without TLS.
struct Peer {
    Address address;
    bool tls = false;
    std::string alpn;                            // "h2", "http/1.1", or empty.
    std::string server_name;                     // SNI that the client sent.
    std::string certificate_common_name;         // Of a *verified* peer certificate, else empty.
    std::vector<std::string> certificate_names;  // Its subject alternative names (DNS and IP).
};

/// One end of a connection. At most one read and one write (or finish) are under way at a time; lives on one reactor.
///
/// Destroying it closes the connection in order: what was written is still delivered, in the background. (If input lies
/// unread then, TCP resets instead, RFC 1122 section 4.2.2.13, and the peer may miss the end of what was written: read
/// to the end first where that matters.) TLS sends its close_notify only in `finish`. REQUIRES: no read or write under way
/// when destroyed.
class Stream {
public:
    virtual ~Stream() = default;

    /// Reads up to `target.size()` bytes and returns how many came; 0 means that the peer has finished sending.
    /// Errors: Io if the connection is gone; the scope's error if cancelled (what had arrived stays readable).
    virtual Task<size_t> read_some(std::span<std::byte> target) = 0;

    /// Writes all parts, gathered into as few system calls as possible. The parts must live until it returns.
    /// Errors: Io; the scope's error if cancelled, after which an unknown part has been sent: the stream can only be closed.
    virtual Task<void> write(std::span<const std::string_view> parts) = 0;
    Task<void> write(std::string_view part) {
        const std::string_view parts[] = {part};
        co_return co_await write(parts);
    }

    /// Tells the peer that no more will be sent (TLS: close_notify first); reading goes on.
    virtual Task<void> finish() = 0;

    /// Ends both directions now: reads and writes under way and later ones return Io. May be called at any time, more than
    /// once.
    virtual void close() = 0;

    virtual const Peer& peer() const = 0;

    /// Writes what can be written at once and returns how many octets that were, possibly none: for those who can keep the rest
    /// for a `write` of theirs, and so spare themselves a task for most of what they send. REQUIRES: no write under way.
    /// Errors: Io.
    virtual Result<size_t> try_write([[maybe_unused]] std::span<const std::string_view> parts) { return size_t{0}; }
};

/// Key material and rules of one side of TLS. Files are PEM. Reload: make a new one and hand it to `Listener::set_tls`;
/// connections keep what they began with.
struct TlsOptions {
    // Chain, leaf first. A client may leave both empty.
    std::string certificate_file = {};
    std::string key_file = {};
    // Whom to trust. A server that has one asks for client certificates; a client without one trusts the system's.
    std::string trusted_ca_file = {};
    // Server: refuse clients without a certificate.
    bool require_peer_certificate = false;
    // Client: false for the users' --insecure-skip-tls-verify only.
    bool verify_server = true;
    // Client: the name to verify and to send as SNI; empty: the address's host.
    std::string server_name = {};
    // In order of preference. A client that offers none of a server's is refused; one that offers nothing is served.
    std::vector<std::string> alpn = {};
    // Between nodes; else 1.2 is taken too.
    bool tls13_only = false;
    // Further certificates of a server, chosen by SNI; "*.example.com" stands for one label more.
    struct Named {
        std::string server_name, certificate_file, key_file;
    };
    std::vector<Named> by_server_name = {};
};

/// Loaded, checked TLS settings; immutable, shareable between reactors.
class TlsContext {
public:
    virtual ~TlsContext() = default;
    /// Errors: Invalid, naming the file and what is wrong with it (unreadable, not PEM, key does not match ...).
    static Result<std::shared_ptr<const TlsContext>> server(const TlsOptions& options);
    static Result<std::shared_ptr<const TlsContext>> client(const TlsOptions& options);
};

/// An open port. Destroying it closes the port; connections live on. REQUIRES: no accept under way when destroyed.
class Listener {
public:
    virtual ~Listener() = default;

    /// The next connection, its TLS handshake *not* done yet: call `handshake` in the connection's own task, under a
    /// deadline, so that a slow client delays no other. Transient failures (out of descriptors, peer gone) are waited
    /// out inside. One at a time. Errors: the scope's, if cancelled.
    virtual Task<std::unique_ptr<Stream>> accept() = 0;

    /// Does the server side of TLS on an accepted stream, with the settings that held when it was accepted; returns at once
    /// if there was no TLS then. Reading or writing before it is an error. Errors: Io, saying why the handshake failed.
    virtual Task<void> handshake(Stream& stream) = 0;

    /// New connections use `tls` from now on (certificate reload). Null: plain TCP.
    virtual void set_tls(std::shared_ptr<const TlsContext> tls) = 0;

    /// With the port that was really bound, if 0 was asked for.
    virtual Address address() const = 0;
};

/// Makes connections and ports on one reactor.
class Network {
public:
    virtual ~Network() = default;

    /// Tries the addresses that the host's name has, one after the other. Has no time limit of its own: give it a deadline.
    /// Errors: Unavailable if there is no such name, or if refused or unreachable; Io if the TLS handshake failed; the
    /// scope's error if cancelled.
    virtual Task<std::unique_ptr<Stream>> connect(Address address, std::shared_ptr<const TlsContext> tls) = 0;

    /// Opens a port. An IPv6 address takes IPv6 connections only: listen on both to serve both. A name that is not a numeric
    /// address is looked up, blocking; for start-up. Errors: Exists if the port is taken, Denied if it may not be bound, Invalid
    /// for a bad address.
    virtual Result<std::unique_ptr<Listener>> listen(Address address, std::shared_ptr<const TlsContext> tls) = 0;
};

}  // namespace polis::runtime
