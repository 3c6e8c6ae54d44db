#include "security/certificate.h"

#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <sys/stat.h>

#include "security/openssl_pointers.h"
#include "security/security_testing.h"

namespace polis::security {
namespace {

using namespace std::chrono_literals;

constexpr WallTime now{std::chrono::seconds(1'800'000'000)};

CertifiedKey authority(std::chrono::hours validity = std::chrono::days(3650)) {
    return make_authority({.common_name = "test authority", .now = now, .validity = validity}).value();
}
CertificateRequest node_request() {
    return {.common_name = "n1", .organization = "nodes", .names = {"node.example", "10.0.0.1", "::1"}, .now = now};
}
CertificateSummary summary(const CertifiedKey& of) { return inspect_certificates(of.certificate).value().front(); }

CertificatePointer parsed(const std::string& pem) {
    return CertificatePointer(PEM_read_bio_X509(reading(pem).get(), nullptr, nullptr, nullptr));
}
// 0, or OpenSSL's reason for refusing `leaf` under `root` at `when` for `purpose`.
int verify(const CertifiedKey& leaf, const CertifiedKey& root, WallTime when, int purpose) {
    const std::unique_ptr<X509_STORE, Releases<&X509_STORE_free>> store(X509_STORE_new());
    const std::unique_ptr<X509_STORE_CTX, Releases<&X509_STORE_CTX_free>> context(X509_STORE_CTX_new());
    const CertificatePointer top = parsed(root.certificate), bottom = parsed(leaf.certificate);
    X509_STORE_add_cert(store.get(), top.get());
    X509_STORE_CTX_init(context.get(), store.get(), bottom.get(), nullptr);
    X509_STORE_CTX_set_purpose(context.get(), purpose);
    X509_STORE_CTX_set_time(context.get(), 0,
                            std::chrono::duration_cast<std::chrono::seconds>(when.since_epoch).count());
    X509_STORE_CTX_set_flags(context.get(), X509_V_FLAG_X509_STRICT);
    X509_verify_cert(context.get());
    return X509_STORE_CTX_get_error(context.get());
}
WallTime later(std::chrono::hours by) { return {now.since_epoch + by}; }

TEST(Certificate, SaysWhatWasAskedFor) {
    const CertificateSummary issued = summary(issue_certificate(authority(), node_request()).value());
    EXPECT_EQ(issued.common_name, "n1");
    EXPECT_EQ(issued.organization, "nodes");
    EXPECT_EQ(issued.issuer_common_name, "test authority");
    EXPECT_EQ(issued.names, (std::vector<std::string>{"node.example", "10.0.0.1", "::1"}));
    EXPECT_EQ(issued.not_before, later(-1h));
    EXPECT_EQ(issued.not_after, later(std::chrono::days(365)));
    EXPECT_FALSE(issued.is_authority);
    EXPECT_TRUE(summary(authority()).is_authority);
}

TEST(Certificate, StandsStrictVerificationForBothPurposes) {
    const CertifiedKey root = authority();
    const CertifiedKey node = issue_certificate(root, node_request()).value();
    EXPECT_EQ(verify(node, root, now, X509_PURPOSE_SSL_SERVER), X509_V_OK);
    EXPECT_EQ(verify(node, root, now, X509_PURPOSE_SSL_CLIENT), X509_V_OK);
    EXPECT_EQ(verify(node, root, later(std::chrono::days(366)), X509_PURPOSE_SSL_SERVER), X509_V_ERR_CERT_HAS_EXPIRED);
    EXPECT_EQ(verify(node, root, later(-2h), X509_PURPOSE_SSL_SERVER), X509_V_ERR_CERT_NOT_YET_VALID);
    EXPECT_NE(verify(node, authority(), now, X509_PURPOSE_SSL_SERVER), X509_V_OK);
}

TEST(Certificate, OfAClientIsNoServersAndViceVersa) {
    const CertifiedKey root = authority();
    CertificateRequest request = node_request();
    request.for_server = false;
    const CertifiedKey client = issue_certificate(root, request).value();
    EXPECT_EQ(verify(client, root, now, X509_PURPOSE_SSL_CLIENT), X509_V_OK);
    EXPECT_EQ(verify(client, root, now, X509_PURPOSE_SSL_SERVER), X509_V_ERR_INVALID_PURPOSE);
    request.for_server = true;
    request.for_client = false;
    EXPECT_EQ(verify(issue_certificate(root, request).value(), root, now, X509_PURPOSE_SSL_CLIENT),
              X509_V_ERR_INVALID_PURPOSE);
}

TEST(Certificate, EndsNoLaterThanItsAuthority) {
    const CertifiedKey root = authority(std::chrono::days(30));
    EXPECT_EQ(summary(issue_certificate(root, node_request()).value()).not_after, later(std::chrono::days(30)));
}

TEST(Certificate, SerialsDiffer) {
    const CertifiedKey root = authority();
    EXPECT_NE(summary(issue_certificate(root, node_request()).value()).serial,
              summary(issue_certificate(root, node_request()).value()).serial);
}

TEST(Certificate, RefusesNamesThatAreNone) {
    const CertifiedKey root = authority();
    for (const char* name : {"", "a b", "a,DNS:evil.example", "a\nb", "email:x@y", "ex\xc3\xa4mple"}) {
        CertificateRequest request = node_request();
        request.names = {name};
        EXPECT_EQ(issue_certificate(root, request).error().code, Code::Invalid) << name;
    }
    CertificateRequest request = node_request();
    request.common_name = std::string(65, 'x');
    EXPECT_EQ(issue_certificate(root, request).error().code, Code::Invalid);
    request.common_name = "";
    EXPECT_EQ(issue_certificate(root, request).error().code, Code::Invalid);
}

TEST(Certificate, RefusesSubjectsThatAreNoText) {
    CertificateRequest request = node_request();
    request.common_name = "\xff\xfe";
    EXPECT_EQ(issue_certificate(authority(), request).error().code, Code::Invalid);
    EXPECT_EQ(make_authority(request).error().code, Code::Invalid);
    request = node_request();
    request.organization = "\xff\xfe";
    EXPECT_EQ(issue_certificate(authority(), request).error().code, Code::Invalid);
}

// Nobody reads beyond the few octets that a crafted certificate gives for an address.
TEST(Certificate, AddressesOfNoKnownLengthAreNoNames) {
    const CertificatePointer crafted = parsed(issue_certificate(authority(), node_request()).value().certificate);
    const std::unique_ptr<GENERAL_NAMES, Releases<&GENERAL_NAMES_free>> names(GENERAL_NAMES_new());
    for (const std::string_view octets : {"", "\x0a", "\x0a\x0a\x0a", "\x0a\x0a\x0a\x0a\x0a", "\x7f\x01\x01\x01"}) {
        ASN1_OCTET_STRING* address = ASN1_OCTET_STRING_new();
        ASN1_OCTET_STRING_set(address, reinterpret_cast<const unsigned char*>(octets.data()),
                              static_cast<int>(octets.size()));
        GENERAL_NAME* name = GENERAL_NAME_new();
        GENERAL_NAME_set0_value(name, GEN_IPADD, address);
        sk_GENERAL_NAME_push(names.get(), name);
    }
    ASSERT_EQ(X509_add1_ext_i2d(crafted.get(), NID_subject_alt_name, names.get(), 0, X509V3_ADD_REPLACE), 1);
    const KeyPointer key(EVP_EC_gen("P-256"));
    ASSERT_GT(X509_sign(crafted.get(), key.get(), EVP_sha256()), 0);
    const BioPointer pem(BIO_new(BIO_s_mem()));
    ASSERT_EQ(PEM_write_bio_X509(pem.get(), crafted.get()), 1);
    EXPECT_EQ(inspect_certificates(written(pem)).value().front().names, std::vector<std::string>{"127.1.1.1"});
}

TEST(Certificate, OnlyAnAuthorityWithItsOwnKeyIssues) {
    const CertifiedKey root = authority(), other = authority();
    const CertifiedKey node = issue_certificate(root, node_request()).value();
    EXPECT_EQ(issue_certificate(node, node_request()).error().code, Code::Invalid);
    EXPECT_EQ(issue_certificate({root.certificate, other.key}, node_request()).error().code, Code::Invalid);
    EXPECT_EQ(issue_certificate({"garbage", root.key}, node_request()).error().code, Code::Invalid);
    EXPECT_EQ(issue_certificate({root.certificate, Secret("garbage")}, node_request()).error().code, Code::Invalid);
}

TEST(Certificate, InspectsAWholeChainInItsOrder) {
    const CertifiedKey root = authority();
    const CertifiedKey node = issue_certificate(root, node_request()).value();
    const auto chain = inspect_certificates(node.certificate + root.certificate).value();
    ASSERT_EQ(chain.size(), 2u);
    EXPECT_EQ(chain[0].common_name, "n1");
    EXPECT_EQ(chain[1].common_name, "test authority");
    EXPECT_EQ(inspect_certificates("no PEM").error().code, Code::Invalid);
}

TEST(Certificate, FilesKeepTheKeyToTheirOwnerAndAreNeverOverwritten) {
    const testing::Directory directory;
    const CertifiedKey made = authority();
    const std::string certificate_file = directory.file("ca.pem"), key_file = directory.file("ca.key");
    ASSERT_TRUE(write_certified_key(made, certificate_file, key_file));
    struct stat status{};
    ASSERT_EQ(::stat(key_file.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600u);
    EXPECT_EQ(write_certified_key(authority(), certificate_file, key_file).error().code, Code::Exists);
    EXPECT_EQ(write_certified_key(authority(), certificate_file, directory.file("new.key")).error().code, Code::Exists);
    EXPECT_FALSE(std::filesystem::exists(directory.file("new.key")));
    const auto read = read_certified_key(certificate_file, key_file);
    ASSERT_TRUE(read.has_value());
    EXPECT_EQ(read->certificate, made.certificate);
    EXPECT_TRUE(issue_certificate(*read, node_request()).has_value());
    EXPECT_EQ(read_certified_key(directory.file("absent"), key_file).error().code, Code::NotFound);
    std::filesystem::resize_file(certificate_file, (1u << 20) + 1);
    EXPECT_EQ(read_certified_key(certificate_file, key_file).error().code, Code::Invalid);
}

}  // namespace
}  // namespace polis::security
