// The twins themselves; the other tests of this folder use them.
#include "gateways/etcd/fakes.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "runtime/sim_world.h"

namespace polis::gateways::fakes {
namespace {

bool in_range(const std::string& key, const std::string& begin, const std::string& end) {
    if (end.empty()) return key == begin;
    return key >= begin && (end == std::string(1, '\0') || key < end);
}

class FakeWatch : public services::WatchStream {
public:
    explicit FakeWatch(FakeCoord& coord) : coord_(coord) { ++coord_.live_streams; }
    ~FakeWatch() override { --coord_.live_streams; }

    void request(const pb::WatchRequest& request) override {
        services::WatchMessage message;
        message.head.mutable_header()->set_revision(coord_.revision);
        if (request.has_create_request()) {
            create_ = request.create_request();
            from_ = create_.start_revision() ? create_.start_revision() : coord_.revision + 1;
            message.head.set_created(true);
        } else if (request.has_cancel_request()) {
            message.head.set_canceled(true);
            message.head.set_watch_id(request.cancel_request().watch_id());
        } else {
            message.head.set_watch_id(-1);
        }
        ready_.push_back(std::move(message));
        coord_.changed().notify_all();
    }

    Task<services::WatchMessage> next() override {
        for (;;) {
            if (!ready_.empty()) {
                services::WatchMessage message = std::move(ready_.front());
                ready_.pop_front();
                co_return message;
            }
            while (seen_ < coord_.history.size()) {
                const mvccpb::Event& event = coord_.history[seen_++];
                if (event.kv().mod_revision() < from_) continue;
                if (!in_range(event.kv().key(), create_.key(), create_.range_end())) continue;
                services::WatchMessage message;
                message.head.mutable_header()->set_revision(event.kv().mod_revision());
                pb::WatchResponse only;
                *only.add_events() = event;
                message.events.push_back(Bytes::take(only.SerializeAsString()));
                co_return message;
            }
            CO_TRY(co_await coord_.changed().wait());
        }
    }
    size_t watchers() const override { return 1; }

private:
    FakeCoord& coord_;
    pb::WatchCreateRequest create_;
    int64_t from_ = 0;
    size_t seen_ = 0;  // Events of the history looked at.
    std::deque<services::WatchMessage> ready_;
};

}  // namespace

pb::ResponseHeader FakeCoord::header() const {
    pb::ResponseHeader header;
    header.set_cluster_id(0xc1);
    header.set_member_id(0xa1);
    header.set_raft_term(7);
    header.set_revision(revision);
    return header;
}

void FakeCoord::put_now(const std::string& key, const std::string& value, int64_t lease) {
    ++revision;
    mvccpb::KeyValue& kv = keys[key];
    kv.set_key(key);
    kv.set_value(value);
    kv.set_lease(lease);
    kv.set_mod_revision(revision);
    kv.set_version(kv.version() + 1);
    if (kv.version() == 1) kv.set_create_revision(revision);
    mvccpb::Event event;
    *event.mutable_kv() = kv;
    history.push_back(event);
    changed_.notify_all();
}

void FakeCoord::delete_now(const std::string& key) {
    if (keys.erase(key) == 0) return;
    ++revision;
    mvccpb::Event event;
    event.set_type(mvccpb::Event::DELETE);
    event.mutable_kv()->set_key(key);
    event.mutable_kv()->set_mod_revision(revision);
    history.push_back(event);
    changed_.notify_all();
}

pb::RangeResponse FakeCoord::range_now(const pb::RangeRequest& request) const {
    std::vector<const mvccpb::KeyValue*> found;
    for (const auto& [key, kv] : keys) {
        if (!in_range(key, request.key(), request.range_end())) continue;
        if (request.max_create_revision() && kv.create_revision() > request.max_create_revision()) continue;
        found.push_back(&kv);
    }
    if (request.sort_target() == pb::RangeRequest::CREATE) {
        std::ranges::sort(found, {}, [](const auto* kv) { return kv->create_revision(); });
        if (request.sort_order() == pb::RangeRequest::DESCEND) std::ranges::reverse(found);
    }
    pb::RangeResponse response;
    *response.mutable_header() = header();
    response.set_count(static_cast<int64_t>(found.size()));
    for (const mvccpb::KeyValue* kv : found) {
        if (request.limit() && response.kvs_size() == request.limit()) break;
        *response.add_kvs() = *kv;
    }
    return response;
}

Task<Reply<pb::RangeResponse>> FakeCoord::range(const Credentials& who, pb::RangeRequest request) {
    auto task = answer<pb::RangeResponse>(who, "range");
    CO_LET(auto reply, co_await task);
    if (reply) *reply = range_now(request);
    co_return reply;
}

Task<Reply<void>> FakeCoord::range_stream(const Credentials&, pb::RangeRequest,
                                          std::function<Task<void>(pb::RangeStreamResponse)> sink) {
    if (refusal) co_return Reply<void>(std::unexpected(*refusal));
    for (const auto& part : range_parts) CO_TRY(co_await sink(part));
    co_return Reply<void>();
}

Task<Reply<pb::PutResponse>> FakeCoord::put(const Credentials& who, pb::PutRequest request) {
    if (!refusal && !failure) put_now(request.key(), request.value(), request.lease());
    return answer<pb::PutResponse>(who, "put");
}

Task<Reply<pb::DeleteRangeResponse>> FakeCoord::delete_range(const Credentials& who, pb::DeleteRangeRequest request) {
    delete_now(request.key());
    return answer<pb::DeleteRangeResponse>(who, "delete_range");
}

Task<Reply<pb::TxnResponse>> FakeCoord::txn(const Credentials& who, pb::TxnRequest request) {
    auto task = answer<pb::TxnResponse>(who, "txn");
    CO_LET(auto reply, co_await task);
    if (!reply) co_return reply;
    bool holds = true;
    for (const pb::Compare& compare : request.compare()) {
        const auto found = keys.find(compare.key());
        const int64_t created = found == keys.end() ? 0 : found->second.create_revision();
        holds = holds && created == compare.create_revision();
    }
    reply->set_succeeded(holds);
    for (const pb::RequestOp& op : holds ? request.success() : request.failure()) {
        pb::ResponseOp& done = *reply->add_responses();
        if (op.has_request_put()) {
            put_now(op.request_put().key(), op.request_put().value(), op.request_put().lease());
        } else if (op.has_request_delete_range()) {
            delete_now(op.request_delete_range().key());
        } else {
            *done.mutable_response_range() = range_now(op.request_range());
        }
    }
    *reply->mutable_header() = header();
    co_return reply;
}

std::unique_ptr<services::WatchStream> FakeCoord::watch(const Credentials& who) {
    calls.push_back("watch");
    last_caller = who;
    return std::make_unique<FakeWatch>(*this);
}

Task<Reply<pb::LeaseGrantResponse>> FakeCoord::lease_grant(const Credentials& who, pb::LeaseGrantRequest request) {
    auto task = answer<pb::LeaseGrantResponse>(who, "lease_grant");
    CO_LET(auto reply, co_await task);
    if (!reply) co_return reply;
    reply->set_id(request.id() ? request.id() : next_lease++);
    reply->set_ttl(request.ttl());
    co_return reply;
}

Task<Reply<pb::LeaseKeepAliveResponse>> FakeCoord::lease_keep_alive(const Credentials& who,
                                                                    pb::LeaseKeepAliveRequest request) {
    auto task = answer<pb::LeaseKeepAliveResponse>(who, "lease_keep_alive");
    CO_LET(auto reply, co_await task);
    if (!reply) co_return reply;
    reply->set_id(request.id());
    reply->set_ttl(request.id() == 404 ? 0 : 60);
    co_return reply;
}

Task<Reply<void>> FakeCoord::snapshot(const Credentials&, services::SnapshotSink sink) {
    if (refusal) co_return Reply<void>(std::unexpected(*refusal));
    for (const auto& [chunk, remaining] : snapshot_chunks) CO_TRY(co_await sink(chunk, remaining));
    co_return Reply<void>();
}

FakeCluster::FakeCluster() {
    all = {{.id = own,
            .name = "one",
            .peer_urls = {"http://127.0.0.1:2380"},
            .client_urls = {"http://127.0.0.1:2379"},
            .learner = false,
            .labels = {}},
           {.id = NodeId{0xb2},
            .name = "two",
            .peer_urls = {"http://127.0.0.1:2382"},
            .client_urls = {},
            .learner = true,
            .labels = {}}};
    group.leader = own;
    group.ballot.epoch = 7;
    group.last = LogIndex{12};
    group.committed = LogIndex{11};
    group.applied = LogIndex{10};
}

Task<cluster::Member> FakeCluster::add_member(std::vector<std::string> peer_urls, bool learner) {
    calls.push_back("add_member");
    if (failure) co_return std::unexpected(*failure);
    cluster::Member member;
    member.id = NodeId{0xd4};
    member.peer_urls = std::move(peer_urls);
    member.learner = learner;
    all.push_back(member);
    co_return member;
}

Task<void> FakeCluster::change(std::string name) {
    calls.push_back(std::move(name));
    if (failure) co_return std::unexpected(*failure);
    co_return runtime::done();
}

Task<std::optional<Bytes>> FakeCall::read() {
    while (arriving_.empty() && !finished_) CO_TRY(co_await changed_.wait());
    if (arriving_.empty()) co_return std::optional<Bytes>();
    Bytes message = std::move(arriving_.front());
    arriving_.pop_front();
    co_return std::optional<Bytes>(std::move(message));
}

Task<void> FakeCall::write(Bytes message) {
    if (write_failure) co_return std::unexpected(*write_failure);
    sent.push_back(std::move(message));
    co_return runtime::done();
}

FakeExchange::FakeExchange(std::string method, std::string target, std::string text) : pending_(std::move(text)) {
    asked.method = std::move(method);
    asked.target = std::move(target);
    asked.path = asked.target.substr(0, asked.target.find('?'));
    if (asked.path.size() < asked.target.size()) asked.query[asked.target.substr(asked.path.size() + 1)] = "";
}

Task<std::string> FakeExchange::read_body(size_t bytes_max) {
    if (pending_.size() > bytes_max) co_return fail(Code::Invalid, "the body is too large");
    co_return std::exchange(pending_, {});
}

Task<Bytes> FakeExchange::read_piece() { co_return Bytes::take(std::exchange(pending_, {})); }

Task<void> FakeExchange::respond(int code, rpc::Metadata fields, std::string text) {
    ENSURE(status == 0);
    status = code;
    headers = std::move(fields);
    body = std::move(text);
    ended = true;
    co_return runtime::done();
}

Task<void> FakeExchange::begin(int code, rpc::Metadata fields) {
    ENSURE(status == 0);
    status = code;
    headers = std::move(fields);
    co_return runtime::done();
}

Task<void> FakeExchange::write(std::string_view piece) {
    ENSURE(status != 0 && !ended);
    body += piece;
    co_return runtime::done();
}

Task<void> FakeExchange::end() {
    ENSURE(status != 0 && !ended);
    ended = true;
    co_return runtime::done();
}

namespace {

/// The gateway touches nothing of the world but its reactor and its chance.
runtime::World world_of(runtime::Reactor& reactor) {
    alignas(64) static char nothing[64];
    static runtime::SimRandom random(1);
    return {reactor, reinterpret_cast<runtime::Network&>(nothing), reinterpret_cast<runtime::Disk&>(nothing), random,
            reinterpret_cast<runtime::Pool&>(nothing)};
}

Task<void> keep_status(rpc::StreamHandler handler, FakeCall& call, std::optional<rpc::Status>& status) {
    CO_LET(status, co_await handler(call));
    co_return runtime::done();
}

}  // namespace

Desk::Desk(EtcdGatewayOptions options)
    : gateway(world_of(reactor), coord, cluster, std::move(options)), tasks(reactor) {
    gateway.register_routes(routes);
}

Desk::~Desk() {
    EXPECT_TRUE(runtime::run(reactor, tasks.stop()));
    EXPECT_TRUE(runtime::run(reactor, gateway.stop()));
}

rpc::Outcome Desk::call(const std::string& method, const Bytes& request, rpc::Metadata metadata) {
    const rpc::UnaryHandler* handler = routes.find_unary(method);
    ENSURE(handler != nullptr);
    FakeCall call(method);
    call.request_metadata = std::move(metadata);
    return runtime::run(reactor, (*handler)(call, request)).value();
}

void Desk::start(FakeCall& call, std::optional<rpc::Status>& status) {
    const rpc::StreamHandler* handler = routes.find_stream(call.method());
    ENSURE(handler != nullptr);
    tasks.spawn("stream", keep_status(*handler, call, status));
    settle();
}

void Desk::serve(FakeExchange& exchange) {
    const rpc::HttpHandler* handler = routes.find_http(exchange.asked.path);
    ENSURE(handler != nullptr);
    EXPECT_TRUE(runtime::run(reactor, (*handler)(exchange)));
}

TEST(FakeCoord, ShowsAWatcherWhatIsPutLater) {
    Desk desk;
    const auto stream = desk.coord.watch({});
    pb::WatchRequest request;
    request.mutable_create_request()->set_key("a");
    stream->request(request);
    EXPECT_TRUE(runtime::run(desk.reactor, stream->next())->head.created());
    desk.coord.put_now("a", "1");
    EXPECT_EQ(runtime::run(desk.reactor, stream->next())->events.size(), 1u);
}

}  // namespace polis::gateways::fakes
