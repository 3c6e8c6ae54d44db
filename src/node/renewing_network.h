// RenewingNetwork: a network on which certificates are renewed under those who use it.
#pragma once

#include <map>
#include <memory>
#include <set>

#include "runtime/stream.h"

namespace polis::node {

/// Wherever a TLS context is used that has been renewed, by connect or by a listener, its successor is used instead. So whoever was given
/// a context when the node was built (peers, servers) need not know that files are read again. Connections that are there keep what they
/// began with. One reactor. REQUIRES: `under` outlives it, and it outlives its listeners.
class RenewingNetwork : public runtime::Network {
public:
    using Tls = std::shared_ptr<const runtime::TlsContext>;

    explicit RenewingNetwork(runtime::Network& under) : under_(under) {}
    ~RenewingNetwork() override;

    runtime::Task<std::unique_ptr<runtime::Stream>> connect(runtime::Address address, Tls tls) override;
    Result<std::unique_ptr<runtime::Listener>> listen(runtime::Address address, Tls tls) override;

    /// From now on `fresh` stands for `original`, the context that users were given, however often it was renewed before.
    /// REQUIRES: neither is null: what began without TLS stays so.
    void renew(const Tls& original, Tls fresh);

private:
    class Port;

    Tls current(const Tls& original) const;

    runtime::Network& under_;
    std::map<Tls, Tls> successors_;  // Keeps the originals alive, so that no address comes to mean another context.
    std::set<Port*> ports_;          // All that are open.
};

}  // namespace polis::node
