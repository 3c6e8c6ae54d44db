// Encoding of the commands and replies of group Meta.
#include "base/octets.h"
#include "cluster/meta_model.h"
#include "cluster/wire.h"

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

// Reads what `put` writes, and keeps in mind what is no such thing.
struct MetaReader {
    explicit MetaReader(std::string_view octets) : in(octets) {}

    uint64_t count() {
        const uint64_t items = in.varint();
        if (items > list_items_max || items > in.rest().size()) wrong = true;
        return wrong ? 0 : items;
    }
    bool flag() {
        const auto octet = in.number<uint8_t>();
        if (octet > 1) wrong = true;
        return octet == 1;
    }
    bool ok() const { return in.ok() && !wrong; }
    Result<void> finish(std::string_view what) const {
        if (in.ok() && wrong) return fail(Code::Invalid, std::string(what) + " has an impossible flag or count");
        return in.finish(what);
    }

    OctetReader in;
    bool wrong = false;
};

std::vector<std::string> texts_in(MetaReader& from) {
    std::vector<std::string> texts;
    const uint64_t count = from.count();
    for (uint64_t i = 0; i < count && from.ok(); ++i) texts.emplace_back(from.in.text());
    return texts;
}

std::map<std::string, std::string> labels_in(MetaReader& from) {
    std::map<std::string, std::string> labels;
    const uint64_t count = from.count();
    for (uint64_t i = 0; i < count && from.ok(); ++i) {
        std::string name(from.in.text());
        labels[std::move(name)] = std::string(from.in.text());
    }
    return labels;
}

Member member_in(MetaReader& from) {
    Member member;
    member.id = NodeId{from.in.number<uint64_t>()};
    member.name = std::string(from.in.text());
    member.peer_urls = texts_in(from);
    member.client_urls = texts_in(from);
    member.learner = from.flag();
    member.labels = labels_in(from);
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

FoundCluster found_in(MetaReader& from) {
    FoundCluster found;
    found.cluster = ClusterId{from.in.number<uint64_t>()};
    found.feature_level = from.in.number<uint32_t>();
    const uint64_t count = from.count();
    for (uint64_t i = 0; i < count && from.ok(); ++i) found.members.push_back(member_in(from));
    return found;
}

UpdateMember update_in(MetaReader& from) {
    UpdateMember update;
    update.id = NodeId{from.in.number<uint64_t>()};
    update.peer_urls = texts_in(from);
    return update;
}

PublishMember publish_in(MetaReader& from) {
    PublishMember publish;
    publish.id = NodeId{from.in.number<uint64_t>()};
    publish.name = std::string(from.in.text());
    publish.client_urls = texts_in(from);
    publish.labels = labels_in(from);
    publish.incarnation = from.in.number<uint64_t>();
    return publish;
}

ReplaceMember replace_in(MetaReader& from) {
    ReplaceMember replace;
    replace.lost = NodeId{from.in.number<uint64_t>()};
    replace.id = NodeId{from.in.number<uint64_t>()};
    replace.incarnation = from.in.number<uint64_t>();
    return replace;
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
    MetaReader from(octets);
    if (from.in.number<uint8_t>() != format) return fail(Code::Invalid, "a meta command of unknown format");
    MetaCommand command;
    switch (from.in.number<uint8_t>()) {
        case 1: command = found_in(from); break;
        case 2: command = AddMember{member_in(from)}; break;
        case 3: command = RemoveMember{NodeId{from.in.number<uint64_t>()}}; break;
        case 4: command = update_in(from); break;
        case 5: command = PromoteMember{NodeId{from.in.number<uint64_t>()}}; break;
        case 6: command = publish_in(from); break;
        case 7: command = replace_in(from); break;
        default: return fail(Code::Invalid, "a meta command of unknown kind");
    }
    TRY(from.finish("a meta command"));
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
    MetaReader from(octets);
    if (from.flag()) {
        Member member = member_in(from);
        TRY(from.finish("a meta reply"));
        return member;
    }
    const Code code = code_of(from.in.number<uint8_t>());
    std::string what(from.in.text());
    TRY(from.finish("a meta reply"));
    return fail(code, std::move(what));
}

}  // namespace polis::cluster
