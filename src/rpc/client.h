// Client: calls gRPC methods of one server over one HTTP/2 connection, made anew when it breaks.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "rpc/server.h"

namespace polis::rpc {

/// The client's side of one streaming call. Destroying it cancels the call.
class ClientStream {
public:
    virtual ~ClientStream() = default;
    /// Waits while flow control holds it back. Errors: Io if the call has ended (see status()).
    virtual runtime::Task<void> write(Bytes message) = 0;
    /// No more messages from us.
    virtual runtime::Task<void> finish() = 0;
    /// The next message, or nothing at the end of the call.
    virtual runtime::Task<std::optional<Bytes>> read() = 0;
    /// How the call ended. REQUIRES: read() has returned nothing.
    virtual const Status& status() const = 0;
    virtual const Metadata& initial_metadata() const = 0;
    virtual const Metadata& trailing_metadata() const = 0;
};

struct ClientOptions {
    runtime::Address address = {};
    std::shared_ptr<const runtime::TlsContext> tls = nullptr;  // Null: plain.
    uint32_t message_bytes_max = 1u << 30;
    uint32_t window_bytes = 4u << 20;
    Duration connect_timeout = std::chrono::seconds(5);
};

/// One server's client on one reactor. Many calls share the connection. Connects on the first call; after a broken connection the next
/// call connects again. REQUIRES: stop() before it is destroyed.
class Client {
public:
    static std::unique_ptr<Client> create(runtime::World world, ClientOptions options);
    virtual ~Client() = default;

    /// One request, one answer. The task's deadline (with_deadline) is sent as grpc-timeout if `timeout` is given.
    virtual runtime::Task<Outcome> call(std::string method, Bytes request, Metadata metadata = {},
                                        std::optional<Duration> timeout = {}) = 0;
    virtual runtime::Task<std::unique_ptr<ClientStream>> open(std::string method, Metadata metadata = {}) = 0;
    virtual runtime::Task<void> stop() = 0;
};

}  // namespace polis::rpc
