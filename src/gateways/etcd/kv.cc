// The KV service.
#include "gateways/etcd/serve.h"

namespace polis::gateways {
namespace {

using runtime::Task;
using services::Credentials;

bool has_revision_filter(const pb::RangeRequest& request) {
    return request.min_mod_revision() || request.max_mod_revision() || request.min_create_revision() ||
           request.max_create_revision();
}

bool has_default_order(const pb::RangeRequest& request) {
    return request.sort_order() == pb::RangeRequest::NONE ||
           (request.sort_order() == pb::RangeRequest::ASCEND && request.sort_target() == pb::RangeRequest::KEY);
}

Task<rpc::Status> range_stream(Backend& backend, rpc::Call& call, Credentials who) {
    CO_LET(const std::optional<Bytes> octets, co_await call.read());
    pb::RangeRequest request;
    if (!octets || !decode(*octets, request)) co_return status_of(Complaint::UndecodableRequest);
    // coord refuses both with one word; etcd has a text for each.
    const bool refused_for_filters = has_default_order(request) && has_revision_filter(request);
    std::function<Task<void>(pb::RangeStreamResponse)> sink = [&call](pb::RangeStreamResponse part) {
        return call.write(encode(part));
    };
    auto task = backend.coord.range_stream(who, std::move(request), std::move(sink));
    auto result = co_await task;
    if (result && !*result && result->error() == services::Refusal::RangeStreamUnsupported && refused_for_filters) {
        co_return status_of(Complaint::RangeStreamFilters);
    }
    const Answer<void> answer = answer_of(std::move(result));
    co_return answer ? rpc::Status() : answer.error();
}

}  // namespace

void register_kv(Backend& backend, rpc::Routes& routes) {
    unary<pb::RangeRequest>(routes, backend, "/etcdserverpb.KV/Range", Effect::Read,
                            [](Backend& b, const Credentials& who, pb::RangeRequest request) {
                                return b.coord.range(who, std::move(request));
                            });
    unary<pb::PutRequest>(routes, backend, "/etcdserverpb.KV/Put", Effect::Write,
                          [](Backend& b, const Credentials& who, pb::PutRequest request) {
                              return b.coord.put(who, std::move(request));
                          });
    unary<pb::DeleteRangeRequest>(routes, backend, "/etcdserverpb.KV/DeleteRange", Effect::Write,
                                  [](Backend& b, const Credentials& who, pb::DeleteRangeRequest request) {
                                      return b.coord.delete_range(who, std::move(request));
                                  });
    unary<pb::TxnRequest>(routes, backend, "/etcdserverpb.KV/Txn", Effect::Write,
                          [](Backend& b, const Credentials& who, pb::TxnRequest request) {
                              return b.coord.txn(who, std::move(request));
                          });
    unary<pb::CompactionRequest>(routes, backend, "/etcdserverpb.KV/Compact", Effect::Write,
                                 [](Backend& b, const Credentials& who, pb::CompactionRequest request) {
                                     return b.coord.compact(who, std::move(request));
                                 });
    stream(routes, backend, "/etcdserverpb.KV/RangeStream", false, range_stream);
}

}  // namespace polis::gateways
