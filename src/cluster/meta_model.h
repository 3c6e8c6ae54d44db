// MetaModel: the replicated facts about the cluster itself: who the members are. The model of group Meta.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "cluster/api.h"

namespace polis::cluster {

/// A member as the cluster remembers it.
struct MemberRecord {
    Member member;
    uint64_t incarnation = 0;  // Of its disk, once it has started; another one is a stranger. 0: not started yet.
    NodeId replaces{};         // Whose place it took when that one's disk was lost.
};

// ---- Commands. Encoded by encode_meta_command; stable on disk. ----

/// The first command of a cluster's life; later ones change nothing.
struct FoundCluster {
    ClusterId cluster{};
    uint32_t feature_level = 1;
    std::vector<Member> members;
};
/// A member that will come; its id was drawn by whoever proposes.
struct AddMember {
    Member member;
};
struct RemoveMember {
    NodeId id{};
};
struct UpdateMember {
    NodeId id{};
    std::vector<std::string> peer_urls;
};
struct PromoteMember {
    NodeId id{};
};
/// A member has started, and says how clients reach it.
struct PublishMember {
    NodeId id{};
    std::string name;
    std::vector<std::string> client_urls;
    std::map<std::string, std::string> labels;
    uint64_t incarnation = 0;
};
/// `lost` came back with an empty disk: `id` takes its place, as a learner until it has caught up.
struct ReplaceMember {
    NodeId lost{};
    NodeId id{};
    uint64_t incarnation = 0;
};
using MetaCommand =
    std::variant<FoundCluster, AddMember, RemoveMember, UpdateMember, PromoteMember, PublishMember, ReplaceMember>;

Bytes encode_meta_command(const MetaCommand& command);
Result<MetaCommand> decode_meta_command(const Bytes& octets);

/// The reply to a command: the member concerned, or why nothing was done (Invalid, NotFound, Exists).
Bytes encode_meta_reply(const Result<Member>& reply);
Result<Member> decode_meta_reply(const Bytes& octets);

/// See cluster::Model. Keeps all members in memory too: there are few.
class MetaModel : public Model {
public:
    Result<void> load(const storage::Store& store) override;
    Applied apply(LogIndex index, const Envelope& envelope, storage::Overlay& state) override;
    void committed(LogIndex index) override;

    /// None until the cluster was founded (or this node has learned of it).
    ClusterId cluster() const { return cluster_; }
    uint32_t feature_level() const { return feature_level_; }
    const std::map<NodeId, MemberRecord>& members() const { return members_; }
    bool was_removed(NodeId id) const { return removed_.contains(id); }
    /// Rises with every change, on this node only.
    uint64_t version() const { return version_; }

    void on_change(std::function<void()> listener) { listener_ = std::move(listener); }

private:
    Result<Member> apply(const FoundCluster& found, storage::Overlay& state);
    Result<Member> apply(const AddMember& add, storage::Overlay& state);
    Result<Member> apply(const RemoveMember& remove, storage::Overlay& state);
    Result<Member> apply(const UpdateMember& update, storage::Overlay& state);
    Result<Member> apply(const PromoteMember& promote, storage::Overlay& state);
    Result<Member> apply(const PublishMember& publish, storage::Overlay& state);
    Result<Member> apply(const ReplaceMember& replace, storage::Overlay& state);
    Result<void> urls_are_free(const std::vector<std::string>& urls, NodeId except) const;
    Member save(MemberRecord record, storage::Overlay& state);
    void erase(NodeId id, storage::Overlay& state);

    ClusterId cluster_{};
    uint32_t feature_level_ = 1;
    std::map<NodeId, MemberRecord> members_;
    std::map<NodeId, bool> removed_;
    uint64_t version_ = 0;
    uint64_t announced_ = 0;
    std::function<void()> listener_;
};

}  // namespace polis::cluster
