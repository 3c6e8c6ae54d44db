#include "services/coord/auth_table.h"

#include <algorithm>
#include <utility>

#include "base/ensure.h"
#include "services/coord/store_keys.h"

namespace polis::services {

namespace pb = ::etcdserverpb;

namespace {

const std::string& enabled_key() {
    static const std::string key = named_key(Table::Meta, "auth enabled");
    return key;
}
const std::string& revision_key_of_auth() {
    static const std::string key = named_key(Table::Meta, "auth revision");
    return key;
}

template <class Message, class Into>
Result<void> load_table(const StateReader& reader, Table table, Into& into) {
    const storage::KeyRange range = range_of(table);
    const auto cursor = reader.cursor(range);
    for (cursor->seek(range.first); cursor->valid(); cursor->next()) {
        Message message;
        if (!message.ParseFromArray(cursor->value().data(), static_cast<int>(cursor->value().size())))
            return fail(Code::Corrupt, "a user's or role's record is not what was written");
        into[std::string(cursor->key().substr(1))] = std::move(message);
    }
    return cursor->status();
}

bool is_valid_range(std::string_view key, std::string_view range_end) {
    return !key.empty() && !Interval::of(key, range_end).empty();
}

bool is_same_range(const authpb::Permission& permission, std::string_view key, std::string_view range_end) {
    return permission.key() == key && permission.range_end() == range_end;
}

}  // namespace

std::string Authenticated::encode() const {
    ENSURE(token_prefix.size() == token_prefix_bytes);
    std::string octets;
    append_big_endian(octets, auth_revision);
    return octets.append(token_prefix).append(user);
}

std::optional<Authenticated> Authenticated::parse(std::string_view octets) {
    if (octets.size() < 8 + token_prefix_bytes) return std::nullopt;
    return Authenticated{read_big_endian(octets), std::string(octets.substr(8, token_prefix_bytes)),
                         std::string(octets.substr(8 + token_prefix_bytes))};
}

Result<void> AuthTable::load(const StateReader& reader) {
    users_.clear();
    roles_.clear();
    permissions_.clear();
    TRY(load_table<authpb::User>(reader, Table::Users, users_));
    TRY(load_table<authpb::Role>(reader, Table::Roles, roles_));
    LET(const std::optional<std::string> enabled, reader.get(enabled_key()));
    LET(const std::optional<std::string> revision, reader.get(revision_key_of_auth()));
    if (revision && revision->size() != 8) return fail(Code::Corrupt, "the auth revision is not what was written");
    enabled_ = enabled && *enabled == "1";
    revision_ = revision ? read_big_endian(*revision) : 1;
    return {};
}

const authpb::User* AuthTable::user(std::string_view name) const {
    const auto found = users_.find(name);
    return found == users_.end() ? nullptr : &found->second;
}

bool AuthTable::has_role(const authpb::User& user, std::string_view role) {
    return std::ranges::find(user.roles(), role) != user.roles().end();
}

// ---- Rights ----

Access AuthTable::access_of(std::string_view principal, uint64_t auth_revision) const {
    if (!enabled_) return Access::everything();
    if (principal.empty() || auth_revision == 0) return Access::nothing(Refusal::UserEmpty);
    if (auth_revision < revision_) return Access::nothing(Refusal::AuthOldRevision);
    const authpb::User* found = user(principal);
    if (!found) return Access::nothing(Refusal::PermissionDenied);
    if (has_role(*found, root)) return Access::everything();
    return Access::of(permissions_of(*found));
}

Allowed AuthTable::permit_admin(std::string_view principal) const {
    if (!enabled_) return {};
    if (principal.empty()) return refuse(Refusal::UserEmpty);
    const authpb::User* found = user(principal);
    if (!found || !has_role(*found, root)) return refuse(Refusal::PermissionDenied);
    return {};
}

std::shared_ptr<const Permissions> AuthTable::permissions_of(const authpb::User& user) const {
    if (const auto known = permissions_.find(user.name()); known != permissions_.end()) return known->second;
    auto permissions = std::make_shared<Permissions>();
    for (const std::string& name : user.roles()) {
        const auto role = roles_.find(name);
        if (role == roles_.end()) continue;
        for (const authpb::Permission& each : role->second.keypermission()) {
            const Interval interval = Interval::of(each.key(), each.range_end());
            if (each.permtype() != authpb::Permission::WRITE) permissions->read.add(interval);
            if (each.permtype() != authpb::Permission::READ) permissions->write.add(interval);
        }
    }
    permissions_[user.name()] = permissions;
    return permissions;
}

std::expected<pb::AuthUserGetResponse, Refusal> AuthTable::get_user(std::string_view asker,
                                                                    const std::string& name) const {
    if (asker.empty() || asker != name) TRY(permit_admin(asker));
    const authpb::User* found = user(name);
    if (!found) return refuse(Refusal::UserNotFound);
    pb::AuthUserGetResponse response;
    *response.mutable_roles() = found->roles();
    return response;
}

std::expected<pb::AuthRoleGetResponse, Refusal> AuthTable::get_role(std::string_view asker,
                                                                    const std::string& name) const {
    const authpb::User* self = user(asker);
    if (!self || !has_role(*self, name)) TRY(permit_admin(asker));
    const auto role = roles_.find(name);
    if (role == roles_.end()) return refuse(Refusal::RoleNotFound);
    pb::AuthRoleGetResponse response;
    *response.mutable_perm() = role->second.keypermission();
    if (name == root) {
        response.clear_perm();
        auto& everything = *response.add_perm();
        everything.set_permtype(authpb::Permission::READWRITE);
        everything.set_range_end(std::string(1, '\0'));
    }
    return response;
}

// ---- Changes ----

Allowed AuthTable::enable(storage::Overlay& state) {
    if (enabled_) return {};
    const authpb::User* found = user(root);
    if (!found) return refuse(Refusal::RootUserMissing);
    if (!has_role(*found, root)) return refuse(Refusal::RootRoleMissing);
    enabled_ = true;
    save_enabled(state);
    return {};
}

void AuthTable::disable(storage::Overlay& state) {
    if (!enabled_) return;
    enabled_ = false;
    save_enabled(state);
    raise_revision(state);
}

Allowed AuthTable::add_user(storage::Overlay& state, const pb::AuthUserAddRequest& request) {
    if (request.name().empty()) return refuse(Refusal::UserEmpty);
    if (users_.contains(request.name())) return refuse(Refusal::UserExists);
    authpb::User user;
    user.set_name(request.name());
    if (!request.options().no_password()) user.set_password(request.hashedpassword());
    *user.mutable_options() = request.options();
    save(state, user);
    return {};
}

Allowed AuthTable::delete_user(storage::Overlay& state, const std::string& name) {
    if (enabled_ && name == root) return refuse(Refusal::InvalidAuthManagement);
    if (users_.erase(name) == 0) return refuse(Refusal::UserNotFound);
    state.remove(named_key(Table::Users, name));
    raise_revision(state);
    return {};
}

Allowed AuthTable::change_password(storage::Overlay& state, const pb::AuthUserChangePasswordRequest& request) {
    const authpb::User* found = user(request.name());
    if (!found) return refuse(Refusal::UserNotFound);
    authpb::User changed = *found;
    if (!changed.options().no_password()) changed.set_password(request.hashedpassword());
    save(state, changed);
    return {};
}

Allowed AuthTable::grant_role(storage::Overlay& state, const pb::AuthUserGrantRoleRequest& request) {
    const authpb::User* found = user(request.user());
    if (!found) return refuse(Refusal::UserNotFound);
    if (request.role() != root && !roles_.contains(request.role())) return refuse(Refusal::RoleNotFound);
    if (has_role(*found, request.role())) return {};
    authpb::User changed = *found;
    changed.add_roles(request.role());
    std::ranges::sort(*changed.mutable_roles());
    save(state, changed);
    return {};
}

Allowed AuthTable::revoke_role(storage::Overlay& state, const pb::AuthUserRevokeRoleRequest& request) {
    if (enabled_ && request.name() == root && request.role() == root) return refuse(Refusal::InvalidAuthManagement);
    const authpb::User* found = user(request.name());
    if (!found) return refuse(Refusal::UserNotFound);
    authpb::User changed = *found;
    auto& roles = *changed.mutable_roles();
    const auto granted = std::ranges::find(roles, request.role());
    if (granted == roles.end()) return refuse(Refusal::RoleNotGranted);
    roles.erase(granted);
    save(state, changed);
    return {};
}

Allowed AuthTable::add_role(storage::Overlay& state, const std::string& name) {
    if (name.empty()) return refuse(Refusal::RoleEmpty);
    if (roles_.contains(name)) return refuse(Refusal::RoleExists);
    authpb::Role role;
    role.set_name(name);
    save(state, role);
    return {};
}

Allowed AuthTable::delete_role(storage::Overlay& state, const std::string& name) {
    if (enabled_ && name == root) return refuse(Refusal::InvalidAuthManagement);
    if (roles_.erase(name) == 0) return refuse(Refusal::RoleNotFound);
    state.remove(named_key(Table::Roles, name));
    for (auto& [user_name, user] : users_) {
        auto& roles = *user.mutable_roles();
        const auto granted = std::ranges::find(roles, name);
        if (granted == roles.end()) continue;
        roles.erase(granted);
        state.put(named_key(Table::Users, user_name), user.SerializeAsString());
    }
    raise_revision(state);
    return {};
}

Allowed AuthTable::grant_permission(storage::Overlay& state, const pb::AuthRoleGrantPermissionRequest& request) {
    if (!request.has_perm()) return refuse(Refusal::PermissionNotGiven);
    const authpb::Permission& granted = request.perm();
    if (!is_valid_range(granted.key(), granted.range_end())) return refuse(Refusal::InvalidAuthManagement);
    const auto found = roles_.find(request.name());
    if (found == roles_.end()) return refuse(Refusal::RoleNotFound);
    authpb::Role changed = found->second;
    auto& permissions = *changed.mutable_keypermission();
    const auto same = std::ranges::find_if(permissions, [&](const authpb::Permission& each) {
        return is_same_range(each, granted.key(), granted.range_end());
    });
    if (same != permissions.end()) {
        same->set_permtype(granted.permtype());
    } else {
        *permissions.Add() = granted;
        std::ranges::sort(permissions, [](const authpb::Permission& a, const authpb::Permission& b) {
            return std::tie(a.key(), a.range_end()) < std::tie(b.key(), b.range_end());
        });
    }
    save(state, changed);
    return {};
}

Allowed AuthTable::revoke_permission(storage::Overlay& state, const pb::AuthRoleRevokePermissionRequest& request) {
    const auto found = roles_.find(request.role());
    if (found == roles_.end()) return refuse(Refusal::RoleNotFound);
    authpb::Role changed = found->second;
    auto& permissions = *changed.mutable_keypermission();
    const auto granted = std::ranges::find_if(permissions, [&](const authpb::Permission& each) {
        return is_same_range(each, request.key(), request.range_end());
    });
    if (granted == permissions.end()) return refuse(Refusal::PermissionNotGranted);
    permissions.erase(granted);
    save(state, changed);
    return {};
}

void AuthTable::save(storage::Overlay& state, const authpb::User& user) {
    users_[user.name()] = user;
    state.put(named_key(Table::Users, user.name()), user.SerializeAsString());
    raise_revision(state);
}

void AuthTable::save(storage::Overlay& state, const authpb::Role& role) {
    roles_[role.name()] = role;
    state.put(named_key(Table::Roles, role.name()), role.SerializeAsString());
    raise_revision(state);
}

void AuthTable::save_enabled(storage::Overlay& state) const { state.put(enabled_key(), enabled_ ? "1" : "0"); }

void AuthTable::raise_revision(storage::Overlay& state) {
    ++revision_;
    permissions_.clear();
    std::string record;
    append_big_endian(record, revision_);
    state.put(revision_key_of_auth(), record);
}

}  // namespace polis::services
