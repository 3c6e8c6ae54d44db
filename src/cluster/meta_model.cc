#include "cluster/meta_model.h"

#include <algorithm>

#include "base/octets.h"

namespace polis::cluster {
namespace {

constexpr auto learners_max = 1;  // etcd's --max-learners.

// Keys in the group's store (docs/internals/formats/meta.md): "c" the cluster, "m" + id a member, "x" + id a removed one.
std::string cluster_row() { return "c"; }

std::string row(char table, NodeId id) {
    OctetWriter out;
    out.octets({&table, 1});
    out.number(number_of(id));
    return out.take();
}

// A member's row is the PublishMember-independent record: the reply encoding of the member, then what only meta knows.
std::string encode_record(const MemberRecord& record) {
    OctetWriter out;
    out.text(encode_meta_reply(record.member));
    out.number(record.incarnation);
    out.number(number_of(record.replaces));
    return out.take();
}

Result<MemberRecord> decode_record(std::string_view octets) {
    OctetReader in(octets);
    MemberRecord record;
    LET(record.member, decode_meta_reply(Bytes::copy(in.text())));
    record.incarnation = in.number<uint64_t>();
    record.replaces = NodeId{in.number<uint64_t>()};
    TRY(in.finish("a member's row"));
    return record;
}

std::unexpected<Error> no_such_member(NodeId id) {
    char hex[20];
    std::snprintf(hex, sizeof hex, "%lx", static_cast<unsigned long>(number_of(id)));
    return fail(Code::NotFound, std::string("no member ") + hex + ": `polis member list` shows who there is");
}

}  // namespace

Result<void> MetaModel::load(const storage::Store& store) {
    cluster_ = {};
    members_.clear();
    removed_.clear();
    LET(const std::optional<std::string> cluster, store.get(cluster_row()));
    if (cluster) {
        OctetReader in(*cluster);
        cluster_ = ClusterId{in.number<uint64_t>()};
        feature_level_ = in.number<uint32_t>();
        if (!in.ok()) return fail(Code::Corrupt, "the cluster's row is cut short");
    }
    const auto cursor = store.cursor({"m", "y"});
    for (cursor->seek("m"); cursor->valid(); cursor->next()) {
        OctetReader key(cursor->key().substr(1));
        const NodeId id{key.number<uint64_t>()};
        if (cursor->key().front() == 'x') {
            removed_[id] = true;
        } else if (cursor->key().front() == 'm') {
            LET(members_[id], decode_record(cursor->value()));
        }
    }
    ++version_;
    return cursor->status();
}

Applied MetaModel::apply(LogIndex, const Envelope& envelope, storage::Overlay& state) {
    const Result<MetaCommand> command = decode_meta_command(envelope.command);
    if (!command) return {encode_meta_reply(std::unexpected(command.error()))};
    Result<Member> reply = std::visit([&](const auto& one) { return apply(one, state); }, *command);
    return {encode_meta_reply(reply)};
}

void MetaModel::committed(LogIndex) {
    if (announced_ == version_) return;
    announced_ = version_;
    if (listener_) listener_();
}

Member MetaModel::save(MemberRecord record, storage::Overlay& state) {
    const NodeId id = record.member.id;
    state.put(row('m', id), encode_record(record));
    ++version_;
    return (members_[id] = std::move(record)).member;
}

void MetaModel::erase(NodeId id, storage::Overlay& state) {
    members_.erase(id);
    removed_[id] = true;
    state.remove(row('m', id));
    state.put(row('x', id), "");
    ++version_;
}

Result<void> MetaModel::urls_are_free(const std::vector<std::string>& urls, NodeId except) const {
    if (urls.empty()) return fail(Code::Invalid, "a member needs at least one peer URL");
    for (const auto& [id, record] : members_) {
        if (id == except) continue;
        for (const std::string& url : record.member.peer_urls) {
            if (std::ranges::find(urls, url) != urls.end()) {
                return fail(Code::Exists, url + " is another member's peer URL");
            }
        }
    }
    return {};
}

Result<Member> MetaModel::apply(const FoundCluster& found, storage::Overlay& state) {
    if (cluster_ != ClusterId::None) return Member{};
    cluster_ = found.cluster;
    feature_level_ = found.feature_level;
    OctetWriter out;
    out.number(number_of(cluster_));
    out.number(feature_level_);
    state.put(cluster_row(), out.str());
    for (const Member& member : found.members) save({.member = member, .incarnation = 0, .replaces = {}}, state);
    ++version_;
    return Member{};
}

Result<Member> MetaModel::apply(const AddMember& add, storage::Overlay& state) {
    if (members_.contains(add.member.id) || removed_.contains(add.member.id)) {
        return fail(Code::Exists, "a member of that id is or was there");
    }
    TRY(urls_are_free(add.member.peer_urls, NodeId::Nobody));
    const auto learners = std::ranges::count_if(members_, [](const auto& one) { return one.second.member.learner; });
    if (add.member.learner && learners >= learners_max) {
        return fail(Code::Invalid, "too many learners: promote or remove the one there is first");
    }
    return save({.member = add.member, .incarnation = 0, .replaces = {}}, state);
}

Result<Member> MetaModel::apply(const RemoveMember& remove, storage::Overlay& state) {
    const auto place = members_.find(remove.id);
    if (place == members_.end()) return no_such_member(remove.id);
    const auto voters = std::ranges::count_if(members_, [](const auto& one) { return !one.second.member.learner; });
    if (!place->second.member.learner && voters == 1) {
        return fail(Code::Invalid, "the last voting member cannot be removed");
    }
    const Member gone = place->second.member;
    erase(remove.id, state);
    return gone;
}

Result<Member> MetaModel::apply(const UpdateMember& update, storage::Overlay& state) {
    const auto place = members_.find(update.id);
    if (place == members_.end()) return no_such_member(update.id);
    TRY(urls_are_free(update.peer_urls, update.id));
    MemberRecord record = place->second;
    record.member.peer_urls = update.peer_urls;
    return save(std::move(record), state);
}

Result<Member> MetaModel::apply(const PromoteMember& promote, storage::Overlay& state) {
    const auto place = members_.find(promote.id);
    if (place == members_.end()) return no_such_member(promote.id);
    if (!place->second.member.learner) return fail(Code::Invalid, "the member votes already");
    MemberRecord record = place->second;
    record.member.learner = false;
    return save(std::move(record), state);
}

Result<Member> MetaModel::apply(const PublishMember& publish, storage::Overlay& state) {
    const auto place = members_.find(publish.id);
    if (place == members_.end()) return no_such_member(publish.id);
    MemberRecord record = place->second;
    if (record.incarnation != 0 && record.incarnation != publish.incarnation) {
        return fail(Code::Stale, "the member's disk was replaced: it must join again");
    }
    record.member.name = publish.name;
    record.member.client_urls = publish.client_urls;
    record.member.labels = publish.labels;
    record.incarnation = publish.incarnation;
    return save(std::move(record), state);
}

Result<Member> MetaModel::apply(const ReplaceMember& replace, storage::Overlay& state) {
    const auto place = members_.find(replace.lost);
    if (place == members_.end()) {
        // Asked twice: the first time has done it.
        for (const auto& [id, record] : members_) {
            if (record.replaces == replace.lost && record.incarnation == replace.incarnation) return record.member;
        }
        return no_such_member(replace.lost);
    }
    if (place->second.incarnation == replace.incarnation) {
        return fail(Code::Invalid, "the member's disk is the one we know: nothing to replace");
    }
    MemberRecord record = place->second;
    record.member.id = replace.id;
    record.incarnation = replace.incarnation;
    record.replaces = replace.lost;
    erase(replace.lost, state);
    return save(std::move(record), state);
}

}  // namespace polis::cluster
