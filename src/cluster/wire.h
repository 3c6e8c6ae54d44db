// The frames that nodes exchange: encoding and decoding. Pure. docs/internals/formats/peer.md tells every octet.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/id.h"
#include "base/octets.h"
#include "base/result.h"
#include "consensus/message.h"

namespace polis::cluster {

/// Versions of the protocol that this release speaks. A connection uses the highest that both ends have.
constexpr uint32_t wire_version_min = 1;
constexpr uint32_t wire_version_max = 1;
constexpr uint32_t frame_bytes_max = 128u << 20;
constexpr uint32_t items_per_frame_max =
    1u << 20;  // Entries, envelopes or sequences; what decoding may allocate follows it.
/// Of one command, so that whatever carries it (an entry of the log, an envelope, a row of a snapshot) fits: the log takes 64 MiB, a frame
/// more, and who asks and what else goes with a command less than the difference.
constexpr uint64_t command_bytes_max = 63u << 20;

enum class LinkClass : uint8_t { Consensus = 0, Bulk = 1 };

/// First frame in each direction.
struct Hello {
    uint32_t version_min = wire_version_min;
    uint32_t version_max = wire_version_max;
    ClusterId cluster{};
    NodeId from{};
    NodeId to{};               // Nobody: "whoever listens there" (a node that is joining).
    uint64_t incarnation = 0;  // Of the sender's disk: drawn when it was made.
    LinkClass link = LinkClass::Consensus;
    std::string refusal;  // In answers: why the connection is refused; empty if it is not.

    friend bool operator==(const Hello&, const Hello&) = default;
};

/// A consensus message of one group.
struct GroupMessage {
    GroupId group{};
    consensus::Message message;

    friend bool operator==(const GroupMessage&, const GroupMessage&) = default;
};

/// Commands that the sender accepted from clients, for the group's leader to propose: encoded envelopes.
struct Forward {
    GroupId group{};
    std::vector<Bytes> envelopes;

    friend bool operator==(const Forward&, const Forward&) = default;
};

/// The receiver's forwarded commands (by their sequence) were not taken: it may try elsewhere at once.
struct ForwardRefused {
    GroupId group{};
    uint8_t why = 0;  // consensus::Why
    std::vector<uint64_t> sequences;

    friend bool operator==(const ForwardRefused&, const ForwardRefused&) = default;
};

struct Request {
    uint64_t id = 0;
    GroupId group{};
    uint8_t kind = 0;
    Bytes body;

    friend bool operator==(const Request&, const Request&) = default;
};

struct Response {
    uint64_t id = 0;
    bool ok = true;
    uint8_t code = 0;  // polis::Code, if not ok; then the body says why.
    Bytes body;

    friend bool operator==(const Response&, const Response&) = default;
};

/// Sent on an otherwise silent link, so that both ends see that the other lives.
struct Alive {
    friend bool operator==(const Alive&, const Alive&) = default;
};

using Frame = std::variant<Hello, GroupMessage, Forward, ForwardRefused, Request, Response, Alive>;

/// Appends the frame, with its length, to `out`.
void append_frame(OctetWriter& out, const Hello& hello);
void append_frame(OctetWriter& out, GroupId group, const consensus::Message& message);
void append_frame(OctetWriter& out, const Forward& forward);
void append_frame(OctetWriter& out, const ForwardRefused& refused);
void append_frame(OctetWriter& out, const Request& request);
void append_frame(OctetWriter& out, const Response& response);
void append_frame(OctetWriter& out, const Alive& alive);

/// Size of the frame at the start of `octets`, with its length field; 0 if too few octets have come to tell.
/// Errors: Invalid if over `bytes_max` or empty.
Result<size_t> frame_size(std::string_view octets, uint32_t bytes_max = frame_bytes_max);

/// Decodes one whole frame (with its length field), and nothing but that. Payloads share `octets`' block.
/// Errors: Invalid: says what is wrong. A frame that decodes is one that append_frame can have made.
Result<Frame> decode_frame(const Bytes& octets);

/// The code that a Response carries; Unknown if it is of a later release.
Code code_of(uint8_t octet);

}  // namespace polis::cluster
