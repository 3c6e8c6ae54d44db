// The octets that live in the log or pass between nodes outside of frames: envelopes, commands of group Meta, pieces of
// snapshots, requests to join. Each survives, and every malformed form is refused with a reason.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/octets.h"
#include "cluster/envelope.h"
#include "cluster/join.h"
#include "cluster/meta_model.h"
#include "cluster/replica_snapshot.h"

namespace polis::cluster {
namespace {

using testing::HasSubstr;

// Every proper prefix of `octets` is refused by `decode`, and so is one octet more.
template <class Decode>
void expect_exact(const Bytes& octets, Decode decode) {
    ASSERT_TRUE(decode(octets).has_value());
    for (size_t size = 0; size < octets.size(); ++size) {
        const auto decoded = decode(octets.slice(0, size));
        ASSERT_FALSE(decoded.has_value()) << "cut at " << size << " of " << octets.size();
        EXPECT_EQ(decoded.error().code, Code::Invalid);
        EXPECT_FALSE(decoded.error().what.empty());
    }
    EXPECT_FALSE(decode(Bytes::copy(octets.str() + std::string(1, '\0'))).has_value());
}

// ---- Envelopes ----

Envelope full_envelope() {
    Envelope envelope;
    envelope.feature_level = UINT32_MAX;
    envelope.tenant = 7;
    envelope.principal = "alice";
    envelope.auth_revision = 1u << 30;
    envelope.leader_time.since_epoch = std::chrono::microseconds(INT64_MAX);
    envelope.origin = NodeId{UINT64_MAX};
    envelope.sequence = (uint64_t{3} << 40) + 17;
    envelope.outstanding_from = uint64_t{3} << 40;
    envelope.trace = 99;
    envelope.command = Bytes::copy(std::string("put\0k", 5));
    return envelope;
}

TEST(Envelope, SurvivesTheLog) {
    for (const Envelope& envelope : {Envelope{}, full_envelope()}) {
        const Result<Envelope> decoded = decode_envelope(encode(envelope));
        ASSERT_TRUE(decoded.has_value()) << decoded.error().what;
        EXPECT_EQ(decoded->feature_level, envelope.feature_level);
        EXPECT_EQ(decoded->tenant, envelope.tenant);
        EXPECT_EQ(decoded->principal, envelope.principal);
        EXPECT_EQ(decoded->auth_revision, envelope.auth_revision);
        EXPECT_EQ(decoded->leader_time, envelope.leader_time);
        EXPECT_EQ(decoded->origin, envelope.origin);
        EXPECT_EQ(decoded->sequence, envelope.sequence);
        EXPECT_EQ(decoded->outstanding_from, envelope.outstanding_from);
        EXPECT_EQ(decoded->trace, envelope.trace);
        EXPECT_EQ(decoded->command, envelope.command);
    }
}

TEST(Envelope, TheCommandSharesItsOctets) {
    const Bytes octets = encode(full_envelope());
    const Result<Envelope> decoded = decode_envelope(octets);
    EXPECT_EQ(decoded->command.data() + decoded->command.size(), octets.data() + octets.size());
}

TEST(Envelope, CutBeforeItsCommandItIsRefused) {
    const Envelope envelope = full_envelope();
    const Bytes octets = encode(envelope);
    for (size_t size = 0; size < octets.size() - envelope.command.size(); ++size) {
        const Result<Envelope> decoded = decode_envelope(octets.slice(0, size));
        ASSERT_FALSE(decoded.has_value()) << size;
        EXPECT_THAT(decoded.error().what, HasSubstr("cut short"));
    }
}

TEST(Envelope, OfALaterFormatItSaysWhatToDo) {
    std::string octets = encode(full_envelope()).str();
    octets[0] = 2;
    const Result<Envelope> decoded = decode_envelope(Bytes::take(octets));
    EXPECT_THAT(decoded.error().what, HasSubstr("upgrade this node"));
}

TEST(Envelope, RefusesNumbersTooLargeForTheirField) {
    for (size_t field = 1; field <= 4; ++field) {
        OctetWriter out;
        out.varint(1);
        for (size_t at = 1; at <= 8; ++at) out.varint(at == field ? UINT64_MAX : 1);
        out.text("");
        const Result<Envelope> decoded = decode_envelope(Bytes::copy(out.str()));
        const bool has_room = field == 3;  // The authorisation revision has all 64 bits.
        EXPECT_EQ(decoded.has_value(), has_room) << field;
        if (!decoded) {
            EXPECT_THAT(decoded.error().what, HasSubstr("too large"));
        }
    }
}

// ---- Group Meta ----

Member full_member() {
    return {.id = NodeId{UINT64_MAX},
            .name = "n1",
            .peer_urls = {"http://a:1", "http://b:2"},
            .client_urls = {"http://c:3"},
            .learner = true,
            .labels = {{"rack", ""}, {"zone", "a"}}};
}

std::vector<MetaCommand> one_of_each() {
    return {
        FoundCluster{.cluster = ClusterId{5}, .feature_level = 2, .members = {full_member(), Member{}}},
        AddMember{full_member()},
        RemoveMember{NodeId{6}},
        UpdateMember{NodeId{7}, {"http://d:4"}},
        PromoteMember{NodeId{8}},
        PublishMember{.id = NodeId{9}, .name = "n9", .client_urls = {"u"}, .labels = {{"a", "b"}}, .incarnation = 3},
        ReplaceMember{.lost = NodeId{10}, .id = NodeId{11}, .incarnation = UINT64_MAX}};
}

TEST(MetaCommand, EveryKindSurvivesTheLog) {
    for (const MetaCommand& command : one_of_each()) {
        const Bytes octets = encode_meta_command(command);
        const Result<MetaCommand> decoded = decode_meta_command(octets);
        ASSERT_TRUE(decoded.has_value()) << decoded.error().what;
        EXPECT_EQ(decoded->index(), command.index());
        EXPECT_EQ(encode_meta_command(*decoded), octets);
    }
}

TEST(MetaCommand, CutOrContinuedItIsRefused) {
    for (const MetaCommand& command : one_of_each()) expect_exact(encode_meta_command(command), decode_meta_command);
}

TEST(MetaCommand, RefusesFormatsAndKindsThatItDoesNotKnow) {
    std::string octets = encode_meta_command(PromoteMember{NodeId{8}}).str();
    for (const char kind : {'\0', '\x08', '\xff'}) {
        octets[1] = kind;
        EXPECT_THAT(decode_meta_command(Bytes::copy(octets)).error().what, HasSubstr("unknown kind"));
    }
    octets[0] = 2;
    EXPECT_THAT(decode_meta_command(Bytes::copy(octets)).error().what, HasSubstr("unknown format"));
}

// A count at the very end, with nothing behind it, is no empty list.
TEST(MetaCommand, RefusesCountsThatCannotBe) {
    for (const uint64_t claim : {uint64_t{1}, uint64_t{10'001}, UINT64_MAX}) {
        OctetWriter out;
        out.number(uint8_t{1});
        out.number(uint8_t{4});
        out.number(uint64_t{7});
        out.varint(claim);
        const Result<MetaCommand> decoded = decode_meta_command(Bytes::copy(out.str()));
        ASSERT_FALSE(decoded.has_value()) << claim;
        EXPECT_THAT(decoded.error().what, HasSubstr("impossible flag or count"));
    }
}

TEST(MetaReply, BothKindsSurvive) {
    const Member member = full_member();
    const Result<Member> decoded = decode_meta_reply(encode_meta_reply(member));
    ASSERT_TRUE(decoded.has_value());
    EXPECT_EQ(decoded->id, member.id);
    EXPECT_EQ(decoded->labels, member.labels);
    EXPECT_TRUE(decoded->learner);
    const Result<Member> refused = decode_meta_reply(encode_meta_reply(fail(Code::Exists, "there is one")));
    EXPECT_EQ(refused.error().code, Code::Exists);
    EXPECT_EQ(refused.error().what, "there is one");
}

TEST(MetaReply, CutOrContinuedItIsRefused) { expect_exact(encode_meta_reply(full_member()), decode_meta_reply); }

TEST(MetaReply, ACodeOfALaterReleaseIsUnknown) {
    std::string octets = encode_meta_reply(fail(Code::Exists, "")).str();
    octets[1] = '\x7f';
    EXPECT_EQ(decode_meta_reply(Bytes::take(octets)).error().code, Code::Unknown);
}

// ---- Snapshots and joining ----

TEST(SnapshotChunk, SurvivesTheWire) {
    const SnapshotChunk chunk{
        .transfer = 77, .position = {LogIndex(1u << 30), {4, NodeId{2}}}, .number = 12, .frame = Bytes::copy("frame")};
    const Result<SnapshotChunk> decoded = decode_snapshot_chunk(encode(chunk));
    ASSERT_TRUE(decoded.has_value());
    EXPECT_EQ(decoded->transfer, chunk.transfer);
    EXPECT_EQ(decoded->position, chunk.position);
    EXPECT_EQ(decoded->number, chunk.number);
    EXPECT_EQ(decoded->frame, chunk.frame);
    const Bytes octets = encode(chunk);
    for (size_t size = 0; size + chunk.frame.size() < octets.size(); ++size) {
        EXPECT_FALSE(decode_snapshot_chunk(octets.slice(0, size)).has_value()) << size;
    }
}

TEST(SnapshotAnswer, SurvivesTheWireAndNothingElseDoes) {
    const Bytes octets = encode(SnapshotAnswer{.next = 300, .installed = true});
    EXPECT_EQ(decode_snapshot_answer(octets)->next, 300u);
    EXPECT_TRUE(decode_snapshot_answer(octets)->installed);
    expect_exact(octets, decode_snapshot_answer);
    std::string odd = octets.str();
    odd.back() = 2;
    EXPECT_THAT(decode_snapshot_answer(Bytes::take(odd)).error().what, HasSubstr("flag"));
}

TEST(Join, QuestionAndAnswerSurviveTheWire) {
    const JoinQuestion question{
        .founding = ClusterId{1}, .founder = NodeId{2}, .incarnation = 3, .peer_urls = {"http://a:1", ""}};
    EXPECT_EQ(decode_join_question(encode(question)).value(), question);
    expect_exact(encode(question), decode_join_question);
    const JoinAnswer answer{.is_formed = true,
                            .cluster = ClusterId{4},
                            .node = NodeId{5},
                            .consensus = "raft",
                            .members = {Bytes::copy("m"), Bytes()}};
    EXPECT_EQ(decode_join_answer(encode(answer)).value(), answer);
    expect_exact(encode(answer), decode_join_answer);
}

TEST(Join, RefusesCountsAndFlagsThatCannotBe) {
    OctetWriter out;
    for (int i = 0; i < 3; ++i) out.number(uint64_t{1});
    out.varint(UINT64_MAX);
    EXPECT_THAT(decode_join_question(Bytes::copy(out.str())).error().what, HasSubstr("announces"));
    std::string odd = encode(JoinAnswer{}).str();
    odd[0] = 7;
    EXPECT_THAT(decode_join_answer(Bytes::take(odd)).error().what, HasSubstr("flag"));
}

}  // namespace
}  // namespace polis::cluster
