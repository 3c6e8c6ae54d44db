#include "security/password.h"

#include <gtest/gtest.h>

#include <array>

namespace polis::security {
namespace {

constexpr unsigned cheap = 4;

std::array<std::byte, bcrypt_salt_bytes> salt_of(unsigned char octet) {
    std::array<std::byte, bcrypt_salt_bytes> salt;
    salt.fill(std::byte{octet});
    return salt;
}

// From the test vectors of John the Ripper and jBCrypt.
TEST(Password, VerifiesPublishedHashes) {
    EXPECT_TRUE(verify_password(Secret("U*U"), "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"));
    EXPECT_TRUE(verify_password(Secret("a"), "$2a$06$m0CrhHm10qJ3lXRY.5zDGO3rS2KdeeWLuGmsfGlMfOxih58VYVfxe"));
    EXPECT_FALSE(verify_password(Secret("U*V"), "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"));
}

TEST(Password, VerifiesWhatItHashed) {
    const auto hash = hash_password(Secret("correct horse"), salt_of(7), cheap);
    ASSERT_TRUE(hash.has_value());
    EXPECT_EQ(hash->size(), 60u);
    EXPECT_TRUE(hash->starts_with("$2a$04$"));
    EXPECT_TRUE(verify_password(Secret("correct horse"), *hash));
    EXPECT_FALSE(verify_password(Secret("correct horsf"), *hash));
    EXPECT_FALSE(verify_password(Secret(""), *hash));
}

TEST(Password, OtherSaltGivesAnotherHash) {
    EXPECT_NE(hash_password(Secret("x"), salt_of(1), cheap).value(),
              hash_password(Secret("x"), salt_of(2), cheap).value());
}

TEST(Password, CostsTenByDefaultAsInEtcd) {
    EXPECT_EQ(cost_of_hash(hash_password(Secret("x"), salt_of(1)).value()).value(), 10u);
}

// bcrypt would ignore what lies beyond 72 octets or a zero: two passwords would be one.
TEST(Password, RefusesWhatBcryptWouldCutShort) {
    const std::string longest(password_bytes_max, 'p');
    EXPECT_TRUE(hash_password(Secret(longest), salt_of(1), cheap).has_value());
    EXPECT_EQ(hash_password(Secret(longest + "p"), salt_of(1), cheap).error().code, Code::Invalid);
    EXPECT_EQ(hash_password(Secret(std::string("a\0b", 3)), salt_of(1), cheap).error().code, Code::Invalid);
    EXPECT_EQ(hash_password(Secret(""), salt_of(1), cheap).error().code, Code::Invalid);
    const auto hash = hash_password(Secret(longest), salt_of(1), cheap);
    EXPECT_FALSE(verify_password(Secret(longest + "p"), *hash));
}

TEST(Password, RefusesCostsThatBcryptDoesNotHave) {
    EXPECT_FALSE(hash_password(Secret("x"), salt_of(1), 3).has_value());
    EXPECT_FALSE(hash_password(Secret("x"), salt_of(1), 32).has_value());
}

TEST(Password, VerifiesNothingAgainstWhatIsNoBcryptHash) {
    const std::string good = hash_password(Secret("x"), salt_of(1), cheap).value();
    EXPECT_FALSE(verify_password(Secret("x"), ""));
    EXPECT_FALSE(verify_password(Secret("x"), "*0"));
    EXPECT_FALSE(verify_password(Secret("x"), "$1$salt$hash"));
    EXPECT_FALSE(verify_password(Secret("x"), good.substr(0, 59)));
    std::string cost_broken = good;
    cost_broken[4] = 'x';
    EXPECT_FALSE(verify_password(Secret("x"), cost_broken));
}

}  // namespace
}  // namespace polis::security
