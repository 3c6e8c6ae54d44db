// polis reload: makes a running node of this machine read its configuration and certificates again, and says what came of it.
#include "node/reload.h"

#include <unistd.h>

#include <CLI/App.hpp>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>

#include "cli/command.h"
#include "cli/json.h"
#include "cli/world.h"
#include "node/config.h"
#include "node/directory_lock.h"
#include "runtime/wait.h"

namespace polis::cli {
namespace {

// Nothing if there is no such file (yet).
std::optional<std::string> content_of(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    if (!in) return std::nullopt;
    return std::string((std::istreambuf_iterator<char>(in)), {});
}

runtime::Task<std::string> until_written(std::string path, Duration timeout) {
    constexpr auto interval = std::chrono::milliseconds(20);
    for (Duration waited{0}; waited < timeout; waited += interval) {
        if (std::optional<std::string> text = content_of(path)) co_return *std::move(text);
        CO_TRY(co_await runtime::sleep_for(interval));
    }
    co_return fail(Code::Unknown, "the node was asked, but has not told within the time what came of it: see its log");
}

Result<node::ReloadReport> reload(const Globals& globals, const std::string& data_dir) {
    LET(const std::optional<pid_t> process, node::DirectoryLock::holder(data_dir));
    if (!process) return fail(Code::Unavailable, "no node runs in " + data_dir);
    const std::string path = data_dir + "/" + node::reload_report_name;
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
        return fail(Code::Denied, "cannot remove " + path + ": " + std::strerror(errno));
    }
    if (::kill(*process, SIGHUP) != 0) {
        return fail(Code::Denied, "cannot signal process " + std::to_string(*process) + ": " + std::strerror(errno));
    }
    LET(const auto world, ClientWorld::open());
    LET(const std::string text, world->run(until_written(path, globals.timeout())));
    return node::parse_reload_report(text);
}

void print(const node::ReloadReport& report) {
    if (report.certificates_read) std::puts("certificates were read again");
    for (const node::Change& change : report.applied) {
        std::printf("changed: %s = %s (was %s)\n", change.key.c_str(), change.after.c_str(), change.before.c_str());
    }
    for (const node::Change& change : report.at_restart) {
        std::printf("needs a restart: %s = %s (runs with %s)\n", change.key.c_str(), change.after.c_str(),
                    change.before.c_str());
    }
    if (report.applied.empty() && report.at_restart.empty())
        std::puts("no option differs from what the node runs with");
}

constexpr char nothing_changed[] = "Nothing was changed; the node goes on as it was.\n";

Result<std::string> data_dir_of(const std::string& config_path) {
    LET(const node::Config config,
        node::load_config({.path = config_path, .environment = node::environment_of_process()}));
    return config.data_dir;
}

int reload_and_tell(const Globals& globals, const std::string& data_dir) {
    const Result<node::ReloadReport> report = reload(globals, data_dir);
    if (!report) return failed(report.error());
    if (globals.json()) {
        std::fputs(to_json(*report).c_str(), stdout);
    } else if (report->refused.empty()) {
        print(*report);
    }
    if (report->refused.empty()) return ExitCode::Ok;
    std::fprintf(stderr, "Error: %s\n%s", report->refused.c_str(), nothing_changed);
    return ExitCode::Failed;
}

}  // namespace

void add_reload_command(CLI::App& app, const Globals& globals, int& exit_code) {
    const auto path = std::make_shared<std::string>();
    const auto data_dir = std::make_shared<std::string>();
    CLI::App* command = app.add_subcommand(
        "reload", "Make a running node of this machine read its configuration and certificates again (as SIGHUP does)");
    CLI::Option* by_config = command->add_option("--config", *path, "The node's configuration");
    CLI::Option* by_folder = command->add_option("--data-dir", *data_dir, "The node's data directory instead");
    by_folder->excludes(by_config);
    command->callback([&globals, &exit_code, path, data_dir] {
        if (path->empty() && data_dir->empty()) {
            exit_code = failed(Error{Code::Invalid, "which node? Give --config or --data-dir"});
            return;
        }
        if (data_dir->empty()) {
            Result<std::string> found = data_dir_of(*path);
            if (!found) {
                exit_code = failed(found.error());
                std::fputs(nothing_changed, stderr);
                if (exit_code == ExitCode::Usage) exit_code = ExitCode::Failed;  // The command was right.
                return;
            }
            *data_dir = *std::move(found);
        }
        exit_code = reload_and_tell(globals, *data_dir);
    });
}

}  // namespace polis::cli
