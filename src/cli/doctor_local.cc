#include "cli/doctor_local.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "cli/world.h"
#include "cluster/host.h"
#include "cluster/identity.h"
#include "node/directory_lock.h"
#include "node/tls.h"
#include "runtime/wait.h"

namespace polis::cli {
namespace {

using Findings = std::vector<Finding>;

WallTime wall_now() {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return WallTime{std::chrono::duration_cast<std::chrono::microseconds>(now)};
}

// What is written: one block, as a small commit is. Errors: Io, NoSpace.
Result<std::vector<Duration>> measure_syncs(const std::string& folder) {
    constexpr int count = 30;
    const std::string block(4096, 'p');
    std::string path = folder + "/.doctor-XXXXXX";
    const int descriptor = ::mkstemp(path.data());
    if (descriptor < 0) return fail(Code::Io, "cannot write into " + folder + ": " + std::strerror(errno));
    ::unlink(path.c_str());
    std::vector<Duration> times;
    int error = 0;
    for (int i = 0; i < count && error == 0; ++i) {
        const auto before = std::chrono::steady_clock::now();
        const ssize_t written = ::pwrite(descriptor, block.data(), block.size(), static_cast<off_t>(i) * 4096);
        if (written != static_cast<ssize_t>(block.size()) || ::fdatasync(descriptor) != 0)
            error = errno != 0 ? errno : ENOSPC;
        times.push_back(std::chrono::steady_clock::now() - before);
    }
    ::close(descriptor);
    if (error != 0) return fail(Code::Io, "cannot write into " + folder + ": " + std::strerror(error));
    return times;
}

Finding check_identity(const std::string& data_dir, ClientWorld& world) {
    const Result<std::optional<cluster::Identity>> identity = world.run(cluster::load_identity(world.world()));
    if (!identity) {
        return {Verdict::Failure, "data", data_dir + ": " + identity.error().what,
                "start the release that wrote it, or restore this member from the others"};
    }
    if (!*identity) return {Verdict::Ok, "data", data_dir + " is new: the node will found or join a cluster"};
    return {Verdict::Ok, "data", data_dir + " is of format " + std::to_string((*identity)->format)};
}

Finding check_owner(const std::string& data_dir, const struct stat& status) {
    const std::string mode = "chown and chmod 0700 it for the user that runs the node";
    if (status.st_uid != ::geteuid() && ::geteuid() != 0) {
        return {Verdict::Failure, "data",
                data_dir + " belongs to another user (uid " + std::to_string(status.st_uid) + ")", mode};
    }
    if ((status.st_mode & 0077) != 0) return {Verdict::Warning, "data", data_dir + " is open to other users", mode};
    return {Verdict::Ok, "data", data_dir + " belongs to this user alone"};
}

void check_data(const node::Config& config, Findings& findings) {
    struct stat status{};
    if (::stat(config.data_dir.c_str(), &status) != 0) {
        if (errno == ENOENT) {
            findings.push_back({Verdict::Warning, "data", config.data_dir + " is not there yet",
                                "`polis start` makes it; if the node has run before, a disk may not be mounted"});
        } else {
            findings.push_back(
                {Verdict::Failure, "data", config.data_dir + ": " + std::strerror(errno), "correct node.data_dir"});
        }
        return;
    }
    findings.push_back(check_owner(config.data_dir, status));
    const auto world = ClientWorld::open(config.data_dir);
    if (!world) {
        findings.push_back({Verdict::Failure, "data", world.error().what, "correct node.data_dir"});
        return;
    }
    findings.push_back(check_identity(config.data_dir, **world));
    const Result<std::optional<pid_t>> holder = node::DirectoryLock::holder(config.data_dir);
    const bool runs = holder && *holder;
    findings.push_back({runs ? Verdict::Ok : Verdict::Warning, "process",
                        runs ? "process " + std::to_string(**holder) + " runs this node" : "no process runs this node",
                        runs ? "" : "`polis start --config ...`"});
    std::error_code error;
    const std::filesystem::space_info space = std::filesystem::space(config.data_dir, error);
    if (!error) findings.push_back(check_disk_space(config.data_dir, space.available, space.capacity));
    const Result<std::vector<Duration>> times = measure_syncs(config.data_dir);
    findings.push_back(
        times ? check_sync_times(*times)
              : Finding{Verdict::Failure, "disk speed", times.error().what, "look at the disk and its mount"});
}

Result<std::vector<security::CertificateSummary>> certificates_of(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    if (!in) return fail(Code::Io, "cannot read " + path);
    const std::string text((std::istreambuf_iterator<char>(in)), {});
    return security::inspect_certificates(text);
}

std::vector<std::string> hosts_of(const std::vector<std::string>& urls) {
    std::vector<std::string> hosts;
    for (const std::string& url : urls) {
        const Result<runtime::Address> address = cluster::address_of_url(url);
        if (address && url.starts_with("https://")) hosts.push_back(address->host);
    }
    return hosts;
}

void check_side(const std::string& side, const node::TlsConfig& tls, const std::vector<std::string>& urls,
                Findings& findings) {
    if (!tls.cert_file.empty()) {
        findings.push_back(check_certificate("tls." + side + ".cert_file", certificates_of(tls.cert_file),
                                             hosts_of(urls), wall_now()));
    }
    if (!tls.trusted_ca_file.empty()) {
        findings.push_back(check_certificate("tls." + side + ".trusted_ca_file", certificates_of(tls.trusted_ca_file),
                                             {}, wall_now()));
    }
    struct stat status{};
    if (!tls.key_file.empty() && ::stat(tls.key_file.c_str(), &status) == 0 && (status.st_mode & 0007) != 0) {
        findings.push_back({Verdict::Failure, "certificates", tls.key_file + " can be read by every user",
                            "chmod 0600 it, and renew it: it may be known"});
    }
}

void check_tls(const node::Config& config, Findings& findings) {
    check_side("client", config.tls_client, config.advertise_client, findings);
    check_side("peer", config.tls_peer, config.advertise_peer, findings);
    if (config.insecure) {
        findings.push_back({Verdict::Warning, "security", "listen.insecure allows plain connections beyond loopback",
                            "`polis init` makes certificates; then listen on https"});
    }
    if (config.tls_peer.enabled() && !config.tls_peer.client_cert_auth) {
        findings.push_back({Verdict::Warning, "security",
                            "anybody may connect to the peer port: members need show no certificate",
                            "set tls.peer.trusted_ca_file and tls.peer.client_cert_auth"});
    }
}

runtime::Task<void> dial(runtime::World world, runtime::Address address,
                         std::shared_ptr<const runtime::TlsContext> tls) {
    const Instant limit = world.reactor.now() + std::chrono::seconds(2);
    CO_LET(const std::unique_ptr<runtime::Stream> stream,
           co_await runtime::with_deadline(limit, world.network.connect(std::move(address), std::move(tls))));
    stream->close();
    co_return runtime::done();
}

// As the node itself would dial the others, with its certificate: so their certificates are verified too.
void check_ports(const node::Config& config, Findings& findings) {
    // Self-signed certificates of the node's own making are not this command's to make.
    const Result<node::TlsContexts> tls = config.tls_peer.automatic || config.tls_client.automatic
                                              ? Result<node::TlsContexts>(node::TlsContexts())
                                              : node::load_tls(config);
    if (!tls) {
        findings.push_back({Verdict::Failure, "certificates", tls.error().what, "correct the file or its path"});
        return;
    }
    const auto world = ClientWorld::open();
    if (!world || config.tls_peer.automatic) return;
    for (const auto& [name, urls] : config.initial) {
        const std::string url = urls.substr(0, urls.find(','));
        const Result<runtime::Address> address = cluster::address_of_url(url);
        if (!address) continue;
        const Result<void> reached =
            (*world)->run(dial((*world)->world(), *address, url.starts_with("https://") ? tls->peer_client : nullptr));
        findings.push_back(reached ? Finding{Verdict::Ok, "ports", name + "'s peer port can be reached at " + url}
                                   : Finding{Verdict::Failure, "ports",
                                             name + "'s peer port at " + url + ": " + reached.error().what,
                                             "look whether it runs, at firewalls, and at its certificate"});
    }
}

}  // namespace

LocalReport check_local(const std::string& config_path) {
    LocalReport report;
    const Result<node::Config> config =
        node::load_config({.path = config_path, .environment = node::environment_of_process()});
    if (!config) {
        report.findings.push_back({Verdict::Failure, "configuration", config.error().what,
                                   "correct it; `polis config check` reads it again"});
        return report;
    }
    report.endpoints = config->advertise_client;
    report.findings.push_back({Verdict::Ok, "configuration", config_path + " is valid"});
    check_data(*config, report.findings);
    check_tls(*config, report.findings);
    check_ports(*config, report.findings);
    return report;
}

}  // namespace polis::cli
