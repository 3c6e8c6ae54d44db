// AuthTable: users, roles and permissions, and whether they are enforced. etcd's rules.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "codec/etcd/auth.pb.h"
#include "codec/etcd/rpc.pb.h"
#include "services/coord/access.h"
#include "services/coord/state_reader.h"
#include "storage/kv/overlay.h"

namespace polis::services {

/// The command Authenticate: somebody checked the user's password, under that revision of this table.
struct Authenticated {
    static constexpr size_t token_prefix_bytes = 16;

    uint64_t auth_revision = 0;
    std::string token_prefix;
    std::string user;

    std::string encode() const;
    static std::optional<Authenticated> parse(std::string_view octets);
};

/// Every change raises revision(); a command that was let in under an older one is refused, as its sender's rights may be gone.
class AuthTable {
public:
    static constexpr std::string_view root = "root";  // The user that must exist, and the role that may everything.

    Result<void> load(const StateReader& reader);

    bool enabled() const { return enabled_; }
    uint64_t revision() const { return revision_; }
    /// Null if there is none.
    const authpb::User* user(std::string_view name) const;
    const std::map<std::string, authpb::User, std::less<>>& users() const { return users_; }
    const std::map<std::string, authpb::Role, std::less<>>& roles() const { return roles_; }

    /// What `principal`, let in under `auth_revision`, may do with keys.
    Access access_of(std::string_view principal, uint64_t auth_revision) const;
    /// Whether `principal` may manage users and the cluster.
    Allowed permit_admin(std::string_view principal) const;

    Allowed enable(storage::Overlay& state);
    void disable(storage::Overlay& state);
    Allowed add_user(storage::Overlay& state, const etcdserverpb::AuthUserAddRequest& request);
    Allowed delete_user(storage::Overlay& state, const std::string& name);
    Allowed change_password(storage::Overlay& state, const etcdserverpb::AuthUserChangePasswordRequest& request);
    Allowed grant_role(storage::Overlay& state, const etcdserverpb::AuthUserGrantRoleRequest& request);
    Allowed revoke_role(storage::Overlay& state, const etcdserverpb::AuthUserRevokeRoleRequest& request);
    Allowed add_role(storage::Overlay& state, const std::string& name);
    Allowed delete_role(storage::Overlay& state, const std::string& name);
    Allowed grant_permission(storage::Overlay& state, const etcdserverpb::AuthRoleGrantPermissionRequest& request);
    Allowed revoke_permission(storage::Overlay& state, const etcdserverpb::AuthRoleRevokePermissionRequest& request);

    /// `asker` may see itself and its own roles, whoever manages users may see all.
    std::expected<etcdserverpb::AuthUserGetResponse, Refusal> get_user(std::string_view asker,
                                                                       const std::string& name) const;
    std::expected<etcdserverpb::AuthRoleGetResponse, Refusal> get_role(std::string_view asker,
                                                                       const std::string& name) const;

private:
    static bool has_role(const authpb::User& user, std::string_view role);
    std::shared_ptr<const Permissions> permissions_of(const authpb::User& user) const;
    void save(storage::Overlay& state, const authpb::User& user);
    void save(storage::Overlay& state, const authpb::Role& role);
    void save_enabled(storage::Overlay& state) const;
    void raise_revision(storage::Overlay& state);

    bool enabled_ = false;
    uint64_t revision_ = 1;
    std::map<std::string, authpb::User, std::less<>> users_;
    std::map<std::string, authpb::Role, std::less<>> roles_;
    // What each user's roles add up to, at revision_; made when first asked for.
    mutable std::map<std::string, std::shared_ptr<const Permissions>, std::less<>> permissions_;
};

}  // namespace polis::services
