// polis config: checks and shows configurations.
#include "node/config.h"

#include <CLI/App.hpp>
#include <cstdio>
#include <memory>

#include "cli/command.h"

namespace polis::cli {

void add_config_commands(CLI::App& app, const Globals&, int& exit_code) {
    CLI::App* config = app.add_subcommand("config", "Check and show configurations");
    config->require_subcommand(1);
    const auto path = std::make_shared<std::string>();

    CLI::App* check = config->add_subcommand("check", "Read a file and say what is wrong with it");
    check->add_option("file", *path)->required();
    check->callback([&exit_code, path] {
        const Result<node::Config> loaded = node::load_config(*path);
        if (loaded) std::puts("ok");
        exit_code = loaded ? static_cast<int>(ExitCode::Ok) : failed(loaded.error());
    });

    CLI::App* dump = config->add_subcommand("dump", "Print all options, with a file's values or the defaults");
    dump->add_option("file", *path);
    dump->callback([&exit_code, path] {
        const Result<node::Config> loaded =
            path->empty() ? Result<node::Config>(node::Config()) : node::load_config(*path);
        if (loaded) std::fputs(node::dump_config(*loaded).c_str(), stdout);
        exit_code = loaded ? static_cast<int>(ExitCode::Ok) : failed(loaded.error());
    });
}

}  // namespace polis::cli
