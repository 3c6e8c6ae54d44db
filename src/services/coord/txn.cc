#include "services/coord/txn.h"

#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "base/ensure.h"
#include "services/coord/lease_table.h"
#include "services/coord/range_scan.h"
#include "services/coord/version_walk.h"

namespace polis::services {

namespace pb = ::etcdserverpb;

namespace {

using Operations = google::protobuf::RepeatedPtrField<pb::RequestOp>;

constexpr size_t all_records = std::numeric_limits<size_t>::max();

// ---- Permission ----

/// A put that joins a lease makes its key go with the lease's others: whoever may not write those may not attach to it.
Allowed permit_lease(const Access& access, const StateReader& reader, int64_t lease) {
    if (lease == 0 || access.unlimited()) return {};
    const storage::KeyRange range = attachments_of(lease);
    const auto cursor = reader.cursor(range);
    for (cursor->seek(range.first); cursor->valid(); cursor->next())
        TRY(access.write(Interval::one(parse_attachment_key(cursor->key()))));
    must(cursor->status());
    return {};
}

Allowed permit_put(const Access& access, const StateReader& reader, std::string_view key, int64_t lease, bool prev_kv) {
    if (access.unlimited()) return {};
    TRY(access.write(Interval::one(key)));
    TRY(permit_lease(access, reader, lease));
    if (prev_kv) TRY(access.read(Interval::one(key)));
    return {};
}

Allowed permit_delete(const Access& access, const pb::DeleteRangeRequest& request) {
    const Interval interval = Interval::of(request.key(), request.range_end());
    TRY(access.write(interval));
    if (request.prev_kv()) TRY(access.read(interval));
    return {};
}

Allowed permit_operation(const Access& access, const StateReader& reader, const pb::RequestOp& operation) {
    switch (operation.request_case()) {
        case pb::RequestOp::kRequestRange: {
            const auto& range = operation.request_range();
            return access.read(Interval::of(range.key(), range.range_end()));
        }
        case pb::RequestOp::kRequestPut: {
            const auto& put = operation.request_put();
            return permit_put(access, reader, put.key(), put.lease(), put.prev_kv());
        }
        case pb::RequestOp::kRequestDeleteRange: return permit_delete(access, operation.request_delete_range());
        case pb::RequestOp::kRequestTxn: return permit_txn(access, reader, operation.request_txn());
        case pb::RequestOp::REQUEST_NOT_SET: break;
    }
    return refuse(Refusal::KeyNotFound);
}

// ---- Compares ----

template <class T>
bool holds(pb::Compare::CompareResult result, const T& found, const T& wanted) {
    switch (result) {
        case pb::Compare::EQUAL: return found == wanted;
        case pb::Compare::NOT_EQUAL: return found != wanted;
        case pb::Compare::GREATER: return found > wanted;
        case pb::Compare::LESS: return found < wanted;
        default: return true;  // As etcd answers a result it does not know.
    }
}

bool holds(const pb::Compare& compare, const Version& version) {
    switch (compare.target()) {
        case pb::Compare::VERSION: return holds(compare.result(), version.version, compare.version());
        case pb::Compare::CREATE: return holds(compare.result(), version.create_revision, compare.create_revision());
        case pb::Compare::MOD: return holds(compare.result(), version.revision.main, compare.mod_revision());
        case pb::Compare::VALUE:
            return holds(compare.result(), version.value.view(), std::string_view(compare.value()));
        case pb::Compare::LEASE: return holds(compare.result(), version.lease, compare.lease());
        default: return holds(compare.result(), 0, 0);
    }
}

/// A missing key compares as zeros; its value as nothing that could be asked for.
bool holds_on_missing(const pb::Compare& compare) {
    return compare.target() != pb::Compare::VALUE && holds(compare, Version());
}

/// One transaction while it is decided and done. Reads go to `reader`, at `revision` while nothing has been written.
class TxnRun {
public:
    TxnRun(Mvcc& mvcc, const StateReader& reader, int64_t revision, Executing* executing)
        : mvcc_(mvcc), reader_(reader), revision_(revision), executing_(executing) {}

    /// All compares, those of nested transactions too, are decided on the state before the first write (etcd:
    /// compareToPath). Then what would make an operation fail is found before anything is written: in all puts of the
    /// branches taken first, then in all ranges, so that of several mistakes etcd's is told. REQUIRES: called once, first.
    Allowed decide(const pb::TxnRequest& request) {
        choose(request);
        TRY(check_each(request, &TxnRun::check_write));
        return check_each(request, &TxnRun::check_range);
    }

