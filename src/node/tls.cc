#include "node/tls.h"

#include <chrono>
#include <filesystem>

#include "security/certificate.h"

namespace polis::node {
namespace {

// The files of a self-signed certificate, made on first use, good for every name this machine may have.
Result<TlsConfig> automatic_files(const std::string& data_dir, std::string_view side) {
    TlsConfig files;
    files.cert_file = data_dir + "/auto-" + std::string(side) + ".crt";
    files.key_file = data_dir + "/auto-" + std::string(side) + ".key";
    std::error_code error;
    if (std::filesystem::exists(files.cert_file, error)) return files;
    std::filesystem::remove(files.key_file, error);  // Of a start that was cut short between the two.
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    security::CertificateRequest request{.common_name = "polis self-signed"};
    request.names = {"localhost", "127.0.0.1", "::1"};
    request.now = WallTime{std::chrono::duration_cast<std::chrono::microseconds>(now)};
    LET(const security::CertifiedKey authority, security::make_authority(request));
    LET(const security::CertifiedKey made, security::issue_certificate(authority, request));
    TRY(security::write_certified_key(made, files.cert_file, files.key_file));
    return files;
}

Result<TlsConfig> files_of(const TlsConfig& tls, const std::string& data_dir, std::string_view side) {
    if (!tls.automatic || !tls.cert_file.empty()) return tls;
    return automatic_files(data_dir, side);
}

using TlsResult = Result<std::shared_ptr<const runtime::TlsContext>>;

TlsResult load_server(const TlsConfig& tls, const std::string& data_dir, std::string_view side) {
    if (!tls.enabled()) return std::shared_ptr<const runtime::TlsContext>();
    LET(const TlsConfig files, files_of(tls, data_dir, side));
    runtime::TlsOptions options;
    options.certificate_file = files.cert_file;
    options.key_file = files.key_file;
    options.trusted_ca_file = tls.trusted_ca_file;
    options.require_peer_certificate = tls.client_cert_auth;
    options.tls13_only = side == "peer";
    if (side == "client") options.alpn = {"h2", "http/1.1"};
    return runtime::TlsContext::server(options);
}

TlsResult load_client(const TlsConfig& tls, const std::string& data_dir, std::string_view side) {
    if (!tls.enabled()) return std::shared_ptr<const runtime::TlsContext>();
    LET(const TlsConfig files, files_of(tls, data_dir, side));
    runtime::TlsOptions options;
    options.certificate_file = files.cert_file;
    options.key_file = files.key_file;
    options.trusted_ca_file = tls.trusted_ca_file;
    // Without an authority there is nothing to verify against: encryption without identity, as etcd's --peer-auto-tls.
    options.verify_server = !tls.trusted_ca_file.empty();
    options.tls13_only = side == "peer";
    return runtime::TlsContext::client(options);
}

}  // namespace

Result<TlsContexts> load_tls(const Config& config) {
    TlsContexts contexts;
    LET(contexts.client_server, load_server(config.tls_client, config.data_dir, "client"));
    LET(contexts.peer_server, load_server(config.tls_peer, config.data_dir, "peer"));
    LET(contexts.peer_client, load_client(config.tls_peer, config.data_dir, "peer"));
    return contexts;
}

}  // namespace polis::node
