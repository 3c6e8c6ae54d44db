#include "node/auth_token.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "security/test_keys.h"

namespace polis::node {
namespace {

using security::testing::ed25519_other_public_pem;
using security::testing::ed25519_private_pem;
using security::testing::ed25519_public_pem;

/// Files in a folder of their own, gone afterwards.
class AuthTokenTest : public testing::Test {
protected:
    AuthTokenTest() {
        std::string pattern = (std::filesystem::temp_directory_path() / "auth_token_XXXXXX").string();
        folder_ = mkdtemp(pattern.data());
    }
    ~AuthTokenTest() override { std::filesystem::remove_all(folder_); }

    std::string file(const std::string& name, std::string_view text, mode_t mode = 0600) {
        const std::string path = (folder_ / name).string();
        std::ofstream(path) << text;
        EXPECT_EQ(chmod(path.c_str(), mode), 0);
        return path;
    }
    static std::string why(const std::string& option) {
        const auto loaded = load_auth_token(option);
        return loaded ? "it is taken" : loaded.error().what;
    }

private:
    std::filesystem::path folder_;
};

TEST_F(AuthTokenTest, SimpleIsTheDefault) {
    ASSERT_TRUE(load_auth_token("simple").has_value());
    EXPECT_EQ(load_auth_token("simple")->key, nullptr);
    EXPECT_EQ(load_auth_token("")->key, nullptr);
}

TEST_F(AuthTokenTest, APairOfKeysSignsAndChecks) {
    const auto loaded = load_auth_token("jwt,pub-key=" + file("public", ed25519_public_pem, 0644) + ",priv-key=" +
                                        file("private", ed25519_private_pem) + ",sign-method=EdDSA,ttl=1m30s");
    ASSERT_TRUE(loaded.has_value()) << loaded.error().what;
    EXPECT_EQ(loaded->ttl, std::chrono::seconds(90));
    ASSERT_TRUE(loaded->key->can_sign());
    EXPECT_TRUE(loaded->key->verify(loaded->key->sign("{}")).has_value());
}

TEST_F(AuthTokenTest, APublicKeyAloneOnlyChecks) {
    const auto loaded = load_auth_token("jwt,sign-method=EdDSA,pub-key=" + file("public", ed25519_public_pem, 0644));
    ASSERT_TRUE(loaded.has_value()) << loaded.error().what;
    EXPECT_FALSE(loaded->key->can_sign());
    EXPECT_EQ(loaded->ttl, std::chrono::minutes(5));
}

TEST_F(AuthTokenTest, ASharedSecretSignsAndChecks) {
    const auto loaded = load_auth_token("jwt,sign-method=HS256,priv-key=" + file("secret", std::string(32, 's')));
    ASSERT_TRUE(loaded.has_value()) << loaded.error().what;
    EXPECT_TRUE(loaded->key->can_sign());
}

TEST_F(AuthTokenTest, MistakesAreNamedInEtcdsWords) {
    const std::string pub = ",pub-key=" + file("public", ed25519_public_pem, 0644);
    const std::string other = ",pub-key=" + file("other", ed25519_other_public_pem, 0644);
    const std::string priv = ",priv-key=" + file("private", ed25519_private_pem);
    const auto begins = [&](const std::string& option, std::string_view text) {
        EXPECT_TRUE(why(option).starts_with(text)) << option << ": " << why(option);
    };
    begins("jwt", "auth: invalid auth options");
    begins("bearer,ttl=5m", "auth: invalid auth options");
    begins("jwt,sign-method", "auth: invalid auth options");
    begins("jwt,sign-method=EdDSA,sign-method=EdDSA" + priv, "auth: invalid auth options");
    begins("jwt,colour=red,sign-method=EdDSA" + priv, "auth: invalid auth options");
    begins("jwt,sign-method=EdDSA,ttl=soon" + priv, "auth: invalid auth options");
    begins("jwt,sign-method=none" + priv, "auth: invalid auth signature method");
    begins("jwt" + priv, "auth: invalid auth signature method");
    begins("jwt,sign-method=EdDSA", "auth: missing key data");
    begins("jwt,sign-method=HS256" + pub, "auth: missing key data");
    begins("jwt,sign-method=EdDSA" + other + priv, "auth: public and private keys don't match");
    EXPECT_NE(why("jwt,sign-method=RS256" + priv), "it is taken");
    EXPECT_NE(why("jwt,sign-method=EdDSA,priv-key=/nowhere/at/all"), "it is taken");
    EXPECT_NE(why("jwt,sign-method=EdDSA,pub-key=/nowhere/at/all"), "it is taken");
}

// Whoever can read the key can be anybody.
TEST_F(AuthTokenTest, AKeyThatAllMayReadIsRefused) {
    EXPECT_NE(why("jwt,sign-method=EdDSA,priv-key=" + file("private", ed25519_private_pem, 0644)), "it is taken");
}

}  // namespace
}  // namespace polis::node