    /// REQUIRES: decide() allowed it.
    pb::TxnResponse run(const pb::TxnRequest& request) {
        pb::TxnResponse response;
        run_into(request, response);
        ENSURE(next_ == path_.size());
        response.mutable_header()->set_revision(revision());
        return response;
    }

private:
    int64_t revision() const { return executing_ ? executing_->write.revision() : revision_; }

    std::optional<Version> find(std::string_view key) { return must(mvcc_.find(reader_, key, revision())); }

    bool all_hold(const pb::TxnRequest& request) {
        for (const auto& compare : request.compare())
            if (!compare_holds(compare)) return false;
        return true;
    }

    bool compare_holds(const pb::Compare& compare) {
        if (compare.range_end().empty()) {
            const auto version = find(compare.key());
            return version ? holds(compare, *version) : holds_on_missing(compare);
        }
        VersionWalk walk(reader_, Interval::of(compare.key(), compare.range_end()), revision());
        bool any = false;
        while (!walk.at_end()) {
            if (!walk.settled()) {
                walk.settle(all_records);
                continue;
            }
            any = true;
            if (!holds(compare, must(walk.version()))) return false;
            walk.next();
        }
        must(walk.status());
        return any || holds_on_missing(compare);
    }

    void choose(const pb::TxnRequest& request) {
        path_.push_back(all_hold(request));
        for (const auto& operation : path_.back() ? request.success() : request.failure())
            if (operation.has_request_txn()) choose(operation.request_txn());
    }

    using Check = Allowed (TxnRun::*)(const pb::RequestOp&);

    /// Checks the operations of the branches taken, in the order in which they will run.
    Allowed check_each(const pb::TxnRequest& request, Check check) {
        size_t next = 0;
        TRY(check_taken(request, check, next));
        ENSURE(next == path_.size());
        return {};
    }
    Allowed check_taken(const pb::TxnRequest& request, Check check, size_t& next) {
        for (const auto& operation : path_.at(next++) ? request.success() : request.failure())
            TRY(operation.has_request_txn() ? check_taken(operation.request_txn(), check, next)
                                            : (this->*check)(operation));
        return {};
    }

    Allowed check_write(const pb::RequestOp& operation) {
        if (operation.has_request_delete_range()) {
            const auto& request = operation.request_delete_range();
            removed_.add(Interval::of(request.key(), request.range_end()));
        }
        if (!operation.has_request_put()) return {};
        const pb::PutRequest& put = operation.request_put();
        // No key is put twice, so one that was removed on the way here is still missing when the put runs. etcd looks at
        // the state before only, and its server ends on such a transaction.
        const bool needs_previous = put.ignore_value() || put.ignore_lease();
        if (needs_previous && (removed_.contains(put.key()) || !find(put.key()))) return refuse(Refusal::KeyNotFound);
        if (put.lease() != 0 && executing_ && !executing_->leases.find(put.lease()))
            return refuse(Refusal::LeaseNotFound);
        return {};
    }

    Allowed check_range(const pb::RequestOp& operation) {
        if (!operation.has_request_range()) return {};
        const int64_t wanted = operation.request_range().revision();
        // Unlike a range of its own, one in a transaction does not take a negative revision for the newest.
        if (wanted < 0 && wanted < mvcc_.compacted_revision()) return refuse(Refusal::Compacted);
        return mvcc_.check_readable(wanted, revision());
    }

    void run_into(const pb::TxnRequest& request, pb::TxnResponse& response) {
        const bool succeeded = path_.at(next_++);
        response.mutable_header();
        response.set_succeeded(succeeded);
        for (const auto& operation : succeeded ? request.success() : request.failure())
            run_operation(operation, *response.add_responses());
    }

    void run_operation(const pb::RequestOp& operation, pb::ResponseOp& response) {
        switch (operation.request_case()) {
            case pb::RequestOp::kRequestRange:
                *response.mutable_response_range() = range(operation.request_range());
                return;
            case pb::RequestOp::kRequestPut: *response.mutable_response_put() = put(operation.request_put()); return;
            case pb::RequestOp::kRequestDeleteRange: {
                auto done = execute_delete_range(*executing_, operation.request_delete_range());
                ENSURE(done.has_value());
                *response.mutable_response_delete_range() = *std::move(done);
                return;
            }
            case pb::RequestOp::kRequestTxn:
                run_into(operation.request_txn(), *response.mutable_response_txn());
                return;
            case pb::RequestOp::REQUEST_NOT_SET: break;
        }
        ENSURE(operation.request_case() != pb::RequestOp::REQUEST_NOT_SET);
    }

