#include "runtime/sim_wire.h"

#include <algorithm>
#include <cstring>

#include "base/ensure.h"
#include "base/hash.h"

namespace polis::runtime {

bool SimNetwork::Fabric::is_cut(const std::string& from, const std::string& to) const {
    if (from == to) return false;
    if (powered_off.contains(from) || powered_off.contains(to)) return true;
    const auto link = links.find({from, to});
    return link != links.end() && link->second.is_cut;
}

Duration SimNetwork::Fabric::latency(const std::string& from, const std::string& to) {
    const auto between = [this](Duration low, Duration high) {
        return Duration(
            chance.between(static_cast<uint64_t>(low.count()), static_cast<uint64_t>(std::max(low, high).count())));
    };
    if (from == to) return between(std::chrono::microseconds(5), std::chrono::microseconds(30));
    const auto link = links.find({from, to});
    const Duration delay = link == links.end() ? Duration(0) : link->second.delay;
    if (chance.happens(options.tail_permille)) return delay + between(options.latency_max, options.tail_latency_max);
    return delay + between(options.latency_min, options.latency_max);
}

std::vector<std::shared_ptr<SimConnection>> SimNetwork::Fabric::living() {
    std::vector<std::shared_ptr<SimConnection>> found;
    std::erase_if(connections, [&found](const std::weak_ptr<SimConnection>& weak) {
        const auto one = weak.lock();
        if (!one || one->is_dead()) return true;
        found.push_back(one);
        return false;
    });
    return found;
}

std::vector<std::shared_ptr<SimConnection>> SimNetwork::Fabric::between(const std::string& a, const std::string& b) {
    auto found = living();
    std::erase_if(found, [&](const auto& one) { return !one->joins(a, b); });
    return found;
}

SimConnection::SimConnection(std::shared_ptr<SimNetwork::Fabric> fabric, std::string client, std::string server)
    : fabric_(std::move(fabric)) {
    pipes_[0].from = pipes_[1].to = std::move(client);
    pipes_[1].from = pipes_[0].to = std::move(server);
}

bool SimConnection::joins(const std::string& a, const std::string& b) const {
    return (pipes_[0].from == a && pipes_[0].to == b) || (pipes_[0].from == b && pipes_[0].to == a);
}

Result<void> SimConnection::check_usable(size_t end) const {
    if (ends_[end].broken) return fail(Code::Io, *ends_[end].broken);
    if (ends_[end].closed) return fail(Code::Io, "the connection was closed here");
    return {};
}

Task<size_t> SimConnection::read(size_t end, std::span<std::byte> target) {
    ENSURE(!target.empty());
    const auto self = shared_from_this();  // A crash may let go of the stream's hold on us.
    Pipe& pipe = pipes_[1 - end];
    for (;;) {
        if (ends_[end].closed) CO_TRY(check_usable(end));
        if (pipe.read_begin < pipe.received.size()) co_return take(end, target);
        CO_TRY(check_usable(end));
        if (pipe.finish_arrived) co_return 0;
        CO_TRY(co_await ends_[end].changed.wait());
    }
}

size_t SimConnection::take(size_t end, std::span<std::byte> target) {
    Pipe& pipe = pipes_[1 - end];
    const size_t count = std::min(target.size(), pipe.received.size() - pipe.read_begin);
    std::memcpy(target.data(), pipe.received.data() + pipe.read_begin, count);
    pipe.read_begin += count;
    if (pipe.read_begin == pipe.received.size()) {
        pipe.received.clear();
        pipe.read_begin = 0;
    }
    pipe.read_unreported += count;
    if (pipe.read_unreported >= fabric_->options.window_bytes / 4 && !ends_[end].broken) {
        const size_t reported = std::exchange(pipe.read_unreported, 0);
        send(end, {.kind = Segment::Kind::Acknowledgement, .arrival = {}, .octets = {}, .acknowledged = reported});
    }
    return count;
}

Task<void> SimConnection::write(size_t end, std::span<const std::string_view> parts) {
    const auto self = shared_from_this();
    CO_TRY(check_usable(end));
    if (ends_[end].finished) co_return fail(Code::Io, "already finished sending");
    const bool fragment = fabric_->chance.happens(fabric_->options.fragment_permille);
    Pipe& pipe = pipes_[end];
    for (std::string_view part : parts) {
        while (!part.empty()) {
            CO_TRY(check_usable(end));
            const size_t window = fabric_->options.window_bytes;
            if (pipe.unacknowledged >= window) {
                CO_TRY(co_await ends_[end].changed.wait());
                continue;
            }
            const size_t count = draw_segment_bytes(fragment, std::min(part.size(), window - pipe.unacknowledged));
            pipe.unacknowledged += count;
            send(end, {.kind = Segment::Kind::Octets, .arrival = {}, .octets = std::string(part.substr(0, count))});
            part.remove_prefix(count);
        }
    }
    co_return done();
}

size_t SimConnection::draw_segment_bytes(bool fragment, size_t bytes_max) {
    const size_t limit = std::min(bytes_max, fabric_->options.segment_bytes_max);
    return fragment ? std::min<size_t>(limit, fabric_->chance.between(1, 16)) : limit;
}

Result<void> SimConnection::finish(size_t end) {
    TRY(check_usable(end));
    if (!std::exchange(ends_[end].finished, true)) {
        send(end, {.kind = Segment::Kind::Finish, .arrival = {}, .octets = {}});
    }
    return {};
}

void SimConnection::close(size_t end) {
    if (ends_[end].closed) return;
    const auto ignored = finish(end);
    static_cast<void>(ignored);
    ends_[end].closed = true;
    ends_[end].changed.notify_all();
}

void SimConnection::leave(size_t end) {
    if (std::exchange(ends_[end].gone, true)) return;
    if (ends_[end].broken) return;
    const Pipe& incoming = pipes_[1 - end];
    if (incoming.read_begin < incoming.received.size()) return send_reset(end);
    if (!std::exchange(ends_[end].finished, true)) {
        send(end, {.kind = Segment::Kind::Finish, .arrival = {}, .octets = {}});
    }
}

void SimConnection::send_reset(size_t end) {
    std::erase_if(pipes_[end].under_way, [](const Segment& one) { return one.kind != Segment::Kind::Reset; });
    send(end, {.kind = Segment::Kind::Reset, .arrival = {}, .octets = {}});
}

void SimConnection::send(size_t end, Segment segment) {
    Pipe& pipe = pipes_[end];
    SimReactor& reactor = fabric_->reactor;
    const uint64_t nanoseconds = segment.octets.size() * 1'000'000'000 / fabric_->options.bytes_per_second;
    pipe.line_free_at = std::max(pipe.line_free_at, reactor.now()) + Duration(nanoseconds);
    segment.arrival = std::max(pipe.last_arrival, pipe.line_free_at + fabric_->latency(pipe.from, pipe.to));
    pipe.last_arrival = segment.arrival;
    pipe.under_way.push_back(std::move(segment));
    reactor.call_at(pipe.last_arrival, [self = shared_from_this(), end] { self->arrive(end); });
}

// Events of one instant come in any order, so each only says that something may be due.
void SimConnection::arrive(size_t end) {
    Pipe& pipe = pipes_[end];
    if (fabric_->is_cut(pipe.from, pipe.to)) return;
    while (!pipe.under_way.empty() && pipe.under_way.front().arrival <= fabric_->reactor.now()) {
        Segment segment = std::move(pipe.under_way.front());
        pipe.under_way.pop_front();
        deliver(end, std::move(segment));
    }
}

// What `end` sent has reached the other one.
void SimConnection::deliver(size_t end, Segment segment) {
    const size_t other = 1 - end;
    End& receiver = ends_[other];
    if (segment.kind == Segment::Kind::Reset) return break_end(other, "connection reset by peer");
    if (receiver.broken) return;
    switch (segment.kind) {
        case Segment::Kind::Octets:
            // Nobody will read it (RFC 9293 section 3.10.7.1: a closed connection answers with a reset).
            if (receiver.gone || receiver.closed) return send_reset(other);
            fabric_->reactor.witness(fast_hash(segment.octets));
            pipes_[end].received += segment.octets;
            if (fabric_->chance.below(1'000'000) < fabric_->options.reset_per_million) break_both("connection reset");
            break;
        case Segment::Kind::Acknowledgement:
            ENSURE(pipes_[other].unacknowledged >= segment.acknowledged);
            pipes_[other].unacknowledged -= segment.acknowledged;
            break;
        case Segment::Kind::Finish: pipes_[end].finish_arrived = true; break;
        case Segment::Kind::Reset: break;
    }
    receiver.changed.notify_all();
}

void SimConnection::break_end(size_t end, const std::string& why) {
    if (ends_[end].broken) return;
    ends_[end].broken = "the connection of " + pipes_[end].from + " with " + pipes_[end].to + " broke: " + why;
    pipes_[end].under_way.clear();
    ends_[end].changed.notify_all();
}

void SimConnection::break_both(const std::string& why) {
    break_end(0, why);
    break_end(1, why);
}

void SimConnection::reset_midway() {
    for (const size_t end : {size_t{0}, size_t{1}}) {
        auto& under_way = pipes_[end].under_way;
        size_t arriving = under_way.empty() ? 0 : fabric_->chance.below(under_way.size() + 1);
        for (; arriving > 0 && !under_way.empty(); --arriving) {
            Segment segment = std::move(under_way.front());
            under_way.pop_front();
            // The last one only in part: the break comes in the middle of what was written together.
            if (arriving == 1) segment.octets.resize(fabric_->chance.below(segment.octets.size() + 1));
            deliver(end, std::move(segment));
        }
    }
    break_both("connection reset");
}

void SimConnection::resume() {
    for (const size_t end : {size_t{0}, size_t{1}}) {
        Pipe& pipe = pipes_[end];
        if (pipe.under_way.empty() || fabric_->is_cut(pipe.from, pipe.to)) continue;
        const Instant again = fabric_->reactor.now() + fabric_->latency(pipe.from, pipe.to);
        for (Segment& segment : pipe.under_way) segment.arrival = std::max(segment.arrival, again);
        pipe.last_arrival = std::max(pipe.last_arrival, again);
        for (const Segment& segment : pipe.under_way) {
            fabric_->reactor.call_at(segment.arrival, [self = shared_from_this(), end] { self->arrive(end); });
        }
    }
}

void SimConnection::kill(size_t end, bool tell_peer) {
    const bool had_left = ends_[end].gone;
    ends_[end].gone = true;
    break_end(end, "the host is down");
    if (tell_peer && !had_left) send_reset(end);
}

}  // namespace polis::runtime
