// Stories about signed tokens: what they claim, when they end, and what a cluster that uses them does.
#include "services/coord/jwt_tokens.h"

#include <gtest/gtest.h>

#include "security/test_keys.h"
#include "services/coord/coord_fixture.h"

namespace polis::services {
namespace {

using namespace std::chrono_literals;
using security::Secret;
using security::TokenAlgorithm;
using security::TokenKey;

std::shared_ptr<const TokenKey> shared_secret(char letter = 's') {
    auto key = TokenKey::signing(TokenAlgorithm::HS256, Secret(std::string(32, letter)));
    EXPECT_TRUE(key.has_value());
    return std::make_shared<const TokenKey>(*std::move(key));
}

WallTime at(int64_t seconds) { return {std::chrono::seconds(seconds)}; }

TEST(JwtTokens, SayWhoAndUnderWhichRevisionUntilTheyEnd) {
    JwtTokens tokens(shared_secret(), 300s);
    const std::string token = tokens.make("ann \"\xc3\xa9\"", 7, at(1000));
    const JwtTokens::Claims* claims = tokens.find(token, at(1299));
    ASSERT_NE(claims, nullptr);
    EXPECT_EQ(claims->user, "ann \"\xc3\xa9\"");
    EXPECT_EQ(claims->revision, 7u);
    EXPECT_EQ(claims->ends, 1300);
    EXPECT_EQ(tokens.remembered(), 1u);
    EXPECT_EQ(tokens.find(token, at(1300)), nullptr);
    EXPECT_EQ(tokens.remembered(), 0u);
}

TEST(JwtTokens, OfAnotherKeyAreRefused) {
    JwtTokens tokens(shared_secret(), 300s);
    JwtTokens others(shared_secret('o'), 300s);
    EXPECT_EQ(tokens.find(others.make("ann", 7, at(1000)), at(1000)), nullptr);
    EXPECT_EQ(tokens.find("", at(1000)), nullptr);
    EXPECT_EQ(tokens.find("a.b.c", at(1000)), nullptr);
    std::string token = tokens.make("ann", 7, at(1000));
    token[token.size() / 2] ^= 1;
    EXPECT_EQ(tokens.find(token, at(1000)), nullptr);
    EXPECT_EQ(tokens.remembered(), 0u);
}

TEST(JwtTokens, RememberNoMoreThanTheyShould) {
    JwtTokens tokens(shared_secret(), 300s);
    for (uint64_t i = 0; i < 10'050; ++i) ASSERT_NE(tokens.find(tokens.make("ann", i, at(1000)), at(1000)), nullptr);
    EXPECT_LE(tokens.remembered(), 10'000u);
}

TEST(JwtClaims, AreThoseOfEtcd) {
    const auto claims = parse_claims(R"({"exp":1.5e3,"nbf":10,"revision":3,"username":"ann","other":[1]})");
    ASSERT_TRUE(claims.has_value());
    EXPECT_EQ(claims->ends, 1500);
    EXPECT_EQ(claims->begins, 10);
    EXPECT_EQ(claims->revision, 3u);
    EXPECT_FALSE(parse_claims(R"({"revision":3,"username":"ann"})")->ends.has_value());
    for (const char* wrong :
         {"", "[]", "{}", R"({"username":"ann"})", R"({"revision":3})", R"({"username":7,"revision":3})",
          R"({"username":"","revision":3})", R"({"username":"ann","revision":"3"})",
          R"({"username":"ann","revision":-1})", R"({"username":"ann","revision":1e300})",
          R"({"username":"ann","revision":3,"exp":"never"})", R"({"username":"ann","revision":3,"exp":1e300})",
          R"({"username":"ann","revision":3,"nbf":null})"}) {
        EXPECT_FALSE(parse_claims(wrong).has_value()) << wrong;
    }
}

/// Authentication on, by signed tokens: root, and ann who may read and write "a".
struct JwtFixture : CoordFixture {
    explicit JwtFixture(std::shared_ptr<const TokenKey> key = shared_secret()) : CoordFixture(with(std::move(key))) {
        for (const std::string name : {"root", "ann"}) {
            pb::AuthRoleAddRequest role;
            role.set_name(name);
            if (name != "root") get(coord->role_add(nobody, role));
            pb::AuthUserAddRequest user;
            user.set_name(name);
            user.set_password(name);
            get(coord->user_add(nobody, user));
            pb::AuthUserGrantRoleRequest grant;
            grant.set_user(name);
            grant.set_role(name);
            get(coord->user_grant_role(nobody, grant));
        }
        permit("a");
        get(coord->auth_enable(nobody));
    }
    static CoordOptions with(std::shared_ptr<const TokenKey> key) {
        CoordOptions options = fast_options();
        options.token_key = std::move(key);
        return options;
    }
    void permit(const std::string& key, const Credentials& who = {}) {
        pb::AuthRoleGrantPermissionRequest request;
        request.set_name("ann");
        request.mutable_perm()->set_permtype(authpb::Permission::READWRITE);
        request.mutable_perm()->set_key(key);
        get(coord->role_grant_permission(who, request));
    }
    pb::AuthenticateRequest login_of(const std::string& name) {
        pb::AuthenticateRequest request;
        request.set_name(name);
        request.set_password(name);
        return request;
    }
    Credentials login(const std::string& name) {
        Credentials who;
        who.token = get(coord->authenticate(login_of(name))).token();
        return who;
    }
};

TEST(CoordJwt, ALoginGivesATokenThatOpensItsKeys) {
    JwtFixture fixture;
    const size_t commands = fixture.replica.commands.size();
    const Credentials ann = fixture.login("ann");
    EXPECT_EQ(fixture.replica.commands.size(), commands);  // Nobody has to remember it.
    fixture.get(fixture.coord->put(ann, fixture.put_of("a", "1")));
    EXPECT_EQ(fixture.refusal(fixture.coord->put(ann, fixture.put_of("b", "1"))), Refusal::PermissionDenied);
    Credentials forged = ann;
    forged.token.back() = forged.token.back() == 'A' ? 'B' : 'A';
    forged.token[forged.token.size() - 3] ^= 1;
    EXPECT_EQ(fixture.refusal(fixture.coord->put(forged, fixture.put_of("a", "1"))), Refusal::InvalidAuthToken);
    pb::AuthenticateRequest wrong = fixture.login_of("ann");
    wrong.set_password("wrong");
    EXPECT_EQ(fixture.refusal(fixture.coord->authenticate(wrong)), Refusal::AuthFailed);
}

TEST(CoordJwt, ATokenEndsWithItsTermWhateverItsUse) {
    JwtFixture fixture;
    const Credentials ann = fixture.login("ann");
    fixture.reactor.run_for(200s);
    fixture.get(fixture.coord->put(ann, fixture.put_of("a", "1")));
    fixture.reactor.run_for(101s);
    EXPECT_EQ(fixture.refusal(fixture.coord->put(ann, fixture.put_of("a", "1"))), Refusal::InvalidAuthToken);
}

// etcd: the token says under which revision it was given; a later one may have taken its bearer's rights away.
TEST(CoordJwt, ATokenIsOldAfterAChangeOfRights) {
    JwtFixture fixture;
    const Credentials ann = fixture.login("ann");
    fixture.permit("b", fixture.login("root"));
    EXPECT_EQ(fixture.refusal(fixture.coord->put(ann, fixture.put_of("a", "1"))), Refusal::AuthOldRevision);
    EXPECT_EQ(fixture.refusal(fixture.coord->range(ann, fixture.range_of("a"))), Refusal::AuthOldRevision);
    fixture.get(fixture.coord->put(fixture.login("ann"), fixture.put_of("b", "1")));
}

TEST(CoordJwt, AWatchOutlivesItsTokenButNotItsRight) {
    JwtFixture fixture;
    const auto stream = fixture.coord->watch(fixture.login("ann"));
    pb::WatchRequest request;
    request.mutable_create_request()->set_key("a");
    stream->request(request);
    EXPECT_FALSE(fixture.next(*stream).head.canceled());
    fixture.reactor.run_for(1h);
    const Credentials root = fixture.login("root");
    fixture.permit("b", root);
    fixture.get(fixture.coord->put(fixture.login("root"), fixture.put_of("a", "1")));
    EXPECT_EQ(fixture.next(*stream).events.size(), 1u);
    pb::AuthUserRevokeRoleRequest revoke;
    revoke.set_name("ann");
    revoke.set_role("ann");
    fixture.get(fixture.coord->user_revoke_role(root, revoke));
    EXPECT_TRUE(fixture.next(*stream).head.canceled());
}

TEST(CoordJwt, WithAPublicKeyOnlyTokensOfOthersAreTakenAndNoneGivenOut) {
    auto verifying = TokenKey::verifying(TokenAlgorithm::EdDSA, security::testing::ed25519_public_pem);
    auto signing =
        TokenKey::signing(TokenAlgorithm::EdDSA, Secret(std::string(security::testing::ed25519_private_pem)));
    ASSERT_TRUE(verifying && signing);
    JwtFixture fixture(std::make_shared<const TokenKey>(*std::move(verifying)));
    EXPECT_EQ(fixture.refusal(fixture.coord->authenticate(fixture.login_of("ann"))), Refusal::TokenVerifyOnly);
    const JwtTokens issuer(std::make_shared<const TokenKey>(*std::move(signing)), 300s);
    Credentials ann;
    ann.token = issuer.make("ann", 1'000'000, fixture.reactor.wall_now());
    fixture.get(fixture.coord->put(ann, fixture.put_of("a", "1")));
}

}  // namespace
}  // namespace polis::services
