// polis config: checks and shows configurations.
#include "node/config.h"

#include <CLI/App.hpp>
#include <cstdio>
#include <memory>

#include "cli/command.h"

namespace polis::cli {
namespace {

Result<node::Config> load(const std::string& path) {
    return node::load_config({.path = path, .environment = node::environment_of_process()});
}

}  // namespace

void add_config_commands(CLI::App& app, const Globals&, int& exit_code) {
    CLI::App* config = app.add_subcommand("config", "Check and show configurations");
    config->require_subcommand(1);
    const auto path = std::make_shared<std::string>();

    CLI::App* check = config->add_subcommand("check", "Read a file, and the environment, and say what is wrong");
    check->add_option("file", *path, "A node's configuration")->required();
    check->callback([&exit_code, path] {
        const Result<node::Config> loaded = load(*path);
        if (loaded) std::puts("ok");
        exit_code = loaded ? static_cast<int>(ExitCode::Ok) : failed(loaded.error());
    });

    const auto changed = std::make_shared<bool>(false);
    CLI::App* dump = config->add_subcommand("dump", "Print all options, with a file's values or the defaults");
    dump->add_option("file", *path, "A node's configuration; without it the defaults are shown");
    dump->add_flag("--changed", *changed, "Leave out what has its default value");
    dump->callback([&exit_code, path, changed] {
        const Result<node::Config> loaded = path->empty() ? Result<node::Config>(node::Config()) : load(*path);
        if (loaded) {
            std::fputs((*changed ? node::dump_changed(*loaded) : node::dump_config(*loaded)).c_str(), stdout);
        }
        exit_code = loaded ? static_cast<int>(ExitCode::Ok) : failed(loaded.error());
    });
}

}  // namespace polis::cli