    pb::RangeResponse range(const pb::RangeRequest& request) {
        const int64_t at = request.revision() > 0 ? request.revision() : revision();
        pb::RangeResponse response;
        if (request.range_end().empty()) {
            const auto version = must(mvcc_.find(reader_, request.key(), at));
            response = RangeScan::of_one(request, version ? &*version : nullptr);
        } else if (auto remembered = range_from_memory(mvcc_, request, at)) {
            response = *std::move(remembered);
        } else {
            RangeScan scan(reader_, request, at);
            while (!must(scan.step(all_records))) continue;
            response = scan.take();
        }
        response.mutable_header()->set_revision(revision());
        return response;
    }

    pb::PutResponse put(const pb::PutRequest& request) {
        auto done = execute_put(*executing_, {.key = Bytes::copy(request.key()),
                                              .value = Bytes::copy(request.value()),
                                              .lease = request.lease(),
                                              .prev_kv = request.prev_kv(),
                                              .ignore_value = request.ignore_value(),
                                              .ignore_lease = request.ignore_lease()});
        ENSURE(done.has_value());  // decide() saw to it.
        return done->response();
    }

    Mvcc& mvcc_;
    const StateReader& reader_;
    const int64_t revision_;
    Executing* const executing_;  // Null: only reads.
    std::vector<bool> path_;      // Which branch each transaction takes, in the order they are met.
    size_t next_ = 0;             // The next of path_ to run.
    IntervalSet removed_;         // By the deletes that check_write() has passed.
};

}  // namespace

Allowed permit_txn(const Access& access, const StateReader& reader, const pb::TxnRequest& request) {
    if (access.unlimited()) return {};
    for (const auto& compare : request.compare()) TRY(access.read(Interval::of(compare.key(), compare.range_end())));
    for (const Operations* branch : {&request.success(), &request.failure()})
        for (const auto& operation : *branch) TRY(permit_operation(access, reader, operation));
    return {};
}

pb::PutResponse PutOutcome::response() const {
    pb::PutResponse response;
    response.mutable_header()->set_revision(revision);
    if (previous) fill(*response.mutable_prev_kv(), key, *previous);
    return response;
}

std::expected<PutOutcome, Refusal> execute_put(Executing& executing, PutCommand command) {
    TRY(permit_put(executing.access, executing.write.reader(), command.key, command.lease, command.prev_kv));
    if (command.lease != 0 && !executing.leases.find(command.lease)) return refuse(Refusal::LeaseNotFound);
    std::optional<Version> previous = executing.write.find(command.key);
    if ((command.ignore_value || command.ignore_lease) && !previous) return refuse(Refusal::KeyNotFound);

    PutOutcome outcome;
    outcome.key = command.key;
    if (command.prev_kv) outcome.previous = previous;
    if (command.ignore_value) command.value = previous->value;
    if (command.ignore_lease) command.lease = previous->lease;
    executing.write.put({std::move(command.key), std::move(command.value), command.lease}, std::move(previous));
    outcome.revision = executing.write.revision();
    return outcome;
}

std::expected<pb::DeleteRangeResponse, Refusal> execute_delete_range(Executing& executing,
                                                                     const pb::DeleteRangeRequest& request) {
    TRY(permit_delete(executing.access, request));
    pb::DeleteRangeResponse response;
    const auto deleted = executing.write.remove(Interval::of(request.key(), request.range_end()));
    response.set_deleted(static_cast<int64_t>(deleted.size()));
    if (request.prev_kv())
        for (const auto& each : deleted) fill(*response.add_prev_kvs(), each.key, each.version);
    response.mutable_header()->set_revision(executing.write.revision());
    return response;
}

std::expected<pb::TxnResponse, Refusal> execute_txn(Executing& executing, const pb::TxnRequest& request) {
    TRY(permit_txn(executing.access, executing.write.reader(), request));
    TxnRun run(executing.mvcc, executing.write.reader(), executing.write.revision(), &executing);
    TRY(run.decide(request));
    return run.run(request);
}

std::expected<pb::TxnResponse, Refusal> read_txn(Mvcc& mvcc, const StateReader& reader, int64_t revision,
                                                 const pb::TxnRequest& request) {
    TxnRun run(mvcc, reader, revision, nullptr);
    TRY(run.decide(request));
    return run.run(request);
}

}  // namespace polis::services
