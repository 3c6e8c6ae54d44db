// The steps that etcd's lock and election services are made of (its concurrency recipes), over coord's own calls.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "codec/etcd/kv.pb.h"
#include "gateways/etcd/backend.h"
#include "gateways/etcd/errors.h"

namespace polis::gateways {

/// The place of one lease in the queue for `name`: key "<name>/<lease in hex>". The lowest create revision has the turn.
struct QueuePlace {
    std::string key;
    int64_t create_revision = 0;
    int64_t lease = 0;
};

/// "<name>/": what all keys of a queue begin with, and where they end.
std::string queue_prefix(std::string_view name);
std::string prefix_end(std::string_view prefix);
/// "<name>/<lease>", the lease as Go's %x prints it (a minus sign before the magnitude of a negative one).
std::string queue_key(std::string_view name, int64_t lease);

/// `lease` itself, or a new one of 60 s if it is 0. Nobody but the client keeps it alive (etcd orphans the session at once).
runtime::Task<Answer<int64_t>> session_lease(Backend& backend, services::Credentials who, int64_t lease);

/// Ends when no key with that prefix is left that was made before `create_revision`.
runtime::Task<Answer<void>> wait_for_turn(Backend& backend, services::Credentials who, std::string prefix,
                                          int64_t create_revision);

/// Deletes the place's key, if it still is the one that was made at its create revision. The response's header is the answer.
runtime::Task<Answer<pb::TxnResponse>> leave_queue(Backend& backend, services::Credentials who, QueuePlace place);

/// As leave_queue, beside the caller, which is being cancelled.
void leave_queue_later(Backend& backend, services::Credentials who, QueuePlace place);

/// A read of the key that is first (lowest create revision) with that prefix.
pb::RangeRequest first_in_queue(std::string_view name);

/// One watched range, read as events.
class EventReader {
public:
    /// `range_end` empty: the key alone. `start_revision` >= 1.
    EventReader(Backend& backend, const services::Credentials& who, std::string_view key, std::string_view range_end,
                int64_t start_revision);

    struct Batch {
        pb::ResponseHeader header;
        std::vector<mvccpb::Event> events;  // Never empty.
    };
    /// Errors: the texts with which etcd's client ends a watch (compacted, refused).
    runtime::Task<Answer<Batch>> next();

private:
    Backend& backend_;
    std::unique_ptr<services::WatchStream> stream_;
};

/// The status as it leaves etcd's lock and election services: these run over etcd's own client, whose errors carry the text but
/// not the code, so that gRPC sends Unknown.
rpc::Status through_client(rpc::Status status);

/// A comparison "create revision of `key` is `revision`" (0: there is no such key).
pb::Compare created_at(std::string_view key, int64_t revision);

}  // namespace polis::gateways
