// Encoding of the commands and replies of group Meta.
#include "base/octets.h"
#include "cluster/meta_model.h"

namespace polis::cluster {
namespace {

// Stable on disk: the order of MetaCommand's alternatives, from 1.
constexpr uint8_t format = 1;
constexpr uint64_t list_items_max = 10'000;

void put(OctetWriter& out, const std::vector<std::string>& texts) {
    out.varint(texts.size());
    for (const std::string& text : texts) out.text(text);
}

void put(OctetWriter& out, const std::map<std::string, std::string>& labels) {
    out.varint(labels.size());
    for (const auto& [name, value] : labels) {
        out.text(name);
        out.text(value);
    }
}

void put(OctetWriter& out, const Member& member) {
    out.number(number_of(member.id));
    out.text(member.name);
    put(out, member.peer_urls);
    put(out, member.client_urls);
    out.number(static_cast<uint8_t>(member.learner));
    put(out, member.labels);
}

uint64_t count_in(OctetReader& in) {
    const uint64_t count = in.varint();
    return in.ok() && count <= list_items_max ? count : 0;
}

std::vector<std::string> texts_in(OctetReader& in) {
    std::vector<std::string> texts;
    const uint64_t count = count_in(in);
    for (uint64_t i = 0; i < count && in.ok(); ++i) texts.emplace_back(in.text());
    return texts;
}

std::map<std::string, std::string> labels_in(OctetReader& in) {
    std::map<std::string, std::string> labels;
    const uint64_t count = count_in(in);
    for (uint64_t i = 0; i < count && in.ok(); ++i) {
        std::string name(in.text());
        labels[std::move(name)] = std::string(in.text());
    }
    return labels;
}

Member member_in(OctetReader& in) {
    Member member;
    member.id = NodeId{in.number<uint64_t>()};
    member.name = std::string(in.text());
    member.peer_urls = texts_in(in);
    member.client_urls = texts_in(in);
    member.learner = in.number<uint8_t>() != 0;
    member.labels = labels_in(in);
    return member;
}

void put(OctetWriter& out, const FoundCluster& found) {
    out.number(number_of(found.cluster));
    out.number(found.feature_level);
    out.varint(found.members.size());
    for (const Member& member : found.members) put(out, member);
}
void put(OctetWriter& out, const AddMember& add) { put(out, add.member); }
void put(OctetWriter& out, const RemoveMember& remove) { out.number(number_of(remove.id)); }
void put(OctetWriter& out, const UpdateMember& update) {
    out.number(number_of(update.id));
    put(out, update.peer_urls);
}
void put(OctetWriter& out, const PromoteMember& promote) { out.number(number_of(promote.id)); }
void put(OctetWriter& out, const PublishMember& publish) {
    out.number(number_of(publish.id));
    out.text(publish.name);
    put(out, publish.client_urls);
    put(out, publish.labels);
    out.number(publish.incarnation);
}
void put(OctetWriter& out, const ReplaceMember& replace) {
    out.number(number_of(replace.lost));
    out.number(number_of(replace.id));
    out.number(replace.incarnation);
}

FoundCluster found_in(OctetReader& in) {
    FoundCluster found;
    found.cluster = ClusterId{in.number<uint64_t>()};
    found.feature_level = in.number<uint32_t>();
    const uint64_t count = count_in(in);
    for (uint64_t i = 0; i < count && in.ok(); ++i) found.members.push_back(member_in(in));
    return found;
}

PublishMember publish_in(OctetReader& in) {
    PublishMember publish;
    publish.id = NodeId{in.number<uint64_t>()};
    publish.name = std::string(in.text());
    publish.client_urls = texts_in(in);
    publish.labels = labels_in(in);
    publish.incarnation = in.number<uint64_t>();
    return publish;
}

}  // namespace

Bytes encode_meta_command(const MetaCommand& command) {
    OctetWriter out;
    out.number(format);
    out.number(static_cast<uint8_t>(command.index() + 1));
    std::visit([&out](const auto& one) { put(out, one); }, command);
    return Bytes::take(out.take());
}

Result<MetaCommand> decode_meta_command(const Bytes& octets) {
    OctetReader in(octets);
    if (in.number<uint8_t>() != format) return fail(Code::Invalid, "a meta command of unknown format");
    MetaCommand command;
    switch (in.number<uint8_t>()) {
        case 1: command = found_in(in); break;
        case 2: command = AddMember{member_in(in)}; break;
        case 3: command = RemoveMember{NodeId{in.number<uint64_t>()}}; break;
        case 4: {
            UpdateMember update{.id = NodeId{in.number<uint64_t>()}, .peer_urls = {}};
            update.peer_urls = texts_in(in);
            command = std::move(update);
            break;
        }
        case 5: command = PromoteMember{NodeId{in.number<uint64_t>()}}; break;
        case 6: command = publish_in(in); break;
        case 7: {
            ReplaceMember replace;
            replace.lost = NodeId{in.number<uint64_t>()};
            replace.id = NodeId{in.number<uint64_t>()};
            replace.incarnation = in.number<uint64_t>();
            command = replace;
            break;
        }
        default: return fail(Code::Invalid, "a meta command of unknown kind");
    }
    TRY(in.finish("a meta command"));
    return command;
}

Bytes encode_meta_reply(const Result<Member>& reply) {
    OctetWriter out;
    out.number(static_cast<uint8_t>(reply.has_value()));
    if (reply) {
        put(out, *reply);
    } else {
        out.number(static_cast<uint8_t>(reply.error().code));
        out.text(reply.error().what);
    }
    return Bytes::take(out.take());
}

Result<Member> decode_meta_reply(const Bytes& octets) {
    OctetReader in(octets);
    if (in.number<uint8_t>() != 0) {
        Member member = member_in(in);
        TRY(in.finish("a meta reply"));
        return member;
    }
    const auto code = static_cast<Code>(in.number<uint8_t>());
    std::string what(in.text());
    TRY(in.finish("a meta reply"));
    return fail(code, std::move(what));
}

}  // namespace polis::cluster
