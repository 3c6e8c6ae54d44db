#include "cluster/wire.h"

#include <algorithm>

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

// The slice of `whole` that `part` is.
Bytes shared(const Bytes& whole, std::string_view part) {
    if (part.empty()) return {};
    return whole.slice(static_cast<size_t>(part.data() - whole.data()), part.size());
}

consensus::Message message_in(OctetReader& in, const Bytes& whole) {
    consensus::Message message;
    message.kind = in.number<uint8_t>();
    message.rejected = in.number<uint8_t>() != 0;
    message.ballot = ballot_in(in);
    message.previous.index = LogIndex(in.varint());
    message.previous.ballot = ballot_in(in);
    message.committed = LogIndex(in.varint());
    message.hint = LogIndex(in.varint());
    message.hint_ballot = ballot_in(in);
    message.context = in.varint();
    message.priority = static_cast<uint32_t>(in.varint());
    const uint64_t count = in.varint();
    // Memory follows what has arrived, not what a peer claims: an entry takes at least five octets.
    message.entries.reserve(std::min<uint64_t>(count, in.rest().size() / 5));
    for (uint64_t i = 0; i < count && in.ok(); ++i) {
        Entry entry;
        entry.index = LogIndex(in.varint());
        entry.ballot = ballot_in(in);
        entry.kind = static_cast<EntryKind>(in.number<uint8_t>());
        entry.payload = shared(whole, in.text());
        message.entries.push_back(std::move(entry));
    }
    return message;
}

Hello hello_in(OctetReader& in) {
    Hello hello;
    hello.version_min = static_cast<uint32_t>(in.varint());
    hello.version_max = static_cast<uint32_t>(in.varint());
    hello.cluster = ClusterId{in.number<uint64_t>()};
    hello.from = NodeId{in.number<uint64_t>()};
    hello.to = NodeId{in.number<uint64_t>()};
    hello.incarnation = in.number<uint64_t>();
    hello.link = static_cast<LinkClass>(in.number<uint8_t>());
    hello.refusal = std::string(in.text());
    return hello;
}

Forward forward_in(OctetReader& in, const Bytes& whole) {
    Forward forward{.group = GroupId{in.number<uint32_t>()}, .envelopes = {}};
    const uint64_t count = in.varint();
    forward.envelopes.reserve(std::min<uint64_t>(count, in.rest().size()));
    for (uint64_t i = 0; i < count && in.ok(); ++i) forward.envelopes.push_back(shared(whole, in.text()));
    return forward;
}

ForwardRefused refused_in(OctetReader& in) {
    ForwardRefused refused;
    refused.group = GroupId{in.number<uint32_t>()};
    refused.why = in.number<uint8_t>();
    const uint64_t count = in.varint();
    refused.sequences.reserve(std::min<uint64_t>(count, in.rest().size()));
    for (uint64_t i = 0; i < count && in.ok(); ++i) refused.sequences.push_back(in.varint());
    return refused;
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

Result<size_t> frame_size(std::string_view octets) {
    if (octets.size() < length_bytes) return size_t{0};
    const auto length = OctetReader(octets).number<uint32_t>();
    if (length == 0) return fail(Code::Invalid, "an empty frame");
    if (length > frame_bytes_max) {
        return fail(Code::Invalid, "a frame of " + std::to_string(length) + " bytes, limit " +
                                       std::to_string(frame_bytes_max) + ": is this another protocol's client?");
    }
    const size_t size = length_bytes + length;
    return octets.size() < size ? size_t{0} : size;
}

Result<Frame> decode_frame(const Bytes& octets) {
    OctetReader in(octets);
    in.number<uint32_t>();
    const auto kind = static_cast<FrameKind>(in.number<uint8_t>());
    Frame frame;
    switch (kind) {
        case FrameKind::Hello: frame = hello_in(in); break;
        case FrameKind::Message: {
            const GroupId group{in.number<uint32_t>()};
            frame = GroupMessage{group, message_in(in, octets)};
            break;
        }
        case FrameKind::Forward: frame = forward_in(in, octets); break;
        case FrameKind::ForwardRefused: frame = refused_in(in); break;
        case FrameKind::Request: {
            Request request{
                .id = in.varint(), .group = GroupId{in.number<uint32_t>()}, .kind = in.number<uint8_t>(), .body = {}};
            request.body = shared(octets, in.text());
            frame = std::move(request);
            break;
        }
        case FrameKind::Response: {
            Response response{
                .id = in.varint(), .ok = in.number<uint8_t>() != 0, .code = in.number<uint8_t>(), .body = {}};
            response.body = shared(octets, in.text());
            frame = std::move(response);
            break;
        }
        case FrameKind::Alive: frame = Alive{}; break;
        default: return fail(Code::Invalid, "a frame of unknown kind " + std::to_string(static_cast<int>(kind)));
    }
    TRY(in.finish("a peer's frame"));
    return frame;
}

}  // namespace polis::cluster
