#include "cli/main.h"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include "cli/command.h"
#include "cli/version.h"

namespace polis::cli {

void add_all(CLI::App& app, Globals& globals, int& exit_code) {
    app.name("polis");
    app.description("Polis: one binary that does the jobs of etcd and its kin, for the clients they already have.");
    app.require_subcommand(1);
    app.set_version_flag("--version", std::string("polis ") + version);
    app.add_option("--endpoints", globals.endpoints, "Nodes to talk to, separated by commas")->delimiter(',');
    app.add_option("--format", globals.format, "text or json")->check(CLI::IsMember({"text", "json"}));
    app.add_option("--user", globals.user, "name:password");
    app.add_option("--cacert", globals.cacert, "Authority that signed the nodes' certificates (PEM)");
    app.add_option("--cert", globals.cert, "Our certificate (PEM)");
    app.add_option("--key", globals.key, "Its key (PEM)");
    app.add_option("--timeout", globals.timeout_s, "Seconds to wait for a node")->check(CLI::Range(0.001, 86400.0));
    app.fallthrough();

    add_init_command(app, globals, exit_code);
    add_server_commands(app, globals, exit_code);
    add_reload_command(app, globals, exit_code);
    add_kv_commands(app, globals, exit_code);
    add_cluster_commands(app, globals, exit_code);
    add_top_command(app, globals, exit_code);
    add_doctor_command(app, globals, exit_code);
    add_backup_commands(app, globals, exit_code);
    add_bench_commands(app, globals, exit_code);
    add_config_commands(app, globals, exit_code);
    add_help_commands(app, globals, exit_code);
}

int main(int argc, char** argv) {
    CLI::App app;
    Globals globals;
    int exit_code = ExitCode::Ok;
    add_all(app, globals, exit_code);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        const bool asked_for_help = app.exit(error) == 0;
        return asked_for_help ? ExitCode::Ok : ExitCode::Usage;
    }
    return exit_code;
}

}  // namespace polis::cli
