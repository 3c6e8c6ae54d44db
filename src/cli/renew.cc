#include "cli/renew.h"

#include <cstdio>
#include <ctime>
#include <filesystem>
#include <set>

#include "cluster/host.h"
#include "node/config.h"

namespace polis::cli {
namespace {

std::string day_of(WallTime time) {
    const auto seconds =
        static_cast<std::time_t>(std::chrono::duration_cast<std::chrono::seconds>(time.since_epoch).count());
    std::tm parts{};
    ::gmtime_r(&seconds, &parts);
    char text[16];
    std::strftime(text, sizeof text, "%Y-%m-%d", &parts);
    return text;
}

// What has changed of a node has to get to its machine, unless that is this one, and into the process.
void print_next(const std::set<std::string>& node_folders) {
    for (const std::string& folder : node_folders) {
        const Result<node::Config> config = node::load_config({.path = folder + "/node.toml"});
        if (!config) {
            std::printf("  %s/node.toml cannot be read: %s\n", folder.c_str(), config.error().what.c_str());
            continue;
        }
        const std::string installed = std::filesystem::path(config->tls_client.cert_file).parent_path();
        const Result<runtime::Address> address = cluster::address_of_url(config->listen_client.front());
        if (!installed.empty() && installed != folder && address) {
            std::printf("  scp %s/*.crt %s/*.key %s:%s/\n", folder.c_str(), folder.c_str(), address->host.c_str(),
                        installed.c_str());
        }
        std::printf("  polis reload --config %s/node.toml\n", installed.empty() ? folder.c_str() : installed.c_str());
    }
}

}  // namespace

Result<void> renew(const RenewOptions& options) {
    LET(const std::vector<Renewal> renewals, find_renewals(options));
    LET(const Authorities authorities, read_authorities(AuthorityPaths(options.folder)));
    NewFiles files;
    std::string told;
    std::set<std::string> node_folders;
    for (const Renewal& renewal : renewals) {
        LET(const security::CertifiedKey old, security::read_certified_key(renewal.certificate_file, renewal.key_file));
        const security::CertifiedKey& authority = renewal.by_peers ? authorities.peers : authorities.clients;
        LET(security::CertifiedKey made, renewed(authority, old.certificate, renewal, options));
        LET(const auto before, security::inspect_certificates(old.certificate));
        LET(const auto after, security::inspect_certificates(made.certificate));
        told += "  " + renewal.certificate_file + " until " + day_of(after.front().not_after) + " (was " +
                day_of(before.front().not_after) + ")\n";
        files.add_secret(renewal.key_file, std::move(made.key));
        files.add(renewal.certificate_file, std::move(made.certificate));
        if (renewal.for_server) node_folders.insert(std::filesystem::path(renewal.certificate_file).parent_path());
    }
    TRY(files.replace());
    std::printf("renewed\n%s", told.c_str());
    if (!node_folders.empty()) std::printf("\nNext, for each node:\n");
    print_next(node_folders);
    return {};
}

}  // namespace polis::cli
