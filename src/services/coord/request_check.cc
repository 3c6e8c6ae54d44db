#include "services/coord/request_check.h"

#include <algorithm>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "services/coord/interval_set.h"

namespace polis::services {

namespace pb = ::etcdserverpb;

namespace {

Allowed check_shape(const pb::TxnRequest& txn, int64_t operations_max);

Allowed check_operation(const pb::RequestOp& operation, int64_t operations_max) {
    switch (operation.request_case()) {
        case pb::RequestOp::kRequestRange: return check_range(operation.request_range());
        case pb::RequestOp::kRequestPut: return check_put(operation.request_put());
        case pb::RequestOp::kRequestDeleteRange: return check_delete_range(operation.request_delete_range());
        case pb::RequestOp::kRequestTxn: break;
        case pb::RequestOp::REQUEST_NOT_SET: return refuse(Refusal::KeyNotFound);
    }
    return check_shape(operation.request_txn(), operations_max);
}

Allowed check_shape(const pb::TxnRequest& txn, int64_t operations_max) {
    const int64_t operations = std::max({txn.compare_size(), txn.success_size(), txn.failure_size()});
    if (operations > operations_max) return refuse(Refusal::TooManyOperations);
    for (const auto& compare : txn.compare())
        if (compare.key().empty()) return refuse(Refusal::EmptyKey);
    for (const auto* branch : {&txn.success(), &txn.failure()})
        for (const auto& each : *branch) TRY(check_operation(each, operations_max - operations));
    return {};
}

/// What one branch writes, with all that is nested in it.
struct Written {
    std::set<std::string> puts;
    IntervalSet deletes;
};

constexpr std::string_view from_key_on("\0", 1);  // As a range_end: every key from the first on.

using Operations = google::protobuf::RepeatedPtrField<pb::RequestOp>;
std::expected<Written, Refusal> check_branch(const Operations& operations);

/// Adds what a nested transaction writes. Its two branches may write the same key: only one of them runs. etcd lets a
/// delete in one nested transaction follow a put in an earlier one, but not the other way round; so do we.
Allowed add_nested(Written& written, const pb::TxnRequest& txn) {
    LET(const Written success, check_branch(txn.success()));
    LET(const Written failure, check_branch(txn.failure()));
    for (const std::string& key : success.puts)
        if (written.puts.contains(key) || written.deletes.contains(key)) return refuse(Refusal::DuplicateKey);
    for (const std::string& key : failure.puts)
        if (written.puts.contains(key) || written.deletes.contains(key)) return refuse(Refusal::DuplicateKey);
    written.puts.insert(success.puts.begin(), success.puts.end());
    written.puts.insert(failure.puts.begin(), failure.puts.end());
    written.deletes.add_all(success.deletes);
    written.deletes.add_all(failure.deletes);
    return {};
}

std::expected<Written, Refusal> check_branch(const Operations& operations) {
    Written written;
    for (const auto& each : operations) {
        if (!each.has_request_delete_range()) continue;
        const auto& request = each.request_delete_range();
        // etcd takes range_end "\0" literally here: [key, "\0") holds no key, so nothing is refused for its sake.
        if (request.range_end() == from_key_on) continue;
        written.deletes.add(Interval::of(request.key(), request.range_end()));
    }
    for (const auto& each : operations)
        if (each.has_request_txn()) TRY(add_nested(written, each.request_txn()));
    for (const auto& each : operations) {
        if (!each.has_request_put()) continue;
        const std::string& key = each.request_put().key();
        if (written.deletes.contains(key)) return refuse(Refusal::DuplicateKey);
        if (!written.puts.insert(key).second) return refuse(Refusal::DuplicateKey);
    }
    return written;
}

int64_t cost_of_branch(const Operations& operations) {
    int64_t cost = 0;
    for (const auto& each : operations) {
        if (each.has_request_put()) cost += services::quota_cost(each.request_put());
        if (each.has_request_txn()) cost += services::quota_cost(each.request_txn());
    }
    return cost;
}

bool only_reads(const Operations& operations) {
    return std::ranges::all_of(operations, [](const pb::RequestOp& each) {
        return each.has_request_range() || (each.has_request_txn() && is_read_only(each.request_txn()));
    });
}

}  // namespace

Allowed check_range(const pb::RangeRequest& request) {
    if (request.key().empty()) return refuse(Refusal::EmptyKey);
    if (!pb::RangeRequest::SortOrder_IsValid(request.sort_order()) ||
        !pb::RangeRequest::SortTarget_IsValid(request.sort_target()))
        return refuse(Refusal::InvalidSortOption);
    return {};
}

Allowed check_put(const pb::PutRequest& request) {
    if (request.key().empty()) return refuse(Refusal::EmptyKey);
    if (request.ignore_value() && !request.value().empty()) return refuse(Refusal::ValueProvided);
    if (request.ignore_lease() && request.lease() != 0) return refuse(Refusal::LeaseProvided);
    return {};
}

Allowed check_delete_range(const pb::DeleteRangeRequest& request) {
    if (request.key().empty()) return refuse(Refusal::EmptyKey);
    return {};
}

Allowed check_txn(const pb::TxnRequest& request, int64_t operations_max) {
    TRY(check_shape(request, operations_max));
    TRY(check_branch(request.success()));
    TRY(check_branch(request.failure()));
    return {};
}

int64_t quota_cost(const pb::PutRequest& request) {
    return 256 + static_cast<int64_t>(request.key().size() + request.value().size());
}

int64_t quota_cost(const pb::TxnRequest& request) {
    return std::max(cost_of_branch(request.success()), cost_of_branch(request.failure()));
}

bool is_read_only(const pb::TxnRequest& request) {
    return only_reads(request.success()) && only_reads(request.failure());
}

}  // namespace polis::services
