// The model's commands about users, roles and permissions.
#include <optional>
#include <utility>

#include "base/ensure.h"
#include "services/coord/model_context.h"

namespace polis::services {

namespace {

bool needs_admin(CommandKind kind) {
    switch (kind) {
        case CommandKind::AuthEnable:  // Before it everybody may; once it is on, root only.
        case CommandKind::AuthDisable:
        case CommandKind::UserAdd:
        case CommandKind::UserList:
        case CommandKind::UserDelete:
        case CommandKind::UserChangePassword:
        case CommandKind::UserGrantRole:
        case CommandKind::UserRevokeRole:
        case CommandKind::RoleAdd:
        case CommandKind::RoleList:
        case CommandKind::RoleDelete:
        case CommandKind::RoleGrantPermission:
        case CommandKind::RoleRevokePermission: return true;
        default: return false;  // Those that look closer themselves.
    }
}

/// Parses the request and hands it to `change`; absent if it is no encoding.
template <class Request, class Change>
std::optional<Allowed> with(std::string_view octets, Change change) {
    const auto request = parse<Request>(octets);
    if (!request) return std::nullopt;
    return change(*request);
}

}  // namespace

Bytes CoordModel::auth(Context& context, CommandKind kind, std::string_view request) {
    if (needs_admin(kind))
        if (const auto allowed = auth_.permit_admin(context.principal); !allowed) return encode_reply(allowed.error());
    switch (kind) {
        case CommandKind::Authenticate: return authenticate(context, request);
        case CommandKind::UserList: return list_users();
        case CommandKind::RoleList: return list_roles();
        case CommandKind::UserGet: {
            const auto parsed = parse<pb::AuthUserGetRequest>(request);
            if (!parsed) return encode_misunderstood();
            auto found = auth_.get_user(context.principal, parsed->name());
            return found ? answer(*std::move(found)) : encode_reply(found.error());
        }
        case CommandKind::RoleGet: {
            const auto parsed = parse<pb::AuthRoleGetRequest>(request);
            if (!parsed) return encode_misunderstood();
            auto found = auth_.get_role(context.principal, parsed->role());
            return found ? answer(*std::move(found)) : encode_reply(found.error());
        }
        default: break;
    }
    const uint64_t before = auth_.revision();
    const bool enabled_before = auth_.enabled();
    std::optional<Allowed> outcome = change_users(context, kind, request);
    if (!outcome) outcome = change_roles(context, kind, request);
    if (!outcome) return encode_misunderstood();
    if (!*outcome) return encode_reply(outcome->error());
    if (auth_.revision() != before || auth_.enabled() != enabled_before) effects_.auth_changed = true;
    // All of these answers hold a header and nothing else: on the wire they are the same message.
    return answer(pb::AuthEnableResponse());
}

Bytes CoordModel::authenticate(const Context& context, std::string_view octets) {
    const auto request = Authenticated::parse(octets);
    if (!request) return encode_misunderstood();
    if (!auth_.enabled()) return encode_reply(Refusal::AuthNotEnabled);
    // Between the check of the password and now it may have been changed, or the user deleted: check again.
    if (request->auth_revision != auth_.revision()) return encode_reply(Refusal::AuthOldRevision);
    if (!auth_.user(request->user)) return encode_reply(Refusal::AuthFailed);
    pb::AuthenticateResponse response;
    response.set_token(request->token_prefix + "." + std::to_string(context.index.value));
    effects_.tokens.push_back({response.token(), request->user});
    return answer(std::move(response));
}

std::optional<Allowed> CoordModel::change_users(Context& context, CommandKind kind, std::string_view request) {
    storage::Overlay& state = context.state;
    switch (kind) {
        case CommandKind::AuthEnable: return auth_.enable(state);
        case CommandKind::AuthDisable:
            auth_.disable(state);
            effects_.tokens_void = true;
            return Allowed();
        case CommandKind::UserAdd:
            return with<pb::AuthUserAddRequest>(request, [&](const auto& each) { return auth_.add_user(state, each); });
        case CommandKind::UserDelete:
            return with<pb::AuthUserDeleteRequest>(request, [&](const auto& each) {
                const Allowed deleted = auth_.delete_user(state, each.name());
                if (deleted) effects_.users_changed.push_back(each.name());
                return deleted;
            });
        case CommandKind::UserChangePassword:
            return with<pb::AuthUserChangePasswordRequest>(request, [&](const auto& each) {
                const Allowed changed = auth_.change_password(state, each);
                if (changed) effects_.users_changed.push_back(each.name());
                return changed;
            });
        case CommandKind::UserGrantRole:
            return with<pb::AuthUserGrantRoleRequest>(request,
                                                      [&](const auto& each) { return auth_.grant_role(state, each); });
        case CommandKind::UserRevokeRole:
            return with<pb::AuthUserRevokeRoleRequest>(
                request, [&](const auto& each) { return auth_.revoke_role(state, each); });
        default: return std::nullopt;
    }
}

std::optional<Allowed> CoordModel::change_roles(Context& context, CommandKind kind, std::string_view request) {
    storage::Overlay& state = context.state;
    switch (kind) {
        case CommandKind::RoleAdd:
            return with<pb::AuthRoleAddRequest>(request,
                                                [&](const auto& each) { return auth_.add_role(state, each.name()); });
        case CommandKind::RoleDelete:
            return with<pb::AuthRoleDeleteRequest>(
                request, [&](const auto& each) { return auth_.delete_role(state, each.role()); });
        case CommandKind::RoleGrantPermission:
            return with<pb::AuthRoleGrantPermissionRequest>(
                request, [&](const auto& each) { return auth_.grant_permission(state, each); });
        case CommandKind::RoleRevokePermission:
            return with<pb::AuthRoleRevokePermissionRequest>(
                request, [&](const auto& each) { return auth_.revoke_permission(state, each); });
        default: return std::nullopt;
    }
}

Bytes CoordModel::list_users() const {
    pb::AuthUserListResponse response;
    for (const auto& [name, user] : auth_.users()) response.add_users(name);
    return answer(std::move(response));
}

Bytes CoordModel::list_roles() const {
    pb::AuthRoleListResponse response;
    for (const auto& [name, role] : auth_.roles()) response.add_roles(name);
    return answer(std::move(response));
}

}  // namespace polis::services
