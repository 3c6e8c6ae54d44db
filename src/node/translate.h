// From the configuration of a node to the options of its parts; and the lock on its data directory.
#pragma once

#include <string>

#include "cluster/host.h"
#include "gateways/etcd/gateway.h"
#include "node/config.h"
#include "rpc/server.h"
#include "services/coord/options.h"

namespace polis::node {

cluster::HostOptions host_options_of(const Config& config);
services::CoordOptions coord_options_of(const Config& config);
gateways::EtcdGatewayOptions gateway_options_of(const Config& config);
rpc::ServerOptions server_options_of(const Config& config);

/// "1h30m", "10s", "500ms" ... Errors: Invalid.
Result<Duration> parse_duration(std::string_view text);

/// Makes the data directory (mode 0700) and keeps every other process out of it while it lives.
class DirectoryLock {
public:
    /// Errors: Exists if another process has it, Io, Denied.
    static Result<DirectoryLock> take(const std::string& directory);
    DirectoryLock(DirectoryLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
    DirectoryLock& operator=(DirectoryLock&&) = delete;
    ~DirectoryLock();

private:
    explicit DirectoryLock(int descriptor) : descriptor_(descriptor) {}
    int descriptor_;
};

}  // namespace polis::node
