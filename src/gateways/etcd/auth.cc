// The Auth service: seventeen methods, all coord's.
#include "gateways/etcd/serve.h"

namespace polis::gateways {
namespace {

using services::Coord;
using services::Credentials;

/// Registers a method that coord has under the same shape.
template <class Request, auto method>
void pass(rpc::Routes& routes, Backend& backend, std::string_view name, Effect effect) {
    unary<Request>(routes, backend, "/etcdserverpb.Auth/" + std::string(name), effect,
                   [](Backend& b, const Credentials& who, Request request) {
                       if constexpr (std::invocable<decltype(method), Coord&, const Credentials&, Request>) {
                           return (b.coord.*method)(who, std::move(request));
                       } else if constexpr (std::invocable<decltype(method), Coord&, const Credentials&>) {
                           return (b.coord.*method)(who);
                       } else {
                           return (b.coord.*method)(std::move(request));
                       }
                   });
}

}  // namespace

void register_auth(Backend& backend, rpc::Routes& routes) {
    constexpr Effect write = Effect::Write;
    constexpr Effect read = Effect::Read;
    pass<pb::AuthEnableRequest, &Coord::auth_enable>(routes, backend, "AuthEnable", write);
    pass<pb::AuthDisableRequest, &Coord::auth_disable>(routes, backend, "AuthDisable", write);
    pass<pb::AuthStatusRequest, &Coord::auth_status>(routes, backend, "AuthStatus", read);
    pass<pb::AuthenticateRequest, &Coord::authenticate>(routes, backend, "Authenticate", write);
    pass<pb::AuthUserAddRequest, &Coord::user_add>(routes, backend, "UserAdd", write);
    pass<pb::AuthUserGetRequest, &Coord::user_get>(routes, backend, "UserGet", read);
    pass<pb::AuthUserListRequest, &Coord::user_list>(routes, backend, "UserList", read);
    pass<pb::AuthUserDeleteRequest, &Coord::user_delete>(routes, backend, "UserDelete", write);
    pass<pb::AuthUserChangePasswordRequest, &Coord::user_change_password>(routes, backend, "UserChangePassword", write);
    pass<pb::AuthUserGrantRoleRequest, &Coord::user_grant_role>(routes, backend, "UserGrantRole", write);
    pass<pb::AuthUserRevokeRoleRequest, &Coord::user_revoke_role>(routes, backend, "UserRevokeRole", write);
    pass<pb::AuthRoleAddRequest, &Coord::role_add>(routes, backend, "RoleAdd", write);
    pass<pb::AuthRoleGetRequest, &Coord::role_get>(routes, backend, "RoleGet", read);
    pass<pb::AuthRoleListRequest, &Coord::role_list>(routes, backend, "RoleList", read);
    pass<pb::AuthRoleDeleteRequest, &Coord::role_delete>(routes, backend, "RoleDelete", write);
    pass<pb::AuthRoleGrantPermissionRequest, &Coord::role_grant_permission>(routes, backend, "RoleGrantPermission",
                                                                            write);
    pass<pb::AuthRoleRevokePermissionRequest, &Coord::role_revoke_permission>(routes, backend, "RoleRevokePermission",
                                                                              write);
}

}  // namespace polis::gateways
