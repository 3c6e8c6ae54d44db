#include "security/certificate.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "base/ensure.h"
#include "security/openssl_pointers.h"

namespace polis::security {
namespace {

constexpr size_t common_name_bytes_max = 64;  // RFC 5280, ub-common-name.
constexpr int serial_bits = 127;              // Unpredictable, positive, at most 20 octets (RFC 5280 section 4.1.2.2).
constexpr size_t certificate_file_bytes_max = 1u << 20;

std::time_t seconds_of(WallTime time) {
    return std::chrono::duration_cast<std::chrono::seconds>(time.since_epoch).count();
}

WallTime wall_time_of(const ASN1_TIME* time) {
    std::tm broken_down{};
    if (ASN1_TIME_to_tm(time, &broken_down) != 1) return {};
    return {std::chrono::seconds(timegm(&broken_down))};
}

Result<void> check(const CertificateRequest& request) {
    if (request.common_name.empty() || request.common_name.size() > common_name_bytes_max) {
        return fail(Code::Invalid, "a certificate's common name has 1..64 octets, not '" + request.common_name + "'");
    }
    if (request.organization.size() > common_name_bytes_max) {
        return fail(Code::Invalid, "a certificate's organization has at most 64 octets");
    }
    if (request.validity <= std::chrono::hours(0))
        return fail(Code::Invalid, "a certificate must be valid for a while");
    return {};
}

// Written for OpenSSL's extension syntax, so nothing may pass that means something there.
Result<std::string> alternative_names(const std::vector<std::string>& names) {
    std::string text;
    for (const std::string& name : names) {
        in6_addr room;
        const bool is_ip =
            inet_pton(AF_INET, name.c_str(), &room) == 1 || inet_pton(AF_INET6, name.c_str(), &room) == 1;
        const bool is_dns = !name.empty() && name.size() <= 253 && std::ranges::all_of(name, [](char letter) {
            return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') ||
                   (letter >= '0' && letter <= '9') || letter == '-' || letter == '.' || letter == '_' || letter == '*';
        });
        if (!is_ip && !is_dns) return fail(Code::Invalid, "'" + name + "' is neither a DNS name nor an IP address");
        if (!text.empty()) text += ',';
        text += (is_ip ? "IP:" : "DNS:") + name;
    }
    return text;
}

void add_extension(X509* certificate, X509* issuer, int kind, const std::string& value) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str());
    ENSURE(extension != nullptr);
    ENSURE(X509_add_ext(certificate, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

Result<void> set_subject(X509* certificate, const CertificateRequest& request) {
    X509_NAME* subject = X509_get_subject_name(certificate);
    const auto add = [subject](const char* field, const std::string& text) -> Result<void> {
        if (text.empty()) return {};
        const auto* octets = reinterpret_cast<const unsigned char*>(text.data());
        const int size = static_cast<int>(text.size());
        if (X509_NAME_add_entry_by_txt(subject, field, MBSTRING_UTF8, octets, size, -1, 0) == 1) return {};
        return openssl_failure(std::string("a certificate's ") + field + " is no UTF-8 text that fits");
    };
    TRY(add("O", request.organization));
    return add("CN", request.common_name);
}

void set_serial(X509* certificate) {
    const std::unique_ptr<BIGNUM, Releases<&BN_free>> number(BN_new());
    ENSURE(BN_rand(number.get(), serial_bits, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1);
    ENSURE(BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr);
}

// Everything but issuer, extensions and signature.
Result<CertificatePointer> make_unsigned(const CertificateRequest& request, EVP_PKEY* key) {
    CertificatePointer certificate(X509_new());
    ENSURE(certificate != nullptr);
    X509_set_version(certificate.get(), X509_VERSION_3);
    set_serial(certificate.get());
    TRY(set_subject(certificate.get(), request));
    const std::time_t now = seconds_of(request.now);
    ASN1_TIME_set(X509_getm_notBefore(certificate.get()), now - 3600);
    ASN1_TIME_set(X509_getm_notAfter(certificate.get()), now + std::chrono::seconds(request.validity).count());
    X509_set_pubkey(certificate.get(), key);
    return certificate;
}

CertifiedKey to_pem(X509* certificate, EVP_PKEY* key) {
    const BioPointer certificate_text(BIO_new(BIO_s_mem()));
    const BioPointer key_text(BIO_new(BIO_s_secmem()));
    ENSURE(PEM_write_bio_X509(certificate_text.get(), certificate) == 1);
    ENSURE(PEM_write_bio_PKCS8PrivateKey(key_text.get(), key, nullptr, nullptr, 0, nullptr, nullptr) == 1);
    return {written(certificate_text), Secret(written(key_text))};
}

std::string text_of(const ASN1_STRING* string) {
    unsigned char* octets = nullptr;
    const int size = ASN1_STRING_to_UTF8(&octets, string);
    if (size < 0) return "";
    std::string text(reinterpret_cast<char*>(octets), static_cast<size_t>(size));
    OPENSSL_free(octets);
    return text;
}

std::string entry_of(const X509_NAME* name, int field) {
    const int at = X509_NAME_get_index_by_NID(name, field, -1);
    return at < 0 ? "" : text_of(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
}

std::vector<std::string> names_of(const X509* certificate) {
    std::vector<std::string> names;
    const std::unique_ptr<GENERAL_NAMES, Releases<&GENERAL_NAMES_free>> list(
        static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
    for (int i = 0; i < sk_GENERAL_NAME_num(list.get()); ++i) {
        const GENERAL_NAME* name = sk_GENERAL_NAME_value(list.get(), i);
        if (name->type == GEN_DNS) names.push_back(text_of(name->d.dNSName));
        if (name->type != GEN_IPADD) continue;
        const int size = ASN1_STRING_length(name->d.iPAddress);
        if (size != sizeof(in_addr) && size != sizeof(in6_addr)) continue;  // Crafted: not even OpenSSL writes such.
        char text[INET6_ADDRSTRLEN] = "";
        const bool v6 = size == sizeof(in6_addr);
        inet_ntop(v6 ? AF_INET6 : AF_INET, ASN1_STRING_get0_data(name->d.iPAddress), text, sizeof(text));
        names.emplace_back(text);
    }
    return names;
}

std::string serial_of(X509* certificate) {
    const std::unique_ptr<BIGNUM, Releases<&BN_free>> number(
        ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), nullptr));
    char* text = BN_bn2hex(number.get());
    std::string serial = text;
    OPENSSL_free(text);
    return serial;
}

CertificateSummary summary_of(X509* certificate) {
    return {.common_name = entry_of(X509_get_subject_name(certificate), NID_commonName),
            .organization = entry_of(X509_get_subject_name(certificate), NID_organizationName),
            .issuer_common_name = entry_of(X509_get_issuer_name(certificate), NID_commonName),
            .serial = serial_of(certificate),
            .names = names_of(certificate),
            .not_before = wall_time_of(X509_get0_notBefore(certificate)),
            .not_after = wall_time_of(X509_get0_notAfter(certificate)),
            .is_authority = X509_check_ca(certificate) == 1};
}

std::unexpected<Error> cannot(const std::string& what, const std::string& path, int error) {
    const Code code = error == EEXIST   ? Code::Exists
                      : error == ENOENT ? Code::NotFound
                      : error == ENOSPC ? Code::NoSpace
                                        : Code::Io;
    return fail(code, "cannot " + what + " " + path + ": " + std::strerror(error));
}

Result<void> write_new_file(const std::string& path, std::string_view text, mode_t mode) {
    const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (file < 0) return cannot("create", path, errno);
    int error = 0;
    while (!text.empty() && error == 0) {
        const ssize_t count = ::write(file, text.data(), text.size());
        if (count >= 0) text.remove_prefix(static_cast<size_t>(count));
        if (count < 0 && errno != EINTR) error = errno;
    }
    if (error == 0 && ::fsync(file) != 0) error = errno;
    ::close(file);
    if (error == 0) return {};
    ::unlink(path.c_str());
    return cannot("write", path, error);
}

// A name is durable only when its directory is.
Result<void> sync_directory_of(const std::string& path) {
    const size_t slash = path.rfind('/');
    const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
    const int descriptor = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) return cannot("open", directory, errno);
    const int error = ::fsync(descriptor) == 0 ? 0 : errno;
    ::close(descriptor);
    if (error != 0) return cannot("sync", directory, error);
    return {};
}

Result<std::string> read_whole_file(const std::string& path) {
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) return cannot("read", path, errno);
    std::string text(certificate_file_bytes_max + 1, '\0');
    size_t size = 0;
    ssize_t count = 0;
    do {
        count = ::read(file, text.data() + size, text.size() - size);
        if (count > 0) size += static_cast<size_t>(count);
    } while (count > 0 || (count < 0 && errno == EINTR));
    const int error = errno;
    ::close(file);
    if (count < 0) return cannot("read", path, error);
    if (size > certificate_file_bytes_max) return fail(Code::Invalid, path + " has more than 1 MiB: no certificate");
    text.resize(size);
    return text;
}

}  // namespace

Result<CertifiedKey> make_authority(const CertificateRequest& request) {
    TRY(check(request));
    const KeyPointer key(EVP_EC_gen("P-256"));
    ENSURE(key != nullptr);
    LET(const CertificatePointer certificate, make_unsigned(request, key.get()));
    X509_set_issuer_name(certificate.get(), X509_get_subject_name(certificate.get()));
    add_extension(certificate.get(), certificate.get(), NID_basic_constraints, "critical,CA:TRUE");
    add_extension(certificate.get(), certificate.get(), NID_key_usage, "critical,keyCertSign,cRLSign");
    add_extension(certificate.get(), certificate.get(), NID_subject_key_identifier, "hash");
    ENSURE(X509_sign(certificate.get(), key.get(), EVP_sha256()) > 0);
    return to_pem(certificate.get(), key.get());
}

Result<CertifiedKey> issue_certificate(const CertifiedKey& authority, const CertificateRequest& request) {
    TRY(check(request));
    LET(const std::string names, alternative_names(request.names));
    const CertificatePointer issuer(
        PEM_read_bio_X509(reading(authority.certificate).get(), nullptr, &no_passphrase, nullptr));
    if (!issuer) return openssl_failure("the authority's certificate is not PEM");
    const KeyPointer issuer_key(
        PEM_read_bio_PrivateKey(reading(authority.key.reveal()).get(), nullptr, &no_passphrase, nullptr));
    if (!issuer_key) return openssl_failure("the authority's key is not PEM");
    if (X509_check_ca(issuer.get()) != 1) return fail(Code::Invalid, "the certificate is not an authority's");
    if (X509_check_private_key(issuer.get(), issuer_key.get()) != 1) {
        return openssl_failure("the authority's key is not its certificate's");
    }

    const KeyPointer key(EVP_EC_gen("P-256"));
    ENSURE(key != nullptr);
    LET(const CertificatePointer made, make_unsigned(request, key.get()));
    X509* certificate = made.get();
    if (ASN1_TIME_compare(X509_get0_notAfter(certificate), X509_get0_notAfter(issuer.get())) > 0) {
        X509_set1_notAfter(certificate, X509_get0_notAfter(issuer.get()));
    }
    X509_set_issuer_name(certificate, X509_get_subject_name(issuer.get()));
    add_extension(certificate, issuer.get(), NID_basic_constraints, "critical,CA:FALSE");
    add_extension(certificate, issuer.get(), NID_key_usage, "critical,digitalSignature");
    const std::string usage = std::string(request.for_server ? "serverAuth" : "") +
                              (request.for_server && request.for_client ? "," : "") +
                              (request.for_client ? "clientAuth" : "");
    if (!usage.empty()) add_extension(certificate, issuer.get(), NID_ext_key_usage, usage);
    if (!names.empty()) add_extension(certificate, issuer.get(), NID_subject_alt_name, names);
    add_extension(certificate, issuer.get(), NID_subject_key_identifier, "hash");
    add_extension(certificate, issuer.get(), NID_authority_key_identifier, "keyid");
    ENSURE(X509_sign(certificate, issuer_key.get(), EVP_sha256()) > 0);
    return to_pem(certificate, key.get());
}

Result<std::vector<CertificateSummary>> inspect_certificates(std::string_view pem) {
    const BioPointer text = reading(pem);
    std::vector<CertificateSummary> found;
    for (;;) {
        const CertificatePointer certificate(PEM_read_bio_X509(text.get(), nullptr, &no_passphrase, nullptr));
        if (!certificate) break;
        found.push_back(summary_of(certificate.get()));
    }
    if (found.empty()) return openssl_failure("no PEM certificate");
    ERR_clear_error();  // The end of the text is one to OpenSSL.
    return found;
}

Result<void> write_certified_key(const CertifiedKey& made, const std::string& certificate_file,
                                 const std::string& key_file) {
    TRY(write_new_file(key_file, made.key.reveal(), 0600));
    auto written = write_new_file(certificate_file, made.certificate, 0644);
    if (!written) ::unlink(key_file.c_str());
    TRY(written);
    TRY(sync_directory_of(key_file));
    return sync_directory_of(certificate_file);
}

Result<CertifiedKey> read_certified_key(const std::string& certificate_file, const std::string& key_file) {
    CertifiedKey read;
    LET(read.certificate, read_whole_file(certificate_file));
    LET(read.key, Secret::from_file(key_file));
    return read;
}

}  // namespace polis::security
