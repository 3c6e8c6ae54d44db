// The frames between nodes: every kind survives the wire, and nothing that is no frame is taken for one.
#include "cluster/wire.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

namespace polis::cluster {
namespace {

using testing::HasSubstr;

template <class Value>
Bytes frame_of(const Value& value) {
    OctetWriter out;
    append_frame(out, value);
    return Bytes::take(out.take());
}

Bytes frame_of(const GroupMessage& one) {
    OctetWriter out;
    append_frame(out, one.group, one.message);
    return Bytes::take(out.take());
}

consensus::Message full_message() {
    consensus::Message message{.kind = 1,
                               .rejected = true,
                               .ballot = {7, NodeId{1}},
                               .previous = {LogIndex(9), {6, NodeId::Nobody}},
                               .committed = LogIndex(8),
                               .hint = LogIndex(5),
                               .hint_ballot = {5, NodeId{2}},
                               .context = UINT64_MAX,
                               .priority = UINT32_MAX};
    message.entries.push_back({LogIndex(10), {7, NodeId::Nobody}, EntryKind::Command, Bytes::copy("set a 1")});
    message.entries.push_back({LogIndex(11), {7, NodeId::Nobody}, EntryKind::Noop, Bytes()});
    message.entries.push_back({LogIndex(UINT64_MAX), {7, NodeId{3}}, EntryKind::Membership, Bytes::copy("m")});
    return message;
}

std::vector<Frame> one_of_each() {
    const Hello hello{.version_min = 1,
                      .version_max = 3,
                      .cluster = ClusterId{11},
                      .from = NodeId{12},
                      .to = NodeId{13},
                      .incarnation = UINT64_MAX,
                      .link = LinkClass::Bulk,
                      .refusal = "no"};
    return {Hello{},
            hello,
            GroupMessage{GroupId::Meta, {}},
            GroupMessage{GroupId::Coord, full_message()},
            Forward{.group = GroupId::Coord, .envelopes = {Bytes::copy("one"), Bytes(), Bytes::copy("three")}},
            ForwardRefused{.group = GroupId::Meta, .why = 4, .sequences = {0, 1, UINT64_MAX}},
            Request{.id = 1u << 20, .group = GroupId::Coord, .kind = 2, .body = Bytes::copy("question")},
            Response{.id = 7, .ok = false, .code = 3, .body = Bytes::copy("why not")},
            Alive{}};
}

Bytes octets_of(const Frame& frame) {
    return std::visit([](const auto& one) { return frame_of(one); }, frame);
}

// The frame with its octet at `place` set to `value`.
Bytes altered(const Bytes& frame, size_t place, uint8_t value) {
    std::string octets = frame.str();
    octets.at(place) = static_cast<char>(value);
    return Bytes::take(std::move(octets));
}

// A frame of kind `kind` with this body.
Bytes made(uint8_t kind, std::string_view body) {
    OctetWriter out;
    out.number(static_cast<uint32_t>(body.size() + 1));
    out.number(kind);
    out.octets(body);
    return Bytes::take(out.take());
}

Hello hello_with(uint32_t version_min, uint32_t version_max) {
    Hello hello;
    hello.version_min = version_min;
    hello.version_max = version_max;
    return hello;
}

std::string complaint(const Bytes& octets) {
    const Result<Frame> frame = decode_frame(octets);
    if (frame) return "none";
    EXPECT_EQ(frame.error().code, Code::Invalid);
    return frame.error().what;
}

TEST(Wire, EveryKindOfFrameSurvivesTheWire) {
    for (const Frame& frame : one_of_each()) {
        const Bytes octets = octets_of(frame);
        EXPECT_EQ(frame_size(octets).value(), octets.size());
        const Result<Frame> decoded = decode_frame(octets);
        ASSERT_TRUE(decoded.has_value()) << decoded.error().what;
        EXPECT_EQ(*decoded, frame) << "alternative " << frame.index();
    }
}

TEST(Wire, AFrameCutAnywhereIsRefused) {
    for (const Frame& frame : one_of_each()) {
        const Bytes octets = octets_of(frame);
        for (size_t size = 0; size < octets.size(); ++size) {
            EXPECT_EQ(frame_size(octets.view().substr(0, size)).value(), 0u) << "octets " << size;
            EXPECT_NE(complaint(octets.slice(0, size)), "none")
                << "alternative " << frame.index() << " cut at " << size;
            // Cut, with a length that agrees.
            if (size < 5) continue;
            const Bytes shorter = made(static_cast<uint8_t>(octets.view()[4]), octets.view().substr(5, size - 5));
            EXPECT_NE(complaint(shorter), "none") << "alternative " << frame.index() << " shortened to " << size;
        }
    }
}

TEST(Wire, AFrameWithOctetsLeftOverIsRefused) {
    for (const Frame& frame : one_of_each()) {
        const Bytes octets = octets_of(frame);
        const std::string body = octets.str().substr(5) + "x";
        EXPECT_THAT(complaint(made(static_cast<uint8_t>(octets.view()[4]), body)), HasSubstr("left over"));
        EXPECT_THAT(complaint(Bytes::copy(octets.str() + "x")), HasSubstr("length is not what it says"));
    }
}

TEST(Wire, PayloadsShareTheFramesOctets) {
    const Bytes octets = frame_of(GroupMessage{GroupId::Coord, full_message()});
    const Result<Frame> frame = decode_frame(octets);
    const Bytes& payload = std::get<GroupMessage>(*frame).message.entries[0].payload;
    EXPECT_GE(payload.data(), octets.data());
    EXPECT_LE(payload.data() + payload.size(), octets.data() + octets.size());
}

TEST(Wire, LengthsAreBoundedBeforeAnythingIsRead) {
    OctetWriter out;
    out.number(frame_bytes_max + 1);
    EXPECT_THAT(frame_size(out.str()).error().what, HasSubstr("limit 134217728"));
    OctetWriter empty;
    empty.number(uint32_t{0});
    EXPECT_EQ(frame_size(empty.str()).error().code, Code::Invalid);
    OctetWriter most;
    most.number(frame_bytes_max);
    EXPECT_EQ(frame_size(most.str()).value(), 0u);  // Not all there yet.
    EXPECT_FALSE(frame_size(most.str(), 1000).has_value());
}

TEST(Wire, RefusesUnknownKinds) {
    EXPECT_THAT(complaint(made(0, "")), HasSubstr("unknown kind 0"));
    EXPECT_THAT(complaint(made(8, "")), HasSubstr("unknown kind 8"));
    EXPECT_THAT(complaint(made(255, "")), HasSubstr("unknown kind 255"));
}

TEST(Wire, RefusesFlagsThatAreNeither) {
    const Bytes hello = frame_of(hello_with(1, 1));
    EXPECT_THAT(complaint(altered(hello, hello.size() - 2, 2)), HasSubstr("unknown class"));
    const Bytes message = frame_of(GroupMessage{GroupId::Coord, {}});
    EXPECT_THAT(complaint(altered(message, 10, 2)), HasSubstr("flag is neither"));
    const Bytes response = frame_of(Response{.id = 1, .body = {}});
    EXPECT_THAT(complaint(altered(response, 6, 9)), HasSubstr("neither good nor bad"));
}

TEST(Wire, RefusesNumbersTooLargeForTheirField) {
    OctetWriter out;
    out.varint(uint64_t{1} << 32);
    out.varint(uint64_t{1} << 32);
    for (int i = 0; i < 4; ++i) out.number(uint64_t{0});
    out.number(uint8_t{0});
    out.text("");
    EXPECT_THAT(complaint(made(1, out.str())), HasSubstr("beyond 32 bits"));
    EXPECT_THAT(complaint(frame_of(hello_with(3, 2))), HasSubstr("above the highest"));
}

TEST(Wire, RefusesAnEntryOfUnknownKind) {
    consensus::Message message;
    message.entries.push_back({LogIndex(1), {1, NodeId::Nobody}, static_cast<EntryKind>(3), Bytes()});
    EXPECT_THAT(complaint(frame_of(GroupMessage{GroupId::Coord, message})), HasSubstr("unknown kind"));
}

// A claim of a thousand million items in a frame of twenty octets must cost twenty octets.
TEST(Wire, WhatAPeerClaimsAllocatesNothing) {
    for (const uint64_t claim : {uint64_t{items_per_frame_max} + 1, uint64_t{1} << 40, UINT64_MAX}) {
        OctetWriter out;
        out.number(uint32_t{2});
        out.varint(claim);
        EXPECT_THAT(complaint(made(3, out.str())), HasSubstr("more items"));
        OctetWriter refused;
        refused.number(uint32_t{2});
        refused.number(uint8_t{0});
        refused.varint(claim);
        EXPECT_THAT(complaint(made(4, refused.str())), HasSubstr("more items"));
    }
    OctetWriter out;
    out.number(uint32_t{2});
    out.varint(1000);
    EXPECT_THAT(complaint(made(3, out.str())), HasSubstr("fewer items"));
}

TEST(Wire, NumbersAreAtMostTenOctets) {
    OctetWriter out;
    out.octets(std::string(10, '\xff'));
    out.number(uint32_t{2});
    out.number(uint8_t{0});
    out.text("");
    EXPECT_THAT(complaint(made(5, out.str())), HasSubstr("cut short"));
}

TEST(Wire, ACodeOfALaterReleaseIsUnknown) {
    EXPECT_EQ(code_of(static_cast<uint8_t>(Code::Denied)), Code::Denied);
    EXPECT_EQ(code_of(static_cast<uint8_t>(Code::Io)), Code::Io);
    EXPECT_EQ(code_of(static_cast<uint8_t>(Code::Io) + 1), Code::Unknown);
    EXPECT_EQ(code_of(255), Code::Unknown);
}

}  // namespace
}  // namespace polis::cluster
