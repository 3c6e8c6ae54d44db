// What `polis init` makes: two authorities, certificates, and a configuration a node. Pure but for chance in the keys.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "cli/new_files.h"
#include "node/config.h"
#include "security/certificate.h"

namespace polis::cli {

/// Members speak with certificates of one authority, clients with those of another: a client's certificate opens no member's port.
struct Authorities {
    security::CertifiedKey clients;
    security::CertifiedKey peers;
};

struct InitOptions {
    std::string folder;                                      // Where everything is put; absolute.
    std::vector<std::pair<std::string, std::string>> nodes;  // Name and host, of all that are made now.
    std::map<std::string, std::string> members = {};         // Name and peer URLs of those that are there already.
    std::vector<std::string> clients = {};                   // Common names, which are etcd's users.
    std::string installed = {};  // Where a node's folder will lie on its machine; empty: where it is made.
    std::string data_dir = {};   // Empty: "data" beside its configuration.
    std::string token = {};      // cluster.token: tells this cluster apart from others at the same addresses.
    uint16_t client_port = 2379, peer_port = 2380;
    std::chrono::hours validity = std::chrono::days(365);  // Of certificates; authorities live ten times as long.
    WallTime now = {};
};

/// "a,b=10.0.0.2": names, each with its host; a name alone is a host's. Errors: Invalid.
Result<std::vector<std::pair<std::string, std::string>>> parse_nodes(const std::vector<std::string>& texts);

/// Errors: Invalid.
Result<Authorities> make_authorities(const InitOptions& options);

/// Where the authorities' files lie.
struct AuthorityPaths {
    explicit AuthorityPaths(const std::string& folder);
    std::string clients_certificate, clients_key, peers_certificate, peers_key;
};

/// Those that an earlier init made. Errors: NotFound, Denied, Io.
Result<Authorities> read_authorities(const AuthorityPaths& paths);

/// All files of nodes and clients. With `is_new` those of the authorities too, and the nodes found a cluster; else they join the one of
/// options.members. Errors: Invalid.
Result<NewFiles> plan_init(const InitOptions& options, const Authorities& authorities, bool is_new);

/// The configuration of the node at that place of options.nodes.
node::Config config_of_node(const InitOptions& options, size_t place, bool is_new);

}  // namespace polis::cli
