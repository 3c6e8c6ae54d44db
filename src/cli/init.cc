// polis init: makes what a secured cluster starts from: authorities, certificates and a configuration for each node.
#include <CLI/App.hpp>
#include <CLI/Validators.hpp>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "cli/command.h"
#include "cli/init_plan.h"
#include "cli/renew.h"
#include "runtime/system_random.h"

namespace polis::cli {
namespace {

struct Arguments {
    std::string folder;
    std::vector<std::string> nodes;    // None given: three on 127.0.0.1 to .3; to renew, all that are there.
    std::vector<std::string> clients;  // None given: "root" for a new cluster, none for a further node.
    std::string installed, data_dir;
    int client_port = 2379, peer_port = 2380;
    int days = 365;
    bool join = false, renew = false;
};

WallTime now() {
    const auto since_epoch = std::chrono::system_clock::now().time_since_epoch();
    return WallTime{std::chrono::duration_cast<std::chrono::microseconds>(since_epoch)};
}

Result<std::string> folder_of(const Arguments& arguments) {
    std::error_code error;
    std::string folder = std::filesystem::absolute(arguments.folder, error).lexically_normal();
    if (error) return fail(Code::Io, "cannot find " + arguments.folder + ": " + error.message());
    if (folder.ends_with('/')) folder.pop_back();
    return folder;
}

Result<InitOptions> options_of(const Arguments& arguments) {
    InitOptions options;
    LET(options.folder, folder_of(arguments));
    const std::vector<std::string> three = {"node-1=127.0.0.1", "node-2=127.0.0.2", "node-3=127.0.0.3"};
    LET(options.nodes, parse_nodes(arguments.nodes.empty() ? three : arguments.nodes));
    options.clients = arguments.clients;
    if (options.clients.empty() && !arguments.join) options.clients = {"root"};
    options.installed = arguments.installed;
    options.data_dir = arguments.data_dir;
    options.client_port = static_cast<uint16_t>(arguments.client_port);
    options.peer_port = static_cast<uint16_t>(arguments.peer_port);
    options.validity = std::chrono::days(arguments.days);
    options.now = now();
    if (options.nodes.size() > 1 && !(options.installed.empty() && options.data_dir.empty())) {
        // Nodes of one machine would share them: that is a mistake unless each goes to a machine of its own.
        std::fprintf(stderr,
                     "Note: every node's files are expected at the same place, each on a machine of its own.\n");
    }
    return options;
}

// The members that an earlier init wrote down, out of any node's configuration.
Result<std::map<std::string, std::string>> known_members(const std::string& folder) {
    std::map<std::string, std::string> members;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
        const std::string path = entry.path().string() + "/node.toml";
        if (!std::filesystem::exists(path)) continue;
        LET(const node::Config config, node::load_config({.path = path}));
        members.insert(config.initial.begin(), config.initial.end());
    }
    if (members.empty()) return fail(Code::NotFound, folder + " has no node yet: leave --join out to make a cluster");
    return members;
}

void print_next(const InitOptions& options, bool is_new) {
    std::printf("made %s\n\nNext:\n", options.folder.c_str());
    if (!is_new) {
        for (const auto& [name, urls] : config_of_node(options, 0, false).initial) {
            if (options.members.contains(name)) continue;
            std::printf("  polis member add %s --learner   (against the running cluster; then start the node)\n",
                        urls.c_str());
        }
    }
    for (size_t i = 0; i < options.nodes.size(); ++i) {
        const std::string& name = options.nodes[i].first;
        std::string at = options.installed;
        if (at.empty()) {
            at = options.folder + "/" + name;
        } else {
            std::printf("  scp -r %s/%s %s:%s\n", options.folder.c_str(), name.c_str(), options.nodes[i].second.c_str(),
                        at.c_str());
        }
        std::printf("  polis start --config %s/node.toml\n", at.c_str());
    }
    std::string endpoints;
    for (size_t i = 0; i < options.nodes.size(); ++i) {
        endpoints += (i == 0 ? "" : ",") + config_of_node(options, i, is_new).advertise_client.front();
    }
    if (!options.clients.empty()) {
        const std::string client = options.folder + "/clients/" + options.clients.front();
        const std::string authority = options.folder + "/clients/ca.crt";
        std::printf("\nThen, from any machine that has the folder clients:\n");
        std::printf("  polis --endpoints %s --cacert %s \\\n    --cert %s.crt --key %s.key doctor\n", endpoints.c_str(),
                    authority.c_str(), client.c_str(), client.c_str());
        std::printf(
            "  ETCDCTL_API=3 etcdctl --endpoints=%s --cacert=%s \\\n    --cert=%s.crt --key=%s.key endpoint status\n",
            endpoints.c_str(), authority.c_str(), client.c_str(), client.c_str());
    }
    std::printf("\nKeep %s/authority safe and off the nodes: whoever has it can make any certificate.\n",
                options.folder.c_str());
    std::printf("Certificates end in %lld days; `polis doctor` tells when they are due.\n",
                static_cast<long long>(std::chrono::duration_cast<std::chrono::days>(options.validity).count()));
}

Result<void> init(const Arguments& arguments) {
    LET(InitOptions options, options_of(arguments));
    const AuthorityPaths paths(options.folder);
    const bool is_new = !arguments.join;
    if (is_new && std::filesystem::exists(paths.clients_certificate)) {
        return fail(Code::Exists,
                    options.folder + " has been made already; --join makes a further node of that cluster");
    }
    runtime::SystemRandom random;
    options.token = "polis-" + std::to_string(random.next());
    if (!is_new) {
        LET(options.members, known_members(options.folder));
    }
    LET(const Authorities authorities, is_new ? make_authorities(options) : read_authorities(paths));
    LET(const NewFiles files, plan_init(options, authorities, is_new));
    TRY(files.write());
    print_next(options, is_new);
    return {};
}

Result<void> renew(const Arguments& arguments) {
    if (arguments.join) return fail(Code::Invalid, "--renew and --join do not go together");
    RenewOptions options;
    LET(options.folder, folder_of(arguments));
    options.nodes = arguments.nodes;
    options.clients = arguments.clients;
    options.validity = std::chrono::days(arguments.days);
    options.now = now();
    return renew(options);
}

}  // namespace

