// Which HTTP path stands for which gRPC method.
#pragma once

#include <span>
#include <string_view>

namespace polis::gateways {

struct JsonPath {
    std::string_view path;    // "/v3/kv/range"
    std::string_view method;  // "/etcdserverpb.KV/Range"
};

/// Source: the google.api.http annotations of etcd v3.6.14's rpc.proto, v3lock.proto and v3election.proto.
std::span<const JsonPath> json_paths();

}  // namespace polis::gateways
