// What put, delete and transactions do to the state, once they are in the log.
#pragma once

#include <expected>

#include "codec/etcd/rpc.pb.h"
#include "services/coord/access.h"
#include "services/coord/mvcc.h"

namespace polis::services {

class LeaseTable;

/// What one command runs against.
struct Executing {
    Mvcc& mvcc;
    MvccWrite& write;
    const LeaseTable& leases;
    const Access& access;
};

/// Puts, in a form that needs no copy of key and value.
struct PutCommand {
    Bytes key;
    Bytes value;
    int64_t lease = 0;
    bool prev_kv = false;
    bool ignore_value = false;
    bool ignore_lease = false;
};

/// What a put did.
struct PutOutcome {
    int64_t revision = 0;
    Bytes key;
    std::optional<Version> previous;  // If it was asked for and existed.

    etcdserverpb::PutResponse response() const;
};

/// Responses lack their headers' ids; the revision is set. On a refusal nothing has been changed.
/// REQUIRES: the request passed its check (request_check.h).
std::expected<PutOutcome, Refusal> execute_put(Executing& executing, PutCommand command);
std::expected<etcdserverpb::DeleteRangeResponse, Refusal> execute_delete_range(
    Executing& executing, const etcdserverpb::DeleteRangeRequest& request);
std::expected<etcdserverpb::TxnResponse, Refusal> execute_txn(Executing& executing,
                                                              const etcdserverpb::TxnRequest& request);

/// Whether `access` covers every operation and compare of the transaction, in both branches and in all nested ones.
Allowed permit_txn(const Access& access, const StateReader& reader, const etcdserverpb::TxnRequest& request);

/// The same on a read-only transaction, against a state that is only read. `revision`: the newest that `reader` shows.
std::expected<etcdserverpb::TxnResponse, Refusal> read_txn(Mvcc& mvcc, const StateReader& reader, int64_t revision,
                                                           const etcdserverpb::TxnRequest& request);

}  // namespace polis::services
