// The shell's calls about users and roles. Passwords are hashed and checked on the pool, and never reach the log.
#include <array>
#include <utility>

#include "base/log.h"
#include "security/password.h"
#include "security/secret.h"
#include "services/coord/coord.h"

namespace polis::services {

using namespace std::chrono_literals;
using runtime::Task;

namespace {

constexpr uint32_t hashing_max = 2;         // Each takes a core for 50 ms.
constexpr uint32_t hashing_waits_max = 64;  // Beyond, a flood of logins is refused rather than queued for minutes.

/// 16 letters, as etcd's simple tokens begin.
std::string random_letters(runtime::Random& random) {
    constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    std::string text;
    while (text.size() < Authenticated::token_prefix_bytes) {
        uint64_t bits = random.next();
        // Six bits a letter; those that would not be evenly spread are thrown away.
        for (int i = 0; i < 10 && text.size() < Authenticated::token_prefix_bytes; ++i, bits >>= 6)
            if ((bits & 63) < letters.size()) text.push_back(letters[bits & 63]);
    }
    return text;
}

/// A hash that no password is known to give, as slow to check as a real one.
std::string hash_of_nobody(uint32_t cost) {
    std::string hash = cost < 10 ? "$2a$0" : "$2a$";
    hash += std::to_string(cost) + "$";
    return hash.append(53, '.');  // 22 characters of salt, 31 of hash.
}

}  // namespace

/// Waits for a turn at hashing. REQUIRES: the caller counts hashing_ down and notifies when it is done.
Task<void> CoordService::enter_hashing() {
    if (hashing_waits_ >= hashing_waits_max)
        co_return fail(Code::Overloaded, "too many passwords are being checked; try again");
    ++hashing_waits_;
    Result<void> waited;
    while (waited && hashing_ >= hashing_max) waited = co_await hashing_done_.wait();
    --hashing_waits_;
    if (waited) ++hashing_;
    co_return waited;
}

Task<Reply<std::string>> CoordService::hash_new_password(std::string password) {
    const security::Secret secret(std::move(password));
    std::array<std::byte, security::bcrypt_salt_bytes> salt;
    world_.random.fill(salt);
    CO_TRY(co_await enter_hashing());
    Result<std::string> hash = fail(Code::Canceled, "the hashing did not run");
    const auto ran = co_await world_.pool.run(
        [&hash, &secret, &salt, this] { hash = security::hash_password(secret, salt, options_.bcrypt_cost); });
    --hashing_;
    hashing_done_.notify_all();
    CO_TRY(ran);
    if (!hash) co_return Reply<std::string>(refuse(Refusal::AuthFailed));  // Empty, too long, or with a zero octet.
    co_return Reply<std::string>(*std::move(hash));
}

Task<bool> CoordService::check_password(std::string password, std::string hash) {
    const security::Secret secret(std::move(password));
    CO_TRY(co_await enter_hashing());
    bool matches = false;
    const auto ran =
        co_await world_.pool.run([&matches, &secret, &hash] { matches = security::verify_password(secret, hash); });
    --hashing_;
    hashing_done_.notify_all();
    CO_TRY(ran);
    co_return matches;
}

Task<Reply<pb::AuthenticateResponse>> CoordService::authenticate(pb::AuthenticateRequest request) {
    using Response = Reply<pb::AuthenticateResponse>;
    security::Secret password(std::move(*request.mutable_password()));
    CO_TRY(co_await replica_.read_barrier());
    constexpr int attempts = 10;  // Each is spoilt only by a change of users at the same moment.
    for (int attempt = 0; attempt < attempts; ++attempt) {
        if (!model_.auth().enabled()) co_return Response(refuse(Refusal::AuthNotEnabled));
        const uint64_t revision = model_.auth().revision();
        const authpb::User* user = model_.auth().user(request.name());
        if (user && user->options().no_password()) co_return Response(refuse(Refusal::NoPasswordUser));
        // For an unknown user too, a hash is checked: the time it takes must not tell who exists.
        const std::string hash = user ? user->password() : hash_of_nobody(options_.bcrypt_cost);
        CO_LET(const bool matches, co_await check_password(std::string(password.reveal()), hash));
        if (!matches || !user) co_return Response(refuse(Refusal::AuthFailed));
        if (jwts_) co_return co_await sign_token(request.name(), revision);
        const Authenticated command{revision, random_letters(world_.random), request.name()};
        const Caller nobody;
        CO_LET(const Bytes reply,
               co_await replica_.propose(nobody, encode_command(CommandKind::Authenticate, command.encode())));
        CO_LET(Response response, decode_reply<pb::AuthenticateResponse>(reply));
        if (!response && response.error() == Refusal::AuthOldRevision) continue;
        if (response) complete(*response->mutable_header());
        co_return response;
    }
    co_return Response(refuse(Refusal::AuthOldRevision));
}

/// The token says under which revision of users and roles the password was good, so nobody needs to be told of it: if that is
/// over by now, the token is an old one.
Task<Reply<pb::AuthenticateResponse>> CoordService::sign_token(std::string user, uint64_t revision) {
    using Response = Reply<pb::AuthenticateResponse>;
    if (!jwts_->can_sign()) co_return Response(refuse(Refusal::TokenVerifyOnly));
    const WallTime now = world_.reactor.wall_now();
    pb::AuthenticateResponse response;
    CO_TRY(co_await world_.pool.run(
        [&response, &user, revision, now, this] { response.set_token(jwts_->make(user, revision, now)); }));
    *response.mutable_header() = header();
    co_return Response(std::move(response));
}

Task<void> CoordService::drop_ended_tokens() {
    for (;;) {
        CO_TRY(co_await runtime::sleep_for(1min));
        tokens_.remove_ended(world_.reactor.now());
    }
}

Task<Reply<pb::AuthEnableResponse>> CoordService::auth_enable(const Credentials& who) {
    co_return co_await submit<pb::AuthEnableResponse>(who, CommandKind::AuthEnable, pb::AuthEnableRequest());
}
Task<Reply<pb::AuthDisableResponse>> CoordService::auth_disable(const Credentials& who) {
    co_return co_await submit<pb::AuthDisableResponse>(who, CommandKind::AuthDisable, pb::AuthDisableRequest());
}

Task<Reply<pb::AuthStatusResponse>> CoordService::auth_status(const Credentials& who) {
    using Response = Reply<pb::AuthStatusResponse>;
    CO_LET(const Reply<void> ready, co_await prepare_read(who, false));
    if (!ready) co_return Response(refuse(ready.error()));
    if (const auto allowed = permit_admin(who); !allowed) co_return Response(refuse(allowed.error()));
    pb::AuthStatusResponse response;
    *response.mutable_header() = header();
    response.set_enabled(model_.auth().enabled());
    response.set_authrevision(model_.auth().revision());
    co_return Response(std::move(response));
}

Task<Reply<pb::AuthUserAddResponse>> CoordService::user_add(const Credentials& who, pb::AuthUserAddRequest request) {
    using Response = Reply<pb::AuthUserAddResponse>;
    if (request.name().empty()) co_return Response(refuse(Refusal::UserEmpty));
    if (const auto allowed = permit_admin(who); !allowed) co_return Response(refuse(allowed.error()));
    request.clear_hashedpassword();  // Clients give passwords, nodes give hashes.
    if (!request.options().no_password()) {
        CO_LET(Reply<std::string> hash, co_await hash_new_password(std::move(*request.mutable_password())));
        if (!hash) co_return Response(refuse(hash.error()));
        request.set_hashedpassword(*std::move(hash));
    }
    request.clear_password();
    co_return co_await submit<pb::AuthUserAddResponse>(who, CommandKind::UserAdd, request);
}

Task<Reply<pb::AuthUserChangePasswordResponse>> CoordService::user_change_password(
    const Credentials& who, pb::AuthUserChangePasswordRequest request) {
    using Response = Reply<pb::AuthUserChangePasswordResponse>;
    if (const auto allowed = permit_admin(who); !allowed) co_return Response(refuse(allowed.error()));
    request.clear_hashedpassword();
    const authpb::User* user = model_.auth().user(request.name());
    if (!user || !user->options().no_password()) {
        CO_LET(Reply<std::string> hash, co_await hash_new_password(std::move(*request.mutable_password())));
        if (!hash) co_return Response(refuse(hash.error()));
        request.set_hashedpassword(*std::move(hash));
    }
    request.clear_password();
    co_return co_await submit<pb::AuthUserChangePasswordResponse>(who, CommandKind::UserChangePassword, request);
}

Task<Reply<pb::AuthUserGetResponse>> CoordService::user_get(const Credentials& who, pb::AuthUserGetRequest request) {
    co_return co_await submit<pb::AuthUserGetResponse>(who, CommandKind::UserGet, request);
}
Task<Reply<pb::AuthUserListResponse>> CoordService::user_list(const Credentials& who) {
    co_return co_await submit<pb::AuthUserListResponse>(who, CommandKind::UserList, pb::AuthUserListRequest());
}
Task<Reply<pb::AuthUserDeleteResponse>> CoordService::user_delete(const Credentials& who,
                                                                  pb::AuthUserDeleteRequest request) {
    co_return co_await submit<pb::AuthUserDeleteResponse>(who, CommandKind::UserDelete, request);
}
Task<Reply<pb::AuthUserGrantRoleResponse>> CoordService::user_grant_role(const Credentials& who,
                                                                         pb::AuthUserGrantRoleRequest request) {
    co_return co_await submit<pb::AuthUserGrantRoleResponse>(who, CommandKind::UserGrantRole, request);
}
Task<Reply<pb::AuthUserRevokeRoleResponse>> CoordService::user_revoke_role(const Credentials& who,
                                                                           pb::AuthUserRevokeRoleRequest request) {
    co_return co_await submit<pb::AuthUserRevokeRoleResponse>(who, CommandKind::UserRevokeRole, request);
}
Task<Reply<pb::AuthRoleAddResponse>> CoordService::role_add(const Credentials& who, pb::AuthRoleAddRequest request) {
    co_return co_await submit<pb::AuthRoleAddResponse>(who, CommandKind::RoleAdd, request);
}
Task<Reply<pb::AuthRoleGetResponse>> CoordService::role_get(const Credentials& who, pb::AuthRoleGetRequest request) {
    co_return co_await submit<pb::AuthRoleGetResponse>(who, CommandKind::RoleGet, request);
}
Task<Reply<pb::AuthRoleListResponse>> CoordService::role_list(const Credentials& who) {
    co_return co_await submit<pb::AuthRoleListResponse>(who, CommandKind::RoleList, pb::AuthRoleListRequest());
}
Task<Reply<pb::AuthRoleDeleteResponse>> CoordService::role_delete(const Credentials& who,
                                                                  pb::AuthRoleDeleteRequest request) {
    co_return co_await submit<pb::AuthRoleDeleteResponse>(who, CommandKind::RoleDelete, request);
}
Task<Reply<pb::AuthRoleGrantPermissionResponse>> CoordService::role_grant_permission(
    const Credentials& who, pb::AuthRoleGrantPermissionRequest request) {
    co_return co_await submit<pb::AuthRoleGrantPermissionResponse>(who, CommandKind::RoleGrantPermission, request);
}
Task<Reply<pb::AuthRoleRevokePermissionResponse>> CoordService::role_revoke_permission(
    const Credentials& who, pb::AuthRoleRevokePermissionRequest request) {
    co_return co_await submit<pb::AuthRoleRevokePermissionResponse>(who, CommandKind::RoleRevokePermission, request);
}

}  // namespace polis::services
