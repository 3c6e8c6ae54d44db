#include "security/token.h"

#include <gtest/gtest.h>
#include <openssl/ec.h>

#include <cstdint>

#include "security/base64.h"
#include "security/certificate.h"
#include "security/security_testing.h"
#include "security/token_header.h"

namespace polis::security {
namespace {

using testing::private_pem;
using testing::public_pem;

TEST(Base64Url, EncodesTheVectorsOfRfc4648) {
    const std::pair<const char*, const char*> vectors[] = {
        {"", ""},           {"f", "Zg"},          {"fo", "Zm8"},          {"foo", "Zm9v"},
        {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"}, {"\xff\xef\xbf", "_--_"}};
    for (const auto& [octets, text] : vectors) {
        EXPECT_EQ(encode_base64url(octets), text);
        EXPECT_EQ(decode_base64url(text).value(), octets);
    }
}

TEST(Base64Url, RefusesEveryOtherSpelling) {
    for (const char* text : {"Zg==", "Z", "Zm9vY", "Zh", "Zm9", "Zm+v", "Zm/v", "Zm v", "Zm9v\n"}) {
        EXPECT_EQ(decode_base64url(text).error().code, Code::Invalid) << text;
    }
}

TEST(SimpleToken, DrawsLettersFromTheGivenOctets) {
    std::array<std::byte, 2 * simple_token_letters> random{};
    EXPECT_EQ(simple_token(random), "aaaaaaaaaaaaaaaa");
    random[1] = std::byte{51};
    random[31] = std::byte{27};
    EXPECT_EQ(simple_token(random), "ZaaaaaaaaaaaaaaB");
}

const char* const rfc7515_claims = "{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}";

// RFC 7515 appendix A.1.
TEST(Token, VerifiesTheHmacVectorOfRfc7515) {
    const std::string secret =
        decode_base64url("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
            .value();
    const auto key = TokenKey::signing(TokenAlgorithm::HS256, Secret(secret)).value();
    EXPECT_EQ(
        key.verify("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6"
                   "Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
            .value(),
        rfc7515_claims);
}

std::string public_pem_of_der(const std::string& der) {
    const auto* at = reinterpret_cast<const unsigned char*>(der.data());
    const KeyPointer key(d2i_PUBKEY(nullptr, &at, static_cast<long>(der.size())));
    EXPECT_NE(key, nullptr);
    return public_pem(key.get());
}

// RFC 7515 appendix A.3.
TEST(Token, VerifiesTheEcdsaVectorOfRfc7515) {
    const std::string prefix(
        "\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00\x04",
        27);
    const std::string pem =
        public_pem_of_der(prefix + decode_base64url("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU").value() +
                          decode_base64url("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0").value());
    const auto key = TokenKey::verifying(TokenAlgorithm::ES256, pem).value();
    EXPECT_EQ(
        key.verify("eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9p"
                   "c19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-"
                   "Kg6NU1Q")
            .value(),
        rfc7515_claims);
}

// RFC 8037 appendix A.4.
TEST(Token, VerifiesTheEd25519VectorOfRfc8037) {
    const std::string prefix("\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00", 12);
    const auto key = TokenKey::verifying(
        TokenAlgorithm::EdDSA,
        public_pem_of_der(prefix + decode_base64url("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").value()));
    EXPECT_EQ(
        key->verify(
               "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6"
               "dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg")
            .value(),
        "Example of Ed25519 signing");
}

// Made once: finding its primes is slow.
KeyPointer rsa_key() {
    static EVP_PKEY* const key = EVP_RSA_gen(2048);
    EVP_PKEY_up_ref(key);
    return KeyPointer(key);
}

KeyPointer key_for(TokenAlgorithm algorithm) {
    switch (algorithm) {
        case TokenAlgorithm::ES256: return KeyPointer(EVP_EC_gen("P-256"));
        case TokenAlgorithm::ES384: return KeyPointer(EVP_EC_gen("P-384"));
        case TokenAlgorithm::ES512: return KeyPointer(EVP_EC_gen("P-521"));
        case TokenAlgorithm::EdDSA: return KeyPointer(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
        default: return rsa_key();
    }
}

constexpr TokenAlgorithm asymmetric[] = {
    TokenAlgorithm::RS256, TokenAlgorithm::RS384, TokenAlgorithm::RS512, TokenAlgorithm::PS256, TokenAlgorithm::PS384,
    TokenAlgorithm::PS512, TokenAlgorithm::ES256, TokenAlgorithm::ES384, TokenAlgorithm::ES512, TokenAlgorithm::EdDSA};

TEST(Token, VerifiesWhatItSignedUnderEveryAlgorithm) {
    for (const TokenAlgorithm algorithm : asymmetric) {
        SCOPED_TRACE(name_of(algorithm));
        EXPECT_EQ(token_algorithm_named(name_of(algorithm)).value(), algorithm);
        const KeyPointer key = key_for(algorithm);
        const auto signer = TokenKey::signing(algorithm, private_pem(key.get()));
        const auto verifier = TokenKey::verifying(algorithm, public_pem(key.get()));
        ASSERT_TRUE(signer.has_value() && verifier.has_value());
        EXPECT_TRUE(signer->can_sign());
        EXPECT_FALSE(verifier->can_sign());
        const std::string token = signer->sign(R"({"username":"alice"})");
        EXPECT_EQ(verifier->verify(token).value(), R"({"username":"alice"})");
        EXPECT_EQ(signer->verify(token).value(), R"({"username":"alice"})");
        // Each part protects against change. The octet before the last: the very last holds unused bits.
        for (const size_t at : {size_t{3}, token.find('.') + 3, token.size() - 2}) {
            std::string changed = token;
            changed[at] = changed[at] == 'A' ? 'B' : 'A';
            EXPECT_EQ(verifier->verify(changed).error().code, Code::Denied) << at;
        }
        EXPECT_FALSE(verifier->verify(token.substr(0, token.size() - 4)).has_value());
    }
}

TEST(Token, VerifiesWithACertificate) {
    const auto authority = make_authority({.common_name = "ca"}).value();
    const auto signer = TokenKey::signing(TokenAlgorithm::ES256, authority.key);
    const auto verifier = TokenKey::verifying(TokenAlgorithm::ES256, authority.certificate);
    EXPECT_EQ(verifier->verify(signer->sign("{}")).value(), "{}");
}

TEST(Token, HmacNeedsASecretAsLongAsItsHash) {
    EXPECT_TRUE(TokenKey::signing(TokenAlgorithm::HS256, Secret(std::string(32, 'k'))).has_value());
    EXPECT_EQ(TokenKey::signing(TokenAlgorithm::HS256, Secret(std::string(31, 'k'))).error().code, Code::Invalid);
    EXPECT_EQ(TokenKey::signing(TokenAlgorithm::HS512, Secret(std::string(63, 'k'))).error().code, Code::Invalid);
}

TEST(Token, KeyMustFitTheAlgorithm) {
    const KeyPointer rsa = rsa_key(), weak(EVP_RSA_gen(1024)), p256(EVP_EC_gen("P-256"));
    EXPECT_EQ(TokenKey::signing(TokenAlgorithm::ES256, private_pem(rsa.get())).error().code, Code::Invalid);
    EXPECT_EQ(TokenKey::signing(TokenAlgorithm::RS256, private_pem(p256.get())).error().code, Code::Invalid);
    EXPECT_EQ(TokenKey::signing(TokenAlgorithm::ES384, private_pem(p256.get())).error().code, Code::Invalid);
    EXPECT_EQ(TokenKey::signing(TokenAlgorithm::EdDSA, private_pem(p256.get())).error().code, Code::Invalid);
    EXPECT_EQ(TokenKey::verifying(TokenAlgorithm::RS256, public_pem(weak.get())).error().code, Code::Invalid);
    EXPECT_EQ(TokenKey::verifying(TokenAlgorithm::HS256, public_pem(rsa.get())).error().code, Code::Invalid);
    EXPECT_EQ(TokenKey::verifying(TokenAlgorithm::RS256, "garbage").error().code, Code::Invalid);
    EXPECT_EQ(TokenKey::signing(TokenAlgorithm::RS256, Secret("garbage")).error().code, Code::Invalid);
}

std::string token_with_header(const std::string& header, const std::string& signature) {
    return encode_base64url(header) + "." + encode_base64url("{}") + "." + encode_base64url(signature);
}

// The classic attack: sign with the public key as an HMAC secret, and name HS256 in the header.
TEST(Token, PublicKeyIsNeverTakenForASharedSecret) {
    const KeyPointer rsa = rsa_key();
    const std::string pem = public_pem(rsa.get());
    const auto forger = TokenKey::signing(TokenAlgorithm::HS256, Secret(pem)).value();
    const auto verifier = TokenKey::verifying(TokenAlgorithm::RS256, pem).value();
    EXPECT_EQ(verifier.verify(forger.sign("{}")).error().code, Code::Denied);
}

TEST(Token, UnsignedTokensAreRefused) {
    const auto key = TokenKey::signing(TokenAlgorithm::HS256, Secret(std::string(32, 'k'))).value();
    EXPECT_FALSE(key.verify(token_with_header(R"({"alg":"none"})", "")).has_value());
    EXPECT_FALSE(key.verify(token_with_header(R"({"alg":"HS256"})", "")).has_value());
    EXPECT_FALSE(token_algorithm_named("none").has_value());
    for (const char* text : {"", ".", "..", "...", "a.b", "a.b.c.d", "!.!.!"}) EXPECT_FALSE(key.verify(text)) << text;
}

TEST(TokenHeader, FindsTheAlgorithmAmongOtherMembers) {
    EXPECT_EQ(parse_token_header(R"( { "typ" : "JWT" , "jwk":{"a":["}",1,{}],"alg":"no"}, "alg":"ES256","n":-1.5e3 } )")
                  ->algorithm,
              "ES256");
    EXPECT_TRUE(parse_token_header(R"({"alg":"ES256","crit":["b64"]})")->has_critical);
    EXPECT_FALSE(parse_token_header(R"({"alg":"ES256","x":"\"crit\":"})")->has_critical);
}

TEST(TokenHeader, RefusesWhatIsNone) {
    for (const char* json : {"",
                             "{",
                             "{}",
                             "[]",
                             "null",
                             R"({"alg"})",
                             R"({"alg":})",
                             R"({"alg":5})",
                             R"({"alg":"a)",
                             R"({"alg":"a"}x)",
                             R"({"alg":"a","alg":"b"})",
                             R"({"alg":"a" "b":1})",
                             R"({"typ":"JWT"})",
                             R"({"alg":"\u0061"})",
                             R"({"alg":"a","b":})",
                             R"({"alg":"a","b":[})",
                             R"({,"alg":"a"})",
                             R"({"alg":"a","b":"x)",
                             R"({"alg":"a",})",
                             R"({"alg":"a","b":][})",
                             R"({"alg":"a","b":[}]})",
                             R"({"alg":"a","b":]})"}) {
        EXPECT_FALSE(parse_token_header(json).has_value()) << json;
    }
}

}  // namespace
}  // namespace polis::security
