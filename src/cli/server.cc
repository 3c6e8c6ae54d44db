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

int start(const node::ConfigSource& source) {
    const Result<void> ended = node::run_node(source, [](const node::Config& config) {
        std::printf("ready %s\n", config.listen_client.front().c_str());
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
    pid_t process;
    int output;  // The read end of its standard output.
};

std::string url_of(int node, int port) { return "http://127.0.0." + std::to_string(node) + ":" + std::to_string(port); }

Result<std::string> write_configuration(const Development& development, int number) {
    const std::string directory = development.directory + "/node-" + std::to_string(number);
    std::error_code error;
    std::filesystem::create_directories(directory, error);
    const std::string absolute = std::filesystem::absolute(directory, error);
    if (error) return fail(Code::Io, "cannot make " + directory + ": " + error.message());
    node::Config config;
    config.name = "node-" + std::to_string(number);
    config.data_dir = absolute;
    config.consensus = development.consensus;
    config.log_level = development.log_level;
    config.listen_client = config.advertise_client = {url_of(number, 2379)};
    config.listen_peer = config.advertise_peer = {url_of(number, 2380)};
    for (int other = 1; other <= development.nodes; ++other) {
        config.initial["node-" + std::to_string(other)] = url_of(other, 2380);
    }
    std::string path = absolute + "/polis.toml";
    std::ofstream out(path, std::ios::trunc);
    out << node::dump_changed(config);
    out.close();
    if (!out) return fail(Code::Io, "cannot write " + path);
    return path;
}

// Starts this same program as a node. It ends with us, however we end.
Result<Child> start_child(const std::string& configuration) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0)
        return fail(Code::Io, std::string("cannot make a pipe: ") + std::strerror(errno));
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
    if (process < 0) {
        ::close(ends[0]);
        return fail(Code::Io, std::string("cannot start a process: ") + std::strerror(errno));
    }
    return Child{process, ends[0]};
}

// False if the child ended first, or a signal came.
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

Result<void> start_children(const Development& development, std::vector<Child>& children) {
    for (int number = 1; number <= development.nodes; ++number) {
        LET(const std::string configuration, write_configuration(development, number));
        LET(const Child child, start_child(configuration));
        children.push_back(child);
    }
    for (const Child& child : children) {
        if (wait_ready(child) || stop_asked) continue;
        return fail(Code::Unavailable, "a node did not start; what it said stands above");
    }
    return {};
}

// A node that ends is left down, so that its loss can be watched. Returns when all have ended or a signal came.
void watch_children(std::vector<Child>& children) {
    while (!stop_asked && !children.empty()) {
        int status = 0;
        const pid_t ended = ::waitpid(-1, &status, 0);
        if (ended < 0) continue;  // A signal, which is looked at above.
        std::erase_if(children, [ended](const Child& child) { return child.process == ended; });
        std::printf("process %d ended\n", static_cast<int>(ended));
        std::fflush(stdout);
    }
}

int develop(const Development& development) {
    struct sigaction action{};
    action.sa_handler = [](int) { stop_asked = 1; };  // Without SA_RESTART: waits end when it comes.
    ::sigaction(SIGINT, &action, nullptr);
    ::sigaction(SIGTERM, &action, nullptr);

    std::vector<Child> children;
    const Result<void> started = start_children(development, children);
    int exit_code = ExitCode::Ok;
    if (!started) exit_code = failed(started.error());
    if (started && !stop_asked) {
        print_ready(development);
        watch_children(children);
        if (!stop_asked) exit_code = ExitCode::Failed;  // All have ended by themselves.
    }
    for (const Child& child : children) ::kill(child.process, SIGTERM);
    for (const Child& child : children) {
        while (::waitpid(child.process, nullptr, 0) < 0 && errno == EINTR) continue;
    }
    return exit_code;
}

// "--node.name" and so on: one flag for each row of the table.
void add_option_flags(CLI::App& command, const std::shared_ptr<node::ConfigSource>& source) {
    for (const node::Option& option : node::options()) {
        const std::string key(option.key);
        std::string sentence(option.sentence);
        if (!option.unit.empty()) sentence += " In " + std::string(option.unit) + ".";
        command
            .add_option_function<std::string>(
                "--" + key, [source, key](const std::string& text) { source->flags.emplace_back(key, text); }, sentence)
            ->group("Options of the node (file: the same keys; environment: POLIS_NODE_NAME ...)");
    }
}

}  // namespace

void add_server_commands(CLI::App& app, const Globals&, int& exit_code) {
    const auto source = std::make_shared<node::ConfigSource>();
    CLI::App* start_command = app.add_subcommand("start", "Run a node in the foreground");
    start_command->add_option("--config", source->path, "Its configuration (docs/configuration.md)");
    add_option_flags(*start_command, source);
    start_command->callback([&exit_code, source] {
        source->environment = node::environment_of_process();
        exit_code = start(*source);
    });

    const auto development = std::make_shared<Development>();
    CLI::App* dev = app.add_subcommand("dev", "Run a whole cluster on 127.0.0.1, 127.0.0.2 ... until Ctrl-C");
    dev->add_option("--nodes", development->nodes, "How many")->check(CLI::Range(1, 9));
    dev->add_option("--dir", development->directory, "Where the nodes keep their data");
    dev->add_option("--consensus", development->consensus, "raft");
    dev->add_option("--log-level", development->log_level, "debug, info, warn or error");
    dev->callback([&exit_code, development] { exit_code = develop(*development); });
}

}  // namespace polis::cli
