// polis start and polis dev: run one node, or a whole cluster on this machine.
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/App.hpp>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>

#include "cli/command.h"
#include "node/config.h"
#include "node/node.h"

namespace polis::cli {
namespace {

int start(const std::string& path) {
    const Result<node::Config> config = node::load_config(path);
    if (!config) return failed(config.error());
    const Result<void> ended = node::run_node(*config, path, [&config] {
        std::printf("ready %s\n", config->listen_client.front().c_str());
        std::fflush(stdout);
    });
    return ended ? static_cast<int>(ExitCode::Ok) : failed(ended.error());
}

struct Development {
    int nodes = 3;
    std::string directory = "polis-dev";
    std::string consensus = "raft";
    std::string log_level = "warn";
};

struct Child {
    pid_t process = -1;
    int output = -1;  // The read end of its standard output.
};

std::string url_of(int node, int port) { return "http://127.0.0." + std::to_string(node) + ":" + std::to_string(port); }

std::string write_configuration(const Development& development, int number) {
    const std::string directory = development.directory + "/node-" + std::to_string(number);
    std::filesystem::create_directories(directory);
    node::Config config;
    config.name = "node-" + std::to_string(number);
    config.data_dir = std::filesystem::absolute(directory);
    config.consensus = development.consensus;
    config.log_level = development.log_level;
    config.listen_client = config.advertise_client = {url_of(number, 2379)};
    config.listen_peer = config.advertise_peer = {url_of(number, 2380)};
    for (int other = 1; other <= development.nodes; ++other) {
        config.initial["node-" + std::to_string(other)] = url_of(other, 2380);
    }
    std::string path = directory + "/polis.toml";
    std::ofstream(path) << node::dump_config(config);
    return path;
}

// Starts this same program as a node. It ends with us, however we end.
Child start_child(const std::string& configuration) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return {};
    const pid_t parent = ::getpid();
    const pid_t process = ::fork();
    if (process == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (::getppid() != parent) ::_exit(1);
        ::dup2(ends[1], STDOUT_FILENO);
        ::execl("/proc/self/exe", "polis", "start", "--config", configuration.c_str(), nullptr);
        ::_exit(127);
    }
    ::close(ends[1]);
    return {process, ends[0]};
}

bool wait_ready(const Child& child) {
    std::string line;
    char letter = 0;
    while (::read(child.output, &letter, 1) == 1) {
        line += letter;
        if (letter == '\n') {
            if (line.starts_with("ready")) return true;
            line.clear();
        }
    }
    return false;
}

void print_ready(const Development& development) {
    std::string endpoints;
    for (int node = 1; node <= development.nodes; ++node) {
        endpoints += (endpoints.empty() ? "" : ",") + std::string("127.0.0.") + std::to_string(node) + ":2379";
    }
    std::printf("ready\n  etcd: %s\n\n", endpoints.c_str());
    std::printf("Try, with Debian's etcd-client:\n  export ETCDCTL_API=3 ETCDCTL_ENDPOINTS=%s\n", endpoints.c_str());
    std::printf("  etcdctl put greeting hello\n  etcdctl get greeting\n  etcdctl endpoint status -w table\n");
    std::fflush(stdout);
}

volatile std::sig_atomic_t stop_asked = 0;

int develop(const Development& development) {
    struct sigaction action{};
    action.sa_handler = [](int) { stop_asked = 1; };
    ::sigaction(SIGINT, &action, nullptr);
    ::sigaction(SIGTERM, &action, nullptr);

    std::vector<Child> children;
    for (int number = 1; number <= development.nodes; ++number) {
        children.push_back(start_child(write_configuration(development, number)));
    }
    bool all_ready = true;
    for (const Child& child : children) all_ready = all_ready && wait_ready(child);
    if (all_ready && !stop_asked) print_ready(development);
    if (!all_ready) std::fprintf(stderr, "Error: a node did not start; what it said stands above\n");

    // A node that ends is left down, so that its loss can be watched; when all have ended, so do we.
    int exit_code = all_ready ? ExitCode::Ok : ExitCode::Failed;
    if (all_ready) {
        while (!stop_asked) {
            int status = 0;
            const pid_t ended = ::waitpid(-1, &status, 0);
            if (ended < 0 && errno == ECHILD) return ExitCode::Failed;
            if (ended > 0) {
                std::erase_if(children, [ended](const Child& child) { return child.process == ended; });
                std::printf("process %d ended\n", static_cast<int>(ended));
                std::fflush(stdout);
            }
        }
    }
    for (const Child& child : children) ::kill(child.process, SIGTERM);
    for (const Child& child : children) ::waitpid(child.process, nullptr, 0);
    return exit_code;
}

}  // namespace

void add_server_commands(CLI::App& app, const Globals&, int& exit_code) {
    const auto path = std::make_shared<std::string>();
    CLI::App* start_command = app.add_subcommand("start", "Run a node in the foreground");
    start_command->add_option("--config", *path, "Its configuration (docs/configuration.md)")->required();
    start_command->callback([&exit_code, path] { exit_code = start(*path); });

    const auto development = std::make_shared<Development>();
    CLI::App* dev = app.add_subcommand("dev", "Run a whole cluster on 127.0.0.1, 127.0.0.2 ... until Ctrl-C");
    dev->add_option("--nodes", development->nodes, "How many")->check(CLI::Range(1, 9));
    dev->add_option("--dir", development->directory, "Where the nodes keep their data");
    dev->add_option("--consensus", development->consensus, "raft");
    dev->add_option("--log-level", development->log_level, "debug, info, warn or error");
    dev->callback([&exit_code, development] { exit_code = develop(*development); });
}

}  // namespace polis::cli
