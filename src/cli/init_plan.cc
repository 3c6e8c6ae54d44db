#include "cli/init_plan.h"

#include <algorithm>
#include <set>

#include "base/ensure.h"

namespace polis::cli {
namespace {

constexpr int authority_lives = 10;  // An authority's validity, in those of its certificates.

std::string url_of(const std::string& host, uint16_t port) {
    const bool v6 = host.find(':') != std::string::npos;
    return "https://" + (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

std::string folder_of(const InitOptions& options, const std::string& name) { return options.folder + "/" + name; }

std::string installed_folder_of(const InitOptions& options, const std::string& name) {
    return options.installed.empty() ? folder_of(options, name) : options.installed;
}

security::CertificateRequest request_of(const InitOptions& options, const std::string& common_name) {
    return {.common_name = common_name, .now = options.now, .validity = options.validity};
}

Result<void> add_node(const InitOptions& options, size_t place, const Authorities& authorities, bool is_new,
                      NewFiles& files) {
    const auto& [name, host] = options.nodes[place];
    const std::string folder = folder_of(options, name);
    security::CertificateRequest request = request_of(options, name);
    request.names = {host, "localhost"};
    LET(security::CertifiedKey peer, security::issue_certificate(authorities.peers, request));
    request.for_client = false;  // What a node shows to clients opens nothing elsewhere.
    LET(security::CertifiedKey server, security::issue_certificate(authorities.clients, request));
    files.add(folder + "/server.crt", std::move(server.certificate));
    files.add_secret(folder + "/server.key", std::move(server.key));
    files.add(folder + "/clients-ca.crt", authorities.clients.certificate);
    files.add(folder + "/peer.crt", std::move(peer.certificate));
    files.add_secret(folder + "/peer.key", std::move(peer.key));
    files.add(folder + "/peers-ca.crt", authorities.peers.certificate);
    const node::Config config = config_of_node(options, place, is_new);
    TRY(node::check_config(config));
    files.add(folder + "/node.toml", node::dump_changed(config));
    return {};
}

}  // namespace

Result<std::vector<std::pair<std::string, std::string>>> parse_nodes(const std::vector<std::string>& texts) {
    constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    std::vector<std::pair<std::string, std::string>> nodes;
    std::set<std::string> names;
    for (const std::string& text : texts) {
        const size_t equals = text.find('=');
        const std::string name = text.substr(0, equals);
        // A name becomes a folder, beside those of the authorities and the clients.
        const bool usable = !name.empty() && name.find_first_not_of(letters) == std::string::npos &&
                            !name.starts_with('.') && name != "authority" && name != "clients";
        if (!usable)
            return fail(Code::Invalid, "'" + name + "' cannot be a node's name: letters, digits, '-', '_', '.'");
        if (!names.insert(name).second) return fail(Code::Invalid, "the node " + name + " is named twice");
        std::string host = equals == std::string::npos ? name : text.substr(equals + 1);
        if (host.empty()) return fail(Code::Invalid, "the node " + name + " has no host: write name=host");
        nodes.emplace_back(name, std::move(host));
    }
    return nodes;
}

AuthorityPaths::AuthorityPaths(const std::string& folder)
    : clients_certificate(folder + "/authority/clients-ca.crt"),
      clients_key(folder + "/authority/clients-ca.key"),
      peers_certificate(folder + "/authority/peers-ca.crt"),
      peers_key(folder + "/authority/peers-ca.key") {}

Result<Authorities> read_authorities(const AuthorityPaths& paths) {
    Authorities read;
    LET(read.clients, security::read_certified_key(paths.clients_certificate, paths.clients_key));
    LET(read.peers, security::read_certified_key(paths.peers_certificate, paths.peers_key));
    return read;
}

Result<Authorities> make_authorities(const InitOptions& options) {
    Authorities made;
    security::CertificateRequest request = request_of(options, "polis clients");
    request.validity = options.validity * authority_lives;
    LET(made.clients, security::make_authority(request));
    request.common_name = "polis peers";
    LET(made.peers, security::make_authority(request));
    return made;
}

Result<NewFiles> plan_init(const InitOptions& options, const Authorities& authorities, bool is_new) {
    NewFiles files;
    if (is_new) {
        const AuthorityPaths paths(options.folder);
        files.add(paths.clients_certificate, authorities.clients.certificate);
        files.add_secret(paths.clients_key, authorities.clients.key);
        files.add(paths.peers_certificate, authorities.peers.certificate);
        files.add_secret(paths.peers_key, authorities.peers.key);
        files.add(options.folder + "/clients/ca.crt", authorities.clients.certificate);
    }
    for (size_t i = 0; i < options.nodes.size(); ++i) TRY(add_node(options, i, authorities, is_new, files));
    for (const std::string& name : options.clients) {
        if (name.empty() || name.find('/') != std::string::npos || name == "ca") {
            return fail(Code::Invalid, "'" + name + "' cannot be a client's name");
        }
        security::CertificateRequest request = request_of(options, name);
        request.for_server = false;
        LET(security::CertifiedKey made, security::issue_certificate(authorities.clients, request));
        files.add(options.folder + "/clients/" + name + ".crt", std::move(made.certificate));
        files.add_secret(options.folder + "/clients/" + name + ".key", std::move(made.key));
    }
    return files;
}

node::Config config_of_node(const InitOptions& options, size_t place, bool is_new) {
    ENSURE(place < options.nodes.size());
    const auto& [name, host] = options.nodes[place];
    const std::string folder = installed_folder_of(options, name);
    node::Config config;
    config.name = name;
    config.data_dir = options.data_dir.empty() ? folder + "/data" : options.data_dir;
    if (!options.token.empty()) config.token = options.token;
    config.state = is_new ? "new" : "existing";
    config.initial = options.members;
    for (const auto& [other, other_host] : options.nodes) config.initial[other] = url_of(other_host, options.peer_port);
    config.listen_client = config.advertise_client = {url_of(host, options.client_port)};
    config.listen_peer = config.advertise_peer = {url_of(host, options.peer_port)};
    config.tls_client = {.cert_file = folder + "/server.crt",
                         .key_file = folder + "/server.key",
                         .trusted_ca_file = folder + "/clients-ca.crt",
                         .client_cert_auth = true};
    config.tls_peer = {.cert_file = folder + "/peer.crt",
                       .key_file = folder + "/peer.key",
                       .trusted_ca_file = folder + "/peers-ca.crt",
                       .client_cert_auth = true};
    return config;
}

}  // namespace polis::cli
