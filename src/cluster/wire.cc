#include "cluster/wire.h"

#include "base/ensure.h"

namespace polis::cluster {
namespace {

// Stable on the wire: never renumber.
enum class FrameKind : uint8_t {
    Hello = 1,
    Message = 2,
    Forward = 3,
    ForwardRefused = 4,
    Request = 5,
    Response = 6,
    Alive = 7
};

constexpr size_t length_bytes = sizeof(uint32_t);

// Writes the length once the body is there.
template <class Body>
void append(OctetWriter& out, FrameKind kind, Body body) {
    const size_t begin = out.size();
    out.number(uint32_t{0});
    out.number(static_cast<uint8_t>(kind));
    body();
    const size_t size = out.size() - begin - length_bytes;
    ENSURE(size <= frame_bytes_max);
    out.patch(begin, static_cast<uint32_t>(size));
}

void put(OctetWriter& out, const Ballot& ballot) {
    out.varint(ballot.epoch);
    out.varint(number_of(ballot.node));
}

Ballot ballot_in(OctetReader& in) {
    const uint64_t epoch = in.varint();
    return {epoch, NodeId{in.varint()}};
}

void put(OctetWriter& out, const consensus::Message& message) {
    out.number(message.kind);
    out.number(static_cast<uint8_t>(message.rejected));
    put(out, message.ballot);
    out.varint(message.previous.index.value);
    put(out, message.previous.ballot);
    out.varint(message.committed.value);
    out.varint(message.hint.value);
    put(out, message.hint_ballot);
    out.varint(message.context);
    out.varint(message.priority);
    out.varint(message.entries.size());
    for (const Entry& entry : message.entries) {
        out.varint(entry.index.value);
        put(out, entry.ballot);
        out.number(static_cast<uint8_t>(entry.kind));
        out.text(entry.payload);
    }
}

// A frame's octets, and the first thing that is wrong with what they say.
struct FrameReader {
    explicit FrameReader(const Bytes& frame) : whole(frame), in(frame) {}

    void object(std::string_view what) {
        if (objection.empty()) objection = what;
    }
    bool flag(std::string_view what) {
        const auto octet = in.number<uint8_t>();
        if (octet > 1) object(what);
        return octet == 1;
    }
    uint32_t varint_u32(std::string_view what) {
        const uint64_t value = in.varint();
        if (value > UINT32_MAX) object(what);
        return static_cast<uint32_t>(value);
    }
    // A number of items that follow, each of at least `octets_each`: memory follows what has arrived, not what a peer claims.
    uint64_t count(size_t octets_each) {
        const uint64_t items = in.varint();
        if (items > items_per_frame_max) object("more items than a frame may have");
        if (items > in.rest().size() / octets_each) object("fewer items than announced");
        return objection.empty() ? items : 0;
    }
    Bytes text() { return shared(in.text()); }
    bool ok() const { return in.ok() && objection.empty(); }

    Result<void> finish() const {
        if (!objection.empty()) return fail(Code::Invalid, "a peer's frame: " + std::string(objection));
        return in.finish("a peer's frame");
    }

