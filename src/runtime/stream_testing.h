// Small peers for tests of streams: echo, read to the end, a connected pair. For tests only.
#pragma once

#include <array>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "runtime/stream.h"
#include "runtime/task_group.h"

namespace polis::runtime::testing {

/// Sends back what comes until the peer has finished, then finishes too.
inline Task<void> echo(Stream& stream) {
    std::array<std::byte, 16384> buffer;
    for (;;) {
        CO_LET(const size_t count, co_await stream.read_some(buffer));
        if (count == 0) co_return co_await stream.finish();
        CO_TRY(co_await stream.write(as_view(std::span(buffer).first(count))));
    }
}

inline Task<void> echo_connection(Listener& listener, std::unique_ptr<Stream> stream) {
    CO_TRY(co_await listener.handshake(*stream));
    co_return co_await echo(*stream);
}

/// Accepts until cancelled; each connection is a task of `connections`. REQUIRES: `listener` outlives these.
inline Task<void> serve_echo(Listener& listener, TaskGroup& connections) {
    for (;;) {
        CO_LET(auto stream, co_await listener.accept());
        connections.spawn("echo", echo_connection(listener, std::move(stream)));
    }
}

inline Task<std::string> read_to_end(Stream& stream) {
    std::string all;
    std::array<std::byte, 16384> buffer;
    for (;;) {
        CO_LET(const size_t count, co_await stream.read_some(buffer));
        if (count == 0) co_return all;
        all += as_view(std::span(buffer).first(count));
    }
}

/// Errors: Io if the stream ends before.
inline Task<std::string> read_exactly(Stream& stream, size_t bytes) {
    std::string all(bytes, '\0');
    size_t got = 0;
    while (got < bytes) {
        CO_LET(const size_t count, co_await stream.read_some(std::as_writable_bytes(std::span(all)).subspan(got)));
        if (count == 0) co_return fail(Code::Io, "the stream ended early");
        got += count;
    }
    co_return all;
}

inline Task<std::string> ask(Stream& stream, std::string question) {
    CO_TRY(co_await stream.write(question));
    co_return co_await read_exactly(stream, question.size());
}

inline Task<void> write_all(Stream& stream, std::string octets) { co_return co_await stream.write(octets); }

/// Both ends of one connection.
struct Pair {
    std::unique_ptr<Stream> client;
    std::unique_ptr<Stream> server;
};

inline Task<Pair> connect_pair(Network& network, Listener& listener) {
    Pair pair;
    CO_LET(pair.client, co_await network.connect(listener.address(), nullptr));
    CO_LET(pair.server, co_await listener.accept());
    co_return pair;
}

/// Octets that tell their place in the whole.
inline std::string pattern(size_t bytes) {
    std::string octets(bytes, '\0');
    for (size_t i = 0; i < bytes; ++i) octets[i] = static_cast<char>((i * 2654435761u) >> 13);
    return octets;
}

}  // namespace polis::runtime::testing
