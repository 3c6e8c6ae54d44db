#include "services/coord/command.h"

#include "base/ensure.h"
#include "base/octets.h"

namespace polis::services {

namespace {

constexpr char answered = 0;
constexpr char refused = 1;
constexpr char misunderstood = 2;

Bytes encode(char first, const google::protobuf::MessageLite& message) {
    std::string octets;
    octets.reserve(1 + message.ByteSizeLong());
    octets.push_back(first);
    ENSURE(message.AppendToString(&octets));
    return Bytes::take(std::move(octets));
}

}  // namespace

Bytes encode_command(CommandKind kind, std::string_view request) {
    std::string octets(1, static_cast<char>(kind));
    return Bytes::take(std::move(octets.append(request)));
}

Bytes encode_command(CommandKind kind, const google::protobuf::MessageLite& request) {
    return encode(static_cast<char>(kind), request);
}

Bytes encode_reply(const google::protobuf::MessageLite& response) { return encode(answered, response); }

Bytes encode_put_reply(int64_t revision) {
    using Tag = unsigned char;
    constexpr auto tag_of = [](int field, Tag wire_type) { return static_cast<char>(field << 3 | wire_type); };
    char header[1 + varint_bytes_max] = {tag_of(etcdserverpb::ResponseHeader::kRevisionFieldNumber, 0)};
    const std::string_view number(header, write_varint(header + 1, static_cast<uint64_t>(revision)));
    const char head[] = {answered, tag_of(etcdserverpb::PutResponse::kHeaderFieldNumber, 2),
                         static_cast<char>(number.size())};
    return Bytes::join({{head, sizeof head}, number});
}

Bytes encode_reply(Refusal refusal) {
    const char octets[] = {refused, static_cast<char>(refusal)};
    return Bytes::copy({octets, sizeof octets});
}

Bytes encode_misunderstood() { return Bytes::copy({&misunderstood, 1}); }

Result<std::expected<std::string_view, Refusal>> parse_reply(const Bytes& reply) {
    using Response = std::expected<std::string_view, Refusal>;
    if (reply.empty()) return fail(Code::Corrupt, "a reply of coord's model is empty");
    const std::string_view rest = reply.view().substr(1);
    switch (reply.view().front()) {
        case answered: return Response(rest);
        case refused:
            if (rest.size() != 1 || static_cast<uint8_t>(rest[0]) > static_cast<uint8_t>(Refusal::MemberNotFound))
                break;
            return Response(refuse(static_cast<Refusal>(rest[0])));
        case misunderstood: return fail(Code::Invalid, "the command was not understood; are all nodes of one version?");
        default: break;
    }
    return fail(Code::Corrupt, "a reply of coord's model has an unknown form");
}

}  // namespace polis::services
