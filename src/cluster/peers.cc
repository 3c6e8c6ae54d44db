#include "cluster/peers.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/log.h"
#include "runtime/idle_timer.h"

namespace polis::cluster {
namespace {

constexpr size_t read_bytes = 256u << 10;
constexpr uint32_t stranger_frame_bytes_max = 64u << 10;
constexpr uint32_t joining_answer_bytes_max = 4u << 20;

PhiOptions phi_options_of(const PeerOptions& options) {
    return {.expected = options.alive_interval, .deviation_min = options.alive_interval};
}

Hello hello_of(const PeerIdentity& self, NodeId to, LinkClass link) {
    Hello hello;
    hello.cluster = self.cluster;
    hello.from = self.node;
    hello.to = to;
    hello.incarnation = self.incarnation;
    hello.link = link;
    return hello;
}

std::string why_not(const Hello& hello, const PeerIdentity& self) {
    if (hello.version_max < wire_version_min || hello.version_min > wire_version_max) {
        return "no common protocol version: this node speaks " + std::to_string(wire_version_min) + " to " +
               std::to_string(wire_version_max) + "; upgrade one release at a time";
    }
    if (hello.to != NodeId::Nobody && hello.to != self.node) {
        return "another node than you expect listens here: check the peer addresses";
    }
    if (hello.cluster != ClusterId::None && (hello.from == self.node || hello.from == NodeId::Nobody)) {
        return "you say that you are this node itself, or nobody: check the peer addresses";
    }
    return {};
}

Response response_of(uint64_t id, Result<Bytes> reply) {
    if (reply && reply->size() > frame_bytes_max / 2)
        reply = fail(Code::Invalid, "the answer is too large for a frame");
    if (reply) return {.id = id, .ok = true, .code = 0, .body = *std::move(reply)};
    return {.id = id,
            .ok = false,
            .code = static_cast<uint8_t>(reply.error().code),
            .body = Bytes::take(std::move(reply.error().what))};
}

}  // namespace

Peers::Peers(runtime::World world, PeerIdentity self, PeerOptions options, PeerHandler& handler)
    : world_(world),
      self_(self),
      options_(std::move(options)),
      handler_(handler),
      tasks_(world.reactor),
      liveness_({.dead_after = options_.dead_after, .phi = phi_options_of(options_)}) {}

Peers::~Peers() = default;

Peers::Traffic Peers::traffic(NodeId node) const {
    const auto found = traffic_.find(node);
    return found == traffic_.end() ? Traffic() : found->second;
}

// ---- Outgoing ----

std::shared_ptr<Link> Peers::make_link(NodeId node, LinkClass link) {
    Link::Settings settings{
        .hello = hello_of(self_, node, link),
        .tls = options_.client_tls,
        .connect_timeout = options_.connect_timeout,
        .reconnect_min = options_.reconnect_min,
        .reconnect_max = options_.reconnect_max,
        .alive_interval = link == LinkClass::Consensus ? options_.alive_interval : options_.bulk_alive_interval,
        .queue_bytes_max = options_.queue_bytes_max};
    Link::Events events;
    events.sent = [this, node](uint64_t octets) { traffic_[node].bytes_sent += octets; };
    events.refused = [this, node](const std::string& why) { handler_.on_refused(node, why); };
    events.broken = [this, node, link] {
        ++traffic_[node].breaks;
        if (link == LinkClass::Consensus) {
            handler_.on_unreachable(node);
            return;
        }
        // Answers to what was asked come on another connection, but the question may be lost with this one.
        std::vector<runtime::Completion<Bytes>*> waiting;
        for (const auto& [id, request] : requests_) {
            if (request.first == node) waiting.push_back(request.second);
        }
        for (auto* request : waiting) request->complete(fail(Code::Unavailable, "the connection to the peer broke"));
    };
    return std::make_shared<Link>(world_, std::move(settings), std::move(events), tasks_.scope());
}

void Peers::set_peer(NodeId node, std::vector<runtime::Address> addresses) {
    if (node == self_.node) return;
    auto [place, is_new] = peers_.try_emplace(node);
    Peer& peer = place->second;
    if (is_new) {
        peer.consensus = make_link(node, LinkClass::Consensus);
        peer.bulk = make_link(node, LinkClass::Bulk);
    }
    peer.consensus->set_addresses(addresses);
    peer.bulk->set_addresses(std::move(addresses));
    if (is_new) {
        liveness_.watch(node, world_.reactor.now());
        tasks_.spawn("peer_link", Link::run(peer.consensus));
        tasks_.spawn("peer_link", Link::run(peer.bulk));
        if (!std::exchange(watching_, true)) tasks_.spawn("peer_silence", watch_silence());
    }
}

void Peers::remove_peer(NodeId node) {
    const auto place = peers_.find(node);
    if (place == peers_.end()) return;
    place->second.consensus->close();
    place->second.bulk->close();
    peers_.erase(place);
    liveness_.forget(node);
    for (const Session& session : sessions_) {
        if (!session.is_stranger() && session.hello.from == node) session.stream->close();
    }
}

std::vector<NodeId> Peers::known() const {
    std::vector<NodeId> nodes;
    for (const auto& [node, peer] : peers_) nodes.push_back(node);
    return nodes;
}

void Peers::send(NodeId to, GroupId group, const consensus::Message& message) {
    const auto place = peers_.find(to);
    if (place == peers_.end()) return;
    if (!place->second.consensus->queue([&](OctetWriter& out) { append_frame(out, group, message); })) {
        handler_.on_unreachable(to);
    }
}

void Peers::send(NodeId to, const Forward& forward) {
    const auto place = peers_.find(to);
    if (place == peers_.end()) return;
    place->second.bulk->queue([&](OctetWriter& out) { append_frame(out, forward); });
}

void Peers::send(NodeId to, const ForwardRefused& refused) {
    const auto place = peers_.find(to);
    if (place == peers_.end()) return;
    place->second.bulk->queue([&](OctetWriter& out) { append_frame(out, refused); });
}

runtime::Task<Bytes> Peers::request(NodeId to, GroupId group, uint8_t kind, Bytes body) {
    const auto place = peers_.find(to);
    if (place == peers_.end()) co_return fail(Code::Unavailable, "no such peer");
    if (body.size() > frame_bytes_max / 2) co_return fail(Code::Invalid, "the request is too large for a frame");
    const std::shared_ptr<Link> link = place->second.bulk;
    if (!link->connected()) co_return fail(Code::Unavailable, "no connection to the peer");

    const uint64_t id = next_request_++;
    runtime::Completion<Bytes> answered;
    requests_.emplace(id, std::pair(to, &answered));
    const Request request{.id = id, .group = group, .kind = kind, .body = std::move(body)};
    if (!link->queue([&](OctetWriter& out) { append_frame(out, request); })) {
        answered.complete(fail(Code::Overloaded, "the queue to the peer is full"));
    }
    Result<Bytes> answer = co_await answered.wait();
    requests_.erase(id);
    co_return answer;
}

void Peers::complete(NodeId from, Response response) {
    const auto place = requests_.find(response.id);
    if (place == requests_.end() || place->second.first != from)
        return;  // Its asker has given up, or asked somebody else.
    if (response.ok) {
        place->second.second->complete(std::move(response.body));
    } else {
        place->second.second->complete(fail(code_of(response.code), response.body.str()));
    }
}

runtime::Task<Bytes> Peers::request_at(runtime::Address address, GroupId group, uint8_t kind, Bytes body) {
    CO_LET(const std::unique_ptr<runtime::Stream> stream,
           co_await world_.network.connect(std::move(address), options_.client_tls));
    OctetWriter out;
    append_frame(out, hello_of(self_, NodeId::Nobody, LinkClass::Bulk));
    append_frame(out, Request{.id = 0, .group = group, .kind = kind, .body = std::move(body)});
    const std::string octets = out.take();
    CO_TRY(co_await stream->write(octets));
    CO_LET(const Frame greeting, co_await read_greeting(*stream));
    const auto* hello = std::get_if<Hello>(&greeting);
    if (hello == nullptr) co_return fail(Code::Invalid, "the peer did not answer the greeting with one");
    if (!hello->refusal.empty()) co_return fail(Code::Denied, hello->refusal);

    std::string buffer;
    for (;;) {
        CO_LET(const size_t size, frame_size(buffer, joining_answer_bytes_max));
        if (size > 0) {
            CO_LET(Frame frame, decode_frame(Bytes::copy(std::string_view(buffer).substr(0, size))));
            auto* response = std::get_if<Response>(&frame);
            if (response == nullptr) co_return fail(Code::Invalid, "the peer answered a request with something else");
            if (response->ok) co_return std::move(response->body);
            co_return fail(code_of(response->code), response->body.str());
        }
        const size_t begin = buffer.size();
        buffer.resize(begin + 4096);
        CO_LET(const size_t count,
               co_await stream->read_some(std::as_writable_bytes(std::span(buffer)).subspan(begin)));
        if (count == 0) co_return fail(Code::Io, "the peer ended the connection");
        buffer.resize(begin + count);
    }
}

// ---- Incoming ----

runtime::Task<void> Peers::serve(std::unique_ptr<runtime::Listener> listener) {
    runtime::TaskGroup connections(world_.reactor);
    Result<void> ended;
    for (;;) {
        Result<std::unique_ptr<runtime::Stream>> stream = co_await listener->accept();
        if (!stream) {
            ended = std::unexpected(stream.error());
            break;
        }
        if (connections.running() >= options_.connections_max) continue;  // Closed, unread.
        connections.spawn("peer_connection", read_connection(*std::move(stream), listener.get()));
    }
    CO_TRY(co_await connections.stop());
    co_return ended;
}

runtime::Task<void> Peers::stop() {
    for (auto& [node, peer] : peers_) {
        peer.consensus->close();
        peer.bulk->close();
    }
    CO_TRY(co_await tasks_.stop());
    peers_.clear();
    co_return runtime::done();
}

runtime::Task<void> Peers::read_connection(std::unique_ptr<runtime::Stream> stream, runtime::Listener* listener) {
    const Instant greeted_until = world_.reactor.now() + options_.connect_timeout;
    CO_TRY(co_await runtime::with_deadline(greeted_until, listener->handshake(*stream)));
    CO_LET(Hello hello, co_await runtime::with_deadline(greeted_until, greet(*stream)));
    const auto session = begin_session(std::move(hello), *stream);
    const Result<void> ended = co_await read_frames(*session);
    end_session(session);
    co_return ended;
}

Peers::Sessions::iterator Peers::begin_session(Hello hello, runtime::Stream& stream) {
    const auto session = sessions_.insert(sessions_.end(), Session{std::move(hello), &stream});
    // Dialled anew while its old connection seems to stand: its process is a new one, or has lost what was on its way.
    const bool again = !session->is_stranger() && hears_on_another(*session);
    if (again && liveness_.lost(session->hello.from)) handler_.on_liveness(session->hello.from, false);
    return session;
}

void Peers::end_session(Sessions::iterator session) {
    const Session ended = *session;
    sessions_.erase(session);
    if (ended.is_stranger() || ended.hello.link != LinkClass::Consensus || hears_on_another(ended)) return;
    if (liveness_.lost(ended.hello.from)) handler_.on_liveness(ended.hello.from, false);
}

// Whether the node of this session speaks to us about consensus on a further connection.
bool Peers::hears_on_another(const Session& session) const {
    return session.hello.link == LinkClass::Consensus && std::ranges::any_of(sessions_, [&](const Session& other) {
               return &other != &session && other.stream != session.stream && !other.is_stranger() &&
                      other.hello.from == session.hello.from && other.hello.link == LinkClass::Consensus;
           });
}

void Peers::check_admissions() {
    for (const Session& session : sessions_) {
        if (!session.is_stranger() && !handler_.admit(session.hello)) session.stream->close();
    }
}

runtime::Task<Hello> Peers::greet(runtime::Stream& stream) {
    CO_LET(const Frame frame, co_await read_greeting(stream));
    const auto* hello = std::get_if<Hello>(&frame);
    if (hello == nullptr) co_return fail(Code::Invalid, "the first frame is no greeting");

    Hello answer = hello_of(self_, hello->from, hello->link);
    answer.refusal = why_not(*hello, self_);
    if (answer.refusal.empty()) {
        const Result<void> admitted = handler_.admit(*hello);
        if (!admitted) answer.refusal = admitted.error().what;
    }
    OctetWriter out;
    append_frame(out, answer);
    const std::string octets = out.take();
    CO_TRY(co_await stream.write(octets));
    if (!answer.refusal.empty()) {
        log::warn("peer_refused", {"from", hello->from}, {"why", answer.refusal});
        co_return fail(Code::Denied, answer.refusal);
    }
    co_return *hello;
}

runtime::Task<void> Peers::read_frames(const Session& session) {
    const uint32_t bytes_max = session.is_stranger() ? stranger_frame_bytes_max : frame_bytes_max;
    const NodeId from = session.is_stranger() ? NodeId::Nobody : session.hello.from;
    const runtime::Context here = co_await runtime::this_context();
    runtime::Scope listening(*here.scope);
    runtime::IdleTimer silence(world_.reactor, listening, options_.silence_max);
    std::string buffer;
    size_t filled = 0;
    for (;;) {
        if (buffer.size() - filled < read_bytes / 2) buffer.resize(filled + read_bytes);
        const auto space = std::as_writable_bytes(std::span(buffer)).subspan(filled);
        silence.begin();
        Result<size_t> read = co_await runtime::in_scope(listening, session.stream->read_some(space));
        silence.end();
        CO_LET(const size_t count, std::move(read));
        if (count == 0) co_return runtime::done();
        filled += count;
        if (peers_.contains(from)) traffic_[from].bytes_received += count;
        const bool tells = session.hello.link == LinkClass::Consensus && from != NodeId::Nobody;
        if (tells && liveness_.heard(from, world_.reactor.now())) handler_.on_liveness(from, true);

        // Whole frames leave the buffer as one shared block, whose slices become the entries' payloads.
        size_t whole = 0;
        for (;;) {
            const Result<size_t> size = frame_size(std::string_view(buffer).substr(whole, filled - whole), bytes_max);
            if (!size) log::warn("peer_frame_invalid", {"from", from}, {"why", size.error().what});
            CO_TRY(size);
            if (*size == 0) break;
            whole += *size;
        }
        if (whole == 0) continue;
        Bytes frames = Bytes::copy(std::string_view(buffer).substr(0, whole));
        std::memmove(buffer.data(), buffer.data() + whole, filled - whole);
        filled -= whole;
        if (filled < read_bytes && buffer.size() > 16 * read_bytes) {  // After a large frame: its room is given back.
            buffer.resize(read_bytes);
            buffer.shrink_to_fit();
        }
        CO_TRY(co_await take_frames(session, std::move(frames)));
    }
}

// `frames`: whole ones.
runtime::Task<void> Peers::take_frames(const Session& session, Bytes frames) {
    for (size_t at = 0; at < frames.size();) {
        const size_t size = *frame_size(frames.view().substr(at));
        Result<Frame> frame = decode_frame(frames.slice(at, size));
        at += size;
        if (!frame) {
            log::warn("peer_frame_invalid", {"from", session.hello.from}, {"why", frame.error().what});
            co_return std::unexpected(frame.error());
        }
        auto* request = std::get_if<Request>(&*frame);
        if (request != nullptr && request->id == 0) {
            CO_TRY(co_await answer_stranger(session, std::move(*request)));
        } else if (!session.is_stranger()) {
            dispatch(session.hello.from, *std::move(frame));
        } else if (!std::holds_alternative<Alive>(*frame)) {
            co_return fail(Code::Denied, "a stranger may ask to join, and nothing else");
        }
    }
    co_return runtime::done();
}

// Who is joining reads its answer on the connection on which it asked.
runtime::Task<void> Peers::answer_stranger(const Session& session, Request request) {
    const NodeId from = session.is_stranger() ? NodeId::Nobody : session.hello.from;
    Result<Bytes> reply = co_await handler_.on_request(from, request.group, request.kind, std::move(request.body));
    OctetWriter out;
    append_frame(out, response_of(0, std::move(reply)));
    const std::string octets = out.take();
    co_return co_await session.stream->write(octets);
}

void Peers::dispatch(NodeId from, Frame frame) {
    ++(std::holds_alternative<GroupMessage>(frame) ? heard_.group_messages
       : std::holds_alternative<Alive>(frame)      ? heard_.signs_of_life
                                                   : heard_.others);
    if (auto* message = std::get_if<GroupMessage>(&frame)) {
        handler_.on_message(from, std::move(*message));
    } else if (auto* forward = std::get_if<Forward>(&frame)) {
        handler_.on_forward(from, std::move(*forward));
    } else if (auto* refused = std::get_if<ForwardRefused>(&frame)) {
        handler_.on_forward_refused(from, std::move(*refused));
    } else if (auto* request = std::get_if<Request>(&frame)) {
        tasks_.spawn("peer_request", answer(from, std::move(*request)));
    } else if (auto* response = std::get_if<Response>(&frame)) {
        complete(from, std::move(*response));
    }
}

runtime::Task<void> Peers::answer(NodeId from, Request request) {
    Result<Bytes> reply = fail(Code::Overloaded, "too many requests of peers are being answered: try again");
    if (answering_ < options_.requests_max) {
        ++answering_;
        reply = co_await handler_.on_request(from, request.group, request.kind, std::move(request.body));
        --answering_;
    }
    const Response response = response_of(request.id, std::move(reply));
    const auto place = peers_.find(from);
    if (place == peers_.end()) co_return fail(Code::Unavailable, "the asker is no peer any more");
    place->second.bulk->queue([&](OctetWriter& out) { append_frame(out, response); });
    co_return runtime::done();
}

runtime::Task<void> Peers::watch_silence() {
    for (;;) {
        // Whoever is heard of meanwhile has its deadline moved: looked at again then.
        const Instant soon = world_.reactor.now() + options_.dead_after;
        CO_TRY(co_await runtime::sleep_until(std::min(liveness_.next_deadline(), soon)));
        for (const NodeId node : liveness_.newly_silent(world_.reactor.now())) handler_.on_liveness(node, false);
    }
}

PeerHealth Peers::health(NodeId node) const {
    PeerHealth health;
    health.connected = connected(node);
    health.alive = is_alive(node);
    const PhiDetector* detector = liveness_.detector(node);
    if (detector == nullptr) return health;
    const Instant now = world_.reactor.now();
    health.phi = detector->phi(now);
    // Who was never heard of is no better than who has fallen silent.
    health.suspected = detector->last_heard() ? detector->suspects(now) : !health.alive;
    if (detector->last_heard()) health.heard_ago = now - *detector->last_heard();
    return health;
}

bool Peers::connected(NodeId node) const {
    const auto place = peers_.find(node);
    return place != peers_.end() && place->second.consensus->connected();
}

}  // namespace polis::cluster
