#include "security/token.h"

#include <openssl/ecdsa.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <array>
#include <optional>

#include "base/ensure.h"
#include "security/base64.h"
#include "security/openssl_pointers.h"
#include "security/token_header.h"

namespace polis::security {
namespace {

enum class Kind : uint8_t { RsaPkcs1, RsaPss, Ecdsa, Hmac, Ed25519 };

struct Scheme {
    TokenAlgorithm algorithm;
    std::string_view name;
    Kind kind;
    const EVP_MD* (*digest)();
    int curve;                // Ecdsa: the only one allowed (RFC 7518 section 3.4).
    size_t coordinate_bytes;  // Ecdsa: of each half of the signature.
};

constexpr std::array<Scheme, 13> schemes = {{
    {TokenAlgorithm::RS256, "RS256", Kind::RsaPkcs1, &EVP_sha256, 0, 0},
    {TokenAlgorithm::RS384, "RS384", Kind::RsaPkcs1, &EVP_sha384, 0, 0},
    {TokenAlgorithm::RS512, "RS512", Kind::RsaPkcs1, &EVP_sha512, 0, 0},
    {TokenAlgorithm::PS256, "PS256", Kind::RsaPss, &EVP_sha256, 0, 0},
    {TokenAlgorithm::PS384, "PS384", Kind::RsaPss, &EVP_sha384, 0, 0},
    {TokenAlgorithm::PS512, "PS512", Kind::RsaPss, &EVP_sha512, 0, 0},
    {TokenAlgorithm::ES256, "ES256", Kind::Ecdsa, &EVP_sha256, NID_X9_62_prime256v1, 32},
    {TokenAlgorithm::ES384, "ES384", Kind::Ecdsa, &EVP_sha384, NID_secp384r1, 48},
    {TokenAlgorithm::ES512, "ES512", Kind::Ecdsa, &EVP_sha512, NID_secp521r1, 66},
    {TokenAlgorithm::HS256, "HS256", Kind::Hmac, &EVP_sha256, 0, 0},
    {TokenAlgorithm::HS384, "HS384", Kind::Hmac, &EVP_sha384, 0, 0},
    {TokenAlgorithm::HS512, "HS512", Kind::Hmac, &EVP_sha512, 0, 0},
    {TokenAlgorithm::EdDSA, "EdDSA", Kind::Ed25519, nullptr, 0, 0},
}};

constexpr int rsa_bits_min = 2048;

const Scheme& scheme_of(TokenAlgorithm algorithm) {
    const Scheme& scheme = schemes.at(static_cast<size_t>(algorithm));
    ENSURE(scheme.algorithm == algorithm);
    return scheme;
}

std::unexpected<Error> denied(const char* why) {
    return fail(Code::Denied, std::string("the token is refused: ") + why);
}

const unsigned char* octets_of(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }

std::string hmac(const Scheme& scheme, const Secret& key, std::string_view message) {
    unsigned char code[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    const auto* made = HMAC(scheme.digest(), key.reveal().data(), static_cast<int>(key.reveal().size()),
                            octets_of(message), message.size(), code, &size);
    ENSURE(made != nullptr);
    return std::string(reinterpret_cast<char*>(code), size);
}

// JSON web signatures hold both numbers at full width; OpenSSL wants and gives ASN.1.
std::string fixed_from_asn1(std::string_view asn1, size_t coordinate_bytes) {
    const unsigned char* at = octets_of(asn1);
    const std::unique_ptr<ECDSA_SIG, Releases<&ECDSA_SIG_free>> pair(
        d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(asn1.size())));
    ENSURE(pair != nullptr);
    std::string fixed(2 * coordinate_bytes, '\0');
    auto* target = reinterpret_cast<unsigned char*>(fixed.data());
    const int width = static_cast<int>(coordinate_bytes);
    ENSURE(BN_bn2binpad(ECDSA_SIG_get0_r(pair.get()), target, width) == width);
    ENSURE(BN_bn2binpad(ECDSA_SIG_get0_s(pair.get()), target + width, width) == width);
    return fixed;
}

// Nothing if `fixed` has not the right length.
std::optional<std::string> asn1_from_fixed(std::string_view fixed, size_t coordinate_bytes) {
    if (fixed.size() != 2 * coordinate_bytes) return std::nullopt;
    const int width = static_cast<int>(coordinate_bytes);
    const std::unique_ptr<ECDSA_SIG, Releases<&ECDSA_SIG_free>> pair(ECDSA_SIG_new());
    ECDSA_SIG_set0(pair.get(), BN_bin2bn(octets_of(fixed), width, nullptr),
                   BN_bin2bn(octets_of(fixed) + width, width, nullptr));
    unsigned char* made = nullptr;
    const int size = i2d_ECDSA_SIG(pair.get(), &made);
    ENSURE(size > 0);
    std::string asn1(reinterpret_cast<char*>(made), static_cast<size_t>(size));
    OPENSSL_free(made);
    return asn1;
}

bool set_padding(const Scheme& scheme, EVP_PKEY_CTX* context) {
    if (scheme.kind != Kind::RsaPss) return true;
    return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST) == 1;
}

Result<void> check_key(const Scheme& scheme, const EVP_PKEY* key) {
    const int type = EVP_PKEY_get_base_id(key);
    const auto wrong = [&scheme](const std::string& needed) {
        return fail(Code::Invalid, std::string(scheme.name) + " needs " + needed);
    };
    switch (scheme.kind) {
        case Kind::RsaPkcs1:
        case Kind::RsaPss:
            if (type != EVP_PKEY_RSA) return wrong("an RSA key");
            if (EVP_PKEY_get_bits(key) < rsa_bits_min) return wrong("an RSA key of at least 2048 bits");
            return {};
        case Kind::Ecdsa: {
            char group[80] = "";
            size_t size = 0;
            const bool named = type == EVP_PKEY_EC && EVP_PKEY_get_group_name(key, group, sizeof(group), &size) == 1;
            if (!named || OBJ_txt2nid(group) != scheme.curve) {
                return wrong(std::string("an elliptic key on ") + OBJ_nid2sn(scheme.curve));
            }
            return {};
        }
        case Kind::Ed25519:
            if (type != EVP_PKEY_ED25519) return wrong("an Ed25519 key");
            return {};
        case Kind::Hmac: return wrong("a shared secret, not a public key");
    }
    return wrong("another key");
}

}  // namespace

