// Http1Connection: the server's side of one HTTP/1.1 connection: requests to handlers, one after the other.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "codec/http1/parser.h"
#include "rpc/service.h"
#include "runtime/task_group.h"
#include "runtime/wait.h"

namespace polis::rpc {

/// Pipelined requests are answered in order. While a handler works on a request that has arrived in full, the connection is watched:
/// the handler is cancelled when the client goes away.
class Http1Connection {
public:
    /// Takes the stream out of `transport` only if a handler upgrades it; it must live as long as this.
    Http1Connection(Service& service, std::unique_ptr<runtime::Stream>& transport);

    /// Serves until the client has finished, a request is refused, or after a drain.
    runtime::Task<void> run(std::string received);

    /// The present request is the last; an idle connection ends at once.
    void drain();

    uint64_t bytes_received() const { return bytes_received_; }
    uint64_t bytes_sent() const { return bytes_sent_; }

private:
    class Exchange;
    class Watch;
    friend class Exchange;

    runtime::Task<bool> serve_one();
    runtime::Task<std::optional<codec::Http1Request>> read_head();
    runtime::Task<void> read_more();
    runtime::Task<void> write(std::span<const std::string_view> parts);
    runtime::Task<void> run_handler(const HttpHandler& handler, Exchange& exchange);
    runtime::Task<void> not_found(Exchange& exchange);
    runtime::Task<bool> refuse(int status, std::string_view why);

    Service& service_;
    std::unique_ptr<runtime::Stream>& transport_;
    codec::Http1HeadParser parser_;
    static constexpr size_t idle_read_bytes = 2u << 10;
    std::string buffer_;  // Received and not used yet.
    size_t read_bytes_ = idle_read_bytes;
    runtime::Scope* idle_ = nullptr;  // While waiting for a request to begin.
    bool draining_ = false;
    uint64_t bytes_received_ = 0;
    uint64_t bytes_sent_ = 0;
};

}  // namespace polis::rpc
