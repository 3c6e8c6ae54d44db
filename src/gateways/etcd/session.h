// Admission: what a call's metadata says about its caller, and whether this node may take the call at all.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/id.h"
#include "cluster/api.h"
#include "gateways/etcd/errors.h"
#include "gateways/etcd/trace.h"
#include "rpc/server.h"
#include "runtime/reactor.h"
#include "services/coord/api.h"

namespace polis::gateways {

/// Who calls and on which terms.
struct Caller {
    services::Credentials credentials;
    bool requires_leader = false;  // Metadata hasleader=true.
};

/// The metadata that etcd gives a meaning to; views into the call's metadata. Absent ones are empty.
struct CallHeaders {
    std::string_view token;               // "token", else "authorization" (which grpc-gateway forwards).
    std::string_view client_api_version;  // Set by the Go client since 3.4.
    std::string_view traceparent;         // W3C Trace Context.
    bool requires_leader = false;
};
CallHeaders headers_of(const rpc::Metadata& metadata);

enum class CallKind : uint8_t { Unary, Stream };

/// Counts of one value of a label.
struct VersionCount {
    CallKind kind;
    std::string client_api_version;
    uint64_t calls = 0;
};

/// Decides what etcd's interceptors decide, before a request is looked at. One reactor.
class Admission {
public:
    struct Options {
        bool certificate_identity =
            false;                  // The CN of a verified client certificate names a user (--client-cert-auth).
        bool notes_phases = false;  // Callers get a record of how far their requests come.
        uint64_t trace_seed = 0;    // Of the trace ids of calls that bring none.
    };

    /// REQUIRES: `cluster` and `reactor` outlive it.
    Admission(const cluster::Cluster& cluster, const runtime::Reactor& reactor, Options options)
        : cluster_(cluster), reactor_(reactor), options_(options), traces_(options.trace_seed) {}

    /// `learner_may`: the call is one of those that a learner serves.
    Answer<Caller> admit(const rpc::Call& call, CallKind kind, bool learner_may);

    void set_notes_phases(bool notes) { options_.notes_phases = notes; }

    bool has_leader() const;
    bool is_leader() const;
    /// Whether this node is a learner. May be up to a second late in noticing that it has become one, never that it is none any more.
    bool is_learner();

    /// Calls by kind and client version. Versions come from clients: beyond 64 different ones they are counted as "other".
    const std::vector<VersionCount>& counts() const { return counts_; }

private:
    void count(CallKind kind, std::string_view version);

    const cluster::Cluster& cluster_;
    const runtime::Reactor& reactor_;
    Options options_;
    TraceSource traces_;
    std::vector<VersionCount> counts_;
    Instant learner_known_until_{};  // Until then learner_ is taken as it is: reading the members copies them all.
    bool learner_ = false;
};

}  // namespace polis::gateways
