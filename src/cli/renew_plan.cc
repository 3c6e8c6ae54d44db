#include "cli/renew_plan.h"

#include <algorithm>
#include <filesystem>
#include <set>

namespace polis::cli {
namespace {

namespace fs = std::filesystem;

// Names of the nodes that an init has made there.
Result<std::set<std::string>> nodes_in(const std::string& folder) {
    std::set<std::string> names;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(folder, error)) {
        if (fs::exists(entry.path() / "node.toml", error)) names.insert(entry.path().filename());
    }
    if (error) return fail(Code::Io, "cannot look into " + folder + ": " + error.message());
    return names;
}

// Common names of the clients that an init has made there.
Result<std::set<std::string>> clients_in(const std::string& folder) {
    std::set<std::string> names;
    std::error_code error;
    if (!fs::exists(folder + "/clients", error)) return names;
    for (const auto& entry : fs::directory_iterator(folder + "/clients", error)) {
        if (entry.path().extension() == ".crt" && entry.path().stem() != "ca") names.insert(entry.path().stem());
    }
    if (error) return fail(Code::Io, "cannot look into " + folder + "/clients: " + error.message());
    return names;
}

// Those that were asked for, of those that there are.
Result<std::vector<std::string>> choose(const std::set<std::string>& there, const std::vector<std::string>& asked,
                                        bool all, const std::string& what) {
    if (all) return std::vector<std::string>(there.begin(), there.end());
    for (const std::string& name : asked) {
        if (!there.contains(name)) return fail(Code::NotFound, "there is no " + what + " " + name + " to renew");
    }
    return asked;
}

}  // namespace

Result<std::vector<Renewal>> find_renewals(const RenewOptions& options) {
    const bool all = options.nodes.empty() && options.clients.empty();
    LET(const std::set<std::string> nodes_there, nodes_in(options.folder));
    LET(const std::set<std::string> clients_there, clients_in(options.folder));
    LET(const std::vector<std::string> nodes, choose(nodes_there, options.nodes, all, "node"));
    LET(const std::vector<std::string> clients, choose(clients_there, options.clients, all, "client"));
    std::vector<Renewal> found;
    for (const std::string& name : nodes) {
        const std::string at = options.folder + "/" + name;
        found.push_back({at + "/server.crt", at + "/server.key", false, true, false});
        found.push_back({at + "/peer.crt", at + "/peer.key", true, true, true});
    }
    for (const std::string& name : clients) {
        const std::string at = options.folder + "/clients/" + name;
        found.push_back({at + ".crt", at + ".key", false, false, true});
    }
    if (found.empty()) return fail(Code::NotFound, options.folder + " holds nothing that `polis init` has made");
    return found;
}

Result<security::CertifiedKey> renewed(const security::CertifiedKey& authority, std::string_view pem,
                                       const Renewal& renewal, const RenewOptions& options) {
    LET(const auto chain, security::inspect_certificates(pem));
    LET(const auto above, security::inspect_certificates(authority.certificate));
    if (above.front().not_after <= options.now) {
        return fail(Code::Invalid, "the authority " + above.front().common_name +
                                       " has ended: make a new one (docs/operating.md, certificates)");
    }
    security::CertificateRequest request;
    request.common_name = chain.front().common_name;
    request.organization = chain.front().organization;
    request.names = chain.front().names;
    request.now = options.now;
    request.validity = options.validity;
    request.for_server = renewal.for_server;
    request.for_client = renewal.for_client;
    return security::issue_certificate(authority, request);
}

}  // namespace polis::cli
