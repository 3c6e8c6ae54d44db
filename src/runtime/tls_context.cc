#include "runtime/tls_context.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/ascii.h"
#include "base/ensure.h"

namespace polis::runtime {
namespace {

// Forward secrecy and authenticated encryption only, for TLS 1.2; all of 1.3's own suites are like that.
constexpr const char* ciphers_12 = "ECDHE+AESGCM:ECDHE+CHACHA20";
constexpr int chain_length_max = 8;

std::unexpected<Error> refuse(const char* what, const std::string& file, const std::string& why) {
    return fail(Code::Invalid, std::string(what) + " " + file + ": " + why);
}

// OpenSSL's own text for a file it cannot open names system calls, not the cause.
Result<void> check_readable(const char* what, const std::string& file) {
    const std::unique_ptr<BIO, decltype(&BIO_free)> opened(BIO_new_file(file.c_str(), "r"), &BIO_free);
    if (opened) return {};
    const int error = errno;
    ERR_clear_error();
    return refuse(what, file, std::string("cannot be read: ") + std::strerror(error));
}

Result<void> load_certificate(SSL_CTX* context, const std::string& certificate_file, const std::string& key_file) {
    TRY(check_readable("certificate file", certificate_file));
    if (SSL_CTX_use_certificate_chain_file(context, certificate_file.c_str()) != 1) {
        return refuse("certificate file", certificate_file, "no PEM certificate: " + take_openssl_errors("unknown"));
    }
    if (key_file.empty()) return refuse("certificate file", certificate_file, "no key file is given with it");
    TRY(check_readable("key file", key_file));
    if (SSL_CTX_use_PrivateKey_file(context, key_file.c_str(), SSL_FILETYPE_PEM) == 1 &&
        SSL_CTX_check_private_key(context) == 1) {
        return {};
    }
    const int reason = ERR_GET_REASON(ERR_peek_last_error());
    const std::string errors = take_openssl_errors("unknown");
    if (reason == X509_R_KEY_VALUES_MISMATCH || reason == X509_R_KEY_TYPE_MISMATCH) {
        return refuse("certificate file", certificate_file, "key does not match: " + key_file);
    }
    return refuse("key file", key_file, "no usable PEM key: " + errors);
}

Result<void> load_trusted(SSL_CTX* context, const std::string& file) {
    TRY(check_readable("CA file", file));
    if (SSL_CTX_load_verify_file(context, file.c_str()) != 1) {
        return refuse("CA file", file, "no PEM certificate: " + take_openssl_errors("unknown"));
    }
    return {};
}

// Length-prefixed names, as in RFC 7301 section 3.1.
std::string alpn_wire(const std::vector<std::string>& names) {
    std::string wire;
    for (const std::string& name : names) {
        wire += static_cast<char>(name.size());
        wire += name;
    }
    return wire;
}

Result<SslContextPointer> make_context(const SSL_METHOD* method, const TlsOptions& options) {
    for (const std::string& name : options.alpn) {
        if (name.empty() || name.size() > 255)
            return fail(Code::Invalid, "ALPN name '" + name + "' is not 1..255 long");
    }
    SslContextPointer context(SSL_CTX_new(method));
    ENSURE(context != nullptr);
    SSL_CTX_set_min_proto_version(context.get(), options.tls13_only ? TLS1_3_VERSION : TLS1_2_VERSION);
    ENSURE(SSL_CTX_set_cipher_list(context.get(), ciphers_12) == 1);
    // No resumption: a ticket would carry a client's identity past a change of the trusted CA, and past the choice of
    // another certificate by SNI (CVE-2025-23419 was that). Our connections live long; a handshake is cheap beside them.
    SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(context.get(), 0);
    SSL_CTX_set_options(context.get(), SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                           SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(context.get(),
                     SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_verify_depth(context.get(), chain_length_max);
    // A key under a passphrase is an error, not a question on the terminal.
    SSL_CTX_set_default_passwd_cb(context.get(), [](char*, int, int, void*) { return -1; });
    return context;
}

Result<SslContextPointer> make_server_context(const TlsOptions& options, const std::string& certificate_file,
                                              const std::string& key_file) {
    LET(SslContextPointer context, make_context(TLS_server_method(), options));
    if (certificate_file.empty()) return fail(Code::Invalid, "TLS needs a certificate file and a key file");
    TRY(load_certificate(context.get(), certificate_file, key_file));
    if (options.trusted_ca_file.empty()) {
        if (options.require_peer_certificate) {
            return fail(Code::Invalid,
                        "client certificates are required, but no trusted CA file is given to check them");
        }
        return context;
    }
    TRY(load_trusted(context.get(), options.trusted_ca_file));
    STACK_OF(X509_NAME)* names = SSL_load_client_CA_file(options.trusted_ca_file.c_str());
    if (names != nullptr) SSL_CTX_set_client_CA_list(context.get(), names);
    SSL_CTX_set_verify(context.get(),
                       SSL_VERIFY_PEER | (options.require_peer_certificate ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
                       nullptr);
    return context;
}

bool is_ip_address(const std::string& host) {
    in6_addr room;
    return inet_pton(AF_INET, host.c_str(), &room) == 1 || inet_pton(AF_INET6, host.c_str(), &room) == 1;
}

}  // namespace

std::string take_openssl_errors(const std::string& otherwise) {
    std::string text;
    while (const unsigned long code = ERR_get_error()) {
        const char* reason = ERR_reason_error_string(code);
        if (!text.empty()) text += "; ";
        text += reason != nullptr ? reason : "error " + std::to_string(code);
    }
    return text.empty() ? otherwise : text;
}

Result<std::shared_ptr<const TlsContext>> TlsContext::server(const TlsOptions& options) {
    LET(SslContextPointer main, make_server_context(options, options.certificate_file, options.key_file));
    const std::shared_ptr<OpenSslContext> made(new OpenSslContext(options, std::move(main)));
    const auto finish = [self = made.get()](SSL_CTX* context) {
        SSL_CTX_set_tlsext_servername_callback(context, &OpenSslContext::choose_certificate);
        SSL_CTX_set_tlsext_servername_arg(context, self);
        if (!self->options_.alpn.empty()) {
            SSL_CTX_set_alpn_select_cb(context, &OpenSslContext::choose_protocol, self);
        }
    };
    finish(made->context_.get());
    for (const TlsOptions::Named& named : options.by_server_name) {
        LET(SslContextPointer context, make_server_context(options, named.certificate_file, named.key_file));
        finish(context.get());
        made->by_server_name_[lower_case(named.server_name)] = std::move(context);
    }
    return made;
}

Result<std::shared_ptr<const TlsContext>> TlsContext::client(const TlsOptions& options) {
    LET(SslContextPointer context, make_context(TLS_client_method(), options));
    if (!options.certificate_file.empty()) {
        TRY(load_certificate(context.get(), options.certificate_file, options.key_file));
    }
    if (!options.trusted_ca_file.empty()) {
        TRY(load_trusted(context.get(), options.trusted_ca_file));
    } else if (options.verify_server) {
        SSL_CTX_set_default_verify_paths(context.get());
    }
    SSL_CTX_set_verify(context.get(), options.verify_server ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
    const std::string alpn = alpn_wire(options.alpn);
    // Returns 0 for success, unlike its siblings.
    ENSURE(alpn.empty() || SSL_CTX_set_alpn_protos(context.get(), reinterpret_cast<const unsigned char*>(alpn.data()),
                                                   static_cast<unsigned>(alpn.size())) == 0);
    return std::shared_ptr<const TlsContext>(new OpenSslContext(options, std::move(context)));
}

SslPointer OpenSslContext::make_server() const {
    SslPointer ssl(SSL_new(context_.get()));
    ENSURE(ssl != nullptr);
    SSL_set_accept_state(ssl.get());
    return ssl;
}

SslPointer OpenSslContext::make_client(const std::string& host) const {
    const std::string& name = options_.server_name.empty() ? host : options_.server_name;
    SslPointer ssl(SSL_new(context_.get()));
    ENSURE(ssl != nullptr);
    SSL_set_connect_state(ssl.get());
    const bool numeric = is_ip_address(name);
    // SNI holds names only (RFC 6066 section 3).
    if (!numeric && !name.empty()) SSL_set_tlsext_host_name(ssl.get(), name.c_str());
    if (!options_.verify_server) return ssl;
    X509_VERIFY_PARAM* rules = SSL_get0_param(ssl.get());
    X509_VERIFY_PARAM_set_hostflags(rules, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    const int set = numeric ? X509_VERIFY_PARAM_set1_ip_asc(rules, name.c_str())
                            : X509_VERIFY_PARAM_set1_host(rules, name.c_str(), name.size());
    ENSURE(set == 1);
    return ssl;
}

int OpenSslContext::choose_certificate(SSL* ssl, int*, void* argument) {
    const auto& self = *static_cast<const OpenSslContext*>(argument);
    const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (name == nullptr) return SSL_TLSEXT_ERR_NOACK;
    const std::string lower = lower_case(name);
    auto found = self.by_server_name_.find(lower);
    const size_t dot = lower.find('.');
    if (found == self.by_server_name_.end() && dot != std::string::npos) {
        found = self.by_server_name_.find("*" + lower.substr(dot));
    }
    if (found != self.by_server_name_.end()) SSL_set_SSL_CTX(ssl, found->second.get());
    return SSL_TLSEXT_ERR_OK;
}

// Ours in our order of preference. A client that offers none of them is refused (RFC 7301 section 3.2), as it would not
// understand what we speak.
int OpenSslContext::choose_protocol(SSL*, const unsigned char** out, unsigned char* out_bytes, const unsigned char* in,
                                    unsigned int in_bytes, void* argument) {
    const auto& self = *static_cast<const OpenSslContext*>(argument);
    for (const std::string& name : self.options_.alpn) {
        for (unsigned int at = 0; at < in_bytes && at + 1 + in[at] <= in_bytes; at += 1u + in[at]) {
            const std::string_view offered(reinterpret_cast<const char*>(in + at + 1), in[at]);
            if (offered != name) continue;
            *out = in + at + 1;
            *out_bytes = in[at];
            return SSL_TLSEXT_ERR_OK;
        }
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

}  // namespace polis::runtime