void add_init_command(CLI::App& app, const Globals&, int& exit_code) {
    const auto arguments = std::make_shared<Arguments>();
    CLI::App* command = app.add_subcommand("init",
                                           "Make authorities, certificates and configurations for a new cluster; "
                                           "overwrites nothing unless --renew is given");
    command->add_option("folder", arguments->folder, "Where to put them")->required();
    command
        ->add_option(
            "--nodes", arguments->nodes,
            "name=host of each node, separated by commas; a name alone is its host; by default three on loopback")
        ->delimiter(',');
    command->add_option("--clients", arguments->clients, "Common names of client certificates, which are etcd's users")
        ->delimiter(',');
    command->add_option("--installed", arguments->installed, "Where a node's folder will lie on its machine");
    command->add_option("--data-dir", arguments->data_dir,
                        "Where a node keeps its data; otherwise beside its configuration");
    command->add_option("--client-port", arguments->client_port, "Port for clients")->check(CLI::Range(1, 65535));
    command->add_option("--peer-port", arguments->peer_port, "Port for other members")->check(CLI::Range(1, 65535));
    command->add_option("--days", arguments->days, "How long certificates are valid")->check(CLI::Range(1, 3650));
    command->add_flag("--join", arguments->join,
                      "Make further nodes for the cluster that was made in this folder before");
    command->add_flag("--renew", arguments->renew,
                      "Replace the certificates and keys in this folder by new ones of the same authorities: of "
                      "--nodes and --clients "
                      "(names), or of all");
    command->callback([&exit_code, arguments] {
        const Result<void> done = arguments->renew ? renew(*arguments) : init(*arguments);
        exit_code = done ? static_cast<int>(ExitCode::Ok) : failed(done.error());
    });
}

}  // namespace polis::cli
