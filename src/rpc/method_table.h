// MethodTable: what a gRPC path leads to: the handler and the method's counters, found by one look-up.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "rpc/server.h"

namespace polis::rpc {

/// One gRPC method of one server. Either handler is null.
struct MethodEntry {
    std::string name;
    const UnaryHandler* unary = nullptr;
    const StreamHandler* stream = nullptr;

    uint64_t started = 0;
    std::array<uint64_t, status_code_count> handled{};
    uint64_t messages_received = 0;
    uint64_t messages_sent = 0;
    HandlingTimes handling;
};

/// Made from Routes when serving begins; entries stay where they are.
class MethodTable {
public:
    explicit MethodTable(const Routes& routes);

    MethodEntry* find(std::string_view path);
    /// Why `path` leads nowhere, in grpc-go's words. REQUIRES: find(path) is null.
    Status unknown(std::string_view path) const;
    void add_to(ServerStats& stats) const;

private:
    struct Hash {
        using is_transparent = void;
        size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>()(text); }
    };
    const Routes& routes_;
    std::unordered_map<std::string, std::unique_ptr<MethodEntry>, Hash, std::equal_to<>> entries_;
};

}  // namespace polis::rpc
