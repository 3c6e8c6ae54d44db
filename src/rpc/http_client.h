// A plain HTTP/1.1 client: one request over one connection; for health checks, tools and tests.
#pragma once

#include <memory>
#include <string>

#include "rpc/server.h"

namespace polis::rpc {

struct HttpCall {
    runtime::Address address = {};
    std::shared_ptr<const runtime::TlsContext> tls = nullptr;  // Null: plain.
    std::string method = "GET";
    std::string target = "/";
    Metadata headers = {};  // Host, content-length and connection are added.
    std::string body = {};
    size_t answer_bytes_max = 4u << 20;
};

struct HttpAnswer {
    int status = 0;
    Metadata headers;  // Names in lower case.
    std::string body;
};

/// Sends the request, gives the answer with its whole body, whatever its status. Bounded in time by the caller (with_deadline).
/// Errors: Unavailable if the server cannot be reached; Invalid if request or answer is malformed or the answer is over its limit;
/// Io if the connection ends early.
runtime::Task<HttpAnswer> http_request(runtime::Network& network, HttpCall call);

/// A GET of `target`.
runtime::Task<HttpAnswer> http_get(runtime::Network& network, runtime::Address address, std::string target);

}  // namespace polis::rpc