struct TokenKey::Parts {
    const Scheme& scheme;
    KeyPointer key;   // Null for Hmac.
    Secret secret;    // Hmac only.
    bool is_private;  // It can sign.
};

TokenKey::TokenKey(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
TokenKey::TokenKey(TokenKey&&) noexcept = default;
TokenKey& TokenKey::operator=(TokenKey&&) noexcept = default;
TokenKey::~TokenKey() = default;

std::string simple_token(std::span<const std::byte, 2 * simple_token_letters> random) {
    constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    std::string token;
    for (size_t i = 0; i < simple_token_letters; ++i) {
        // Two octets a letter keep the letters even to 1 in 1000.
        const unsigned draw =
            std::to_integer<unsigned>(random[2 * i]) << 8 | std::to_integer<unsigned>(random[2 * i + 1]);
        token += letters[draw % letters.size()];
    }
    return token;
}

Result<TokenAlgorithm> token_algorithm_named(std::string_view name) {
    for (const Scheme& scheme : schemes)
        if (scheme.name == name) return scheme.algorithm;
    return fail(Code::Invalid, "'" + std::string(name) +
                                   "' is no algorithm for tokens; one of RS256, RS384, RS512, PS256, " +
                                   "PS384, PS512, ES256, ES384, ES512, HS256, HS384, HS512, EdDSA");
}

std::string_view name_of(TokenAlgorithm algorithm) { return scheme_of(algorithm).name; }

Result<TokenKey> TokenKey::signing(TokenAlgorithm algorithm, const Secret& key) {
    const Scheme& scheme = scheme_of(algorithm);
    if (scheme.kind == Kind::Hmac) {
        const auto bytes_min = static_cast<size_t>(EVP_MD_get_size(scheme.digest()));
        if (key.reveal().size() < bytes_min) {
            return fail(Code::Invalid, std::string(scheme.name) + " needs a shared secret of at least " +
                                           std::to_string(bytes_min) + " octets");
        }
        return TokenKey(std::unique_ptr<Parts>(new Parts{scheme, nullptr, key, true}));
    }
    KeyPointer loaded(PEM_read_bio_PrivateKey(reading(key.reveal()).get(), nullptr, &no_passphrase, nullptr));
    if (!loaded) return openssl_failure("the key for signing tokens is not a PEM private key");
    TRY(check_key(scheme, loaded.get()));
    return TokenKey(std::unique_ptr<Parts>(new Parts{scheme, std::move(loaded), Secret(), true}));
}

Result<TokenKey> TokenKey::verifying(TokenAlgorithm algorithm, std::string_view pem) {
    const Scheme& scheme = scheme_of(algorithm);
    KeyPointer key(PEM_read_bio_PUBKEY(reading(pem).get(), nullptr, &no_passphrase, nullptr));
    if (!key) {
        const CertificatePointer certificate(PEM_read_bio_X509(reading(pem).get(), nullptr, &no_passphrase, nullptr));
        if (certificate) key.reset(X509_get_pubkey(certificate.get()));
    }
    if (!key) return openssl_failure("the key for verifying tokens is neither a PEM public key nor a certificate");
    ERR_clear_error();
    TRY(check_key(scheme, key.get()));
    return TokenKey(std::unique_ptr<Parts>(new Parts{scheme, std::move(key), Secret(), false}));
}

bool TokenKey::can_sign() const { return parts_->is_private; }

std::string TokenKey::sign(std::string_view claims) const {
    ENSURE(can_sign());
    const Scheme& scheme = parts_->scheme;
    const std::string header = R"({"alg":")" + std::string(scheme.name) + R"(","typ":"JWT"})";
    std::string token = encode_base64url(header) + "." + encode_base64url(claims);
    if (scheme.kind == Kind::Hmac) return token + "." + encode_base64url(hmac(scheme, parts_->secret, token));

    const DigestContextPointer context(EVP_MD_CTX_new());
    EVP_PKEY_CTX* key_context = nullptr;
    const EVP_MD* digest = scheme.digest != nullptr ? scheme.digest() : nullptr;
    ENSURE(EVP_DigestSignInit(context.get(), &key_context, digest, nullptr, parts_->key.get()) == 1);
    ENSURE(set_padding(scheme, key_context));
    size_t size = 0;
    ENSURE(EVP_DigestSign(context.get(), nullptr, &size, octets_of(token), token.size()) == 1);
    std::string signature(size, '\0');
    auto* target = reinterpret_cast<unsigned char*>(signature.data());
    ENSURE(EVP_DigestSign(context.get(), target, &size, octets_of(token), token.size()) == 1);
    signature.resize(size);
    if (scheme.kind == Kind::Ecdsa) signature = fixed_from_asn1(signature, scheme.coordinate_bytes);
    return token + "." + encode_base64url(signature);
}

Result<std::string> TokenKey::verify(std::string_view token) const {
    const Scheme& scheme = parts_->scheme;
    const size_t first = token.find('.');
    const size_t second = first == std::string_view::npos ? first : token.find('.', first + 1);
    if (second == std::string_view::npos || token.find('.', second + 1) != std::string_view::npos) {
        return denied("it has not three parts");
    }
    const auto header_text = decode_base64url(token.substr(0, first));
    const auto claims = decode_base64url(token.substr(first + 1, second - first - 1));
    const auto signature = decode_base64url(token.substr(second + 1));
    if (!header_text || !claims || !signature) return denied("a part is not base64url");
    const auto header = parse_token_header(*header_text);
    if (!header) return denied("its header is malformed");
    if (header->algorithm != scheme.name) return denied("it is signed with another algorithm than the configured one");
    if (header->has_critical) return denied("it demands extensions");

    const std::string_view message = token.substr(0, second);
    if (scheme.kind == Kind::Hmac) {
        if (!equal_in_constant_time(hmac(scheme, parts_->secret, message), *signature)) return denied("bad signature");
        return *claims;
    }
    const auto presented =
        scheme.kind == Kind::Ecdsa ? asn1_from_fixed(*signature, scheme.coordinate_bytes) : std::optional(*signature);
    if (!presented) return denied("bad signature");
    const DigestContextPointer context(EVP_MD_CTX_new());
    EVP_PKEY_CTX* key_context = nullptr;
    const EVP_MD* digest = scheme.digest != nullptr ? scheme.digest() : nullptr;
    ENSURE(EVP_DigestVerifyInit(context.get(), &key_context, digest, nullptr, parts_->key.get()) == 1);
    ENSURE(set_padding(scheme, key_context));
    const bool good = EVP_DigestVerify(context.get(), octets_of(*presented), presented->size(), octets_of(message),
                                       message.size()) == 1;
    ERR_clear_error();
    if (!good) return denied("bad signature");
    return *claims;
}

}  // namespace polis::security