    const Bytes& whole;
    OctetReader in;
    std::string_view objection;  // A literal.

private:
    // The slice of `whole` that `part` is.
    Bytes shared(std::string_view part) const {
        if (part.empty()) return {};
        return whole.slice(static_cast<size_t>(part.data() - whole.data()), part.size());
    }
};

consensus::Message message_in(FrameReader& from) {
    OctetReader& in = from.in;
    consensus::Message message;
    message.kind = in.number<uint8_t>();
    message.rejected = from.flag("a message's flag is neither 0 nor 1");
    message.ballot = ballot_in(in);
    message.previous.index = LogIndex(in.varint());
    message.previous.ballot = ballot_in(in);
    message.committed = LogIndex(in.varint());
    message.hint = LogIndex(in.varint());
    message.hint_ballot = ballot_in(in);
    message.context = in.varint();
    message.priority = from.varint_u32("a priority beyond 32 bits");
    constexpr size_t entry_octets_min = 5;
    const uint64_t count = from.count(entry_octets_min);
    message.entries.reserve(count);
    for (uint64_t i = 0; i < count && from.ok(); ++i) {
        Entry entry;
        entry.index = LogIndex(in.varint());
        entry.ballot = ballot_in(in);
        const auto kind = in.number<uint8_t>();
        if (kind > static_cast<uint8_t>(EntryKind::Membership)) from.object("an entry of unknown kind");
        entry.kind = static_cast<EntryKind>(kind);
        entry.payload = from.text();
        message.entries.push_back(std::move(entry));
    }
    return message;
}

Hello hello_in(FrameReader& from) {
    OctetReader& in = from.in;
    Hello hello;
    hello.version_min = from.varint_u32("a version beyond 32 bits");
    hello.version_max = from.varint_u32("a version beyond 32 bits");
    hello.cluster = ClusterId{in.number<uint64_t>()};
    hello.from = NodeId{in.number<uint64_t>()};
    hello.to = NodeId{in.number<uint64_t>()};
    hello.incarnation = in.number<uint64_t>();
    hello.link = from.flag("a connection of unknown class") ? LinkClass::Bulk : LinkClass::Consensus;
    hello.refusal = std::string(in.text());
    if (hello.version_min > hello.version_max) from.object("the lowest version is above the highest");
    return hello;
}

Forward forward_in(FrameReader& from) {
    Forward forward{.group = GroupId{from.in.number<uint32_t>()}, .envelopes = {}};
    const uint64_t count = from.count(1);
    forward.envelopes.reserve(count);
    for (uint64_t i = 0; i < count && from.ok(); ++i) forward.envelopes.push_back(from.text());
    return forward;
}

ForwardRefused refused_in(FrameReader& from) {
    ForwardRefused refused;
    refused.group = GroupId{from.in.number<uint32_t>()};
    refused.why = from.in.number<uint8_t>();
    const uint64_t count = from.count(1);
    refused.sequences.reserve(count);
    for (uint64_t i = 0; i < count && from.ok(); ++i) refused.sequences.push_back(from.in.varint());
    return refused;
}

Request request_in(FrameReader& from) {
    Request request;
    request.id = from.in.varint();
    request.group = GroupId{from.in.number<uint32_t>()};
    request.kind = from.in.number<uint8_t>();
    request.body = from.text();
    return request;
}

Response response_in(FrameReader& from) {
    Response response;
    response.id = from.in.varint();
    response.ok = from.flag("an answer that is neither good nor bad");
    response.code = from.in.number<uint8_t>();
    response.body = from.text();
    return response;
}

}  // namespace

void append_frame(OctetWriter& out, const Hello& hello) {
    append(out, FrameKind::Hello, [&] {
        out.varint(hello.version_min);
        out.varint(hello.version_max);
        out.number(number_of(hello.cluster));
        out.number(number_of(hello.from));
        out.number(number_of(hello.to));
        out.number(hello.incarnation);
        out.number(static_cast<uint8_t>(hello.link));
        out.text(hello.refusal);
    });
}

void append_frame(OctetWriter& out, GroupId group, const consensus::Message& message) {
    append(out, FrameKind::Message, [&] {
        out.number(number_of(group));
        put(out, message);
    });
}

void append_frame(OctetWriter& out, const Forward& forward) {
    append(out, FrameKind::Forward, [&] {
        out.number(number_of(forward.group));
        out.varint(forward.envelopes.size());
        for (const Bytes& envelope : forward.envelopes) out.text(envelope);
    });
}

void append_frame(OctetWriter& out, const ForwardRefused& refused) {
    append(out, FrameKind::ForwardRefused, [&] {
        out.number(number_of(refused.group));
        out.number(refused.why);
        out.varint(refused.sequences.size());
        for (const uint64_t sequence : refused.sequences) out.varint(sequence);
    });
}

void append_frame(OctetWriter& out, const Request& request) {
    append(out, FrameKind::Request, [&] {
        out.varint(request.id);
        out.number(number_of(request.group));
        out.number(request.kind);
        out.text(request.body);
    });
}

void append_frame(OctetWriter& out, const Response& response) {
    append(out, FrameKind::Response, [&] {
        out.varint(response.id);
        out.number(static_cast<uint8_t>(response.ok));
        out.number(response.code);
        out.text(response.body);
    });
}

void append_frame(OctetWriter& out, const Alive&) {
    append(out, FrameKind::Alive, [] {});
}

Result<size_t> frame_size(std::string_view octets, uint32_t bytes_max) {
    if (octets.size() < length_bytes) return size_t{0};
    const auto length = OctetReader(octets).number<uint32_t>();
    if (length == 0) return fail(Code::Invalid, "an empty frame");
    if (length > bytes_max) {
        return fail(Code::Invalid, "a frame of " + std::to_string(length) + " bytes, limit " +
                                       std::to_string(bytes_max) + ": is this another protocol's client?");
    }
    const size_t size = length_bytes + length;
    return octets.size() < size ? size_t{0} : size;
}

Result<Frame> decode_frame(const Bytes& octets) {
    FrameReader from(octets);
    if (from.in.number<uint32_t>() != from.in.rest().size()) from.object("its length is not what it says");
    const auto kind = static_cast<FrameKind>(from.in.number<uint8_t>());
    Frame frame;
    switch (kind) {
        case FrameKind::Hello: frame = hello_in(from); break;
        case FrameKind::Message: {
            const GroupId group{from.in.number<uint32_t>()};
            frame = GroupMessage{group, message_in(from)};
            break;
        }
        case FrameKind::Forward: frame = forward_in(from); break;
        case FrameKind::ForwardRefused: frame = refused_in(from); break;
        case FrameKind::Request: frame = request_in(from); break;
        case FrameKind::Response: frame = response_in(from); break;
        case FrameKind::Alive: frame = Alive{}; break;
        default: return fail(Code::Invalid, "a frame of unknown kind " + std::to_string(static_cast<int>(kind)));
    }
    TRY(from.finish());
    return frame;
}

Code code_of(uint8_t octet) {
    return octet <= static_cast<uint8_t>(Code::Io) ? static_cast<Code>(octet) : Code::Unknown;
}

}  // namespace polis::cluster
