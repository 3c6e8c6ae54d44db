// What no single option shows: how the options of a configuration fit together.
#include <arpa/inet.h>

#include <charconv>

#include "base/log.h"
#include "cluster/host.h"
#include "node/config.h"
#include "node/duration.h"

namespace polis::node {
namespace {

std::unexpected<Error> wrong(std::string_view key, std::string_view what) {
    return fail(Code::Invalid, std::string(key) + " " + std::string(what));
}

// By number, or by the one name that is loopback everywhere: "127.example.org" is not.
bool is_loopback(const std::string& host) {
    in_addr v4;
    if (inet_pton(AF_INET, host.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
    in6_addr v6;
    if (inet_pton(AF_INET6, host.c_str(), &v6) == 1) return IN6_IS_ADDR_LOOPBACK(&v6);
    return host == "localhost";
}

struct Listening {
    std::string_view key;
    const std::vector<std::string>& urls;
    const TlsConfig& tls;
};

Result<void> check_listeners(const Listening& listening, bool insecure) {
    for (const std::string& url : listening.urls) {
        const Result<runtime::Address> address = cluster::address_of_url(url);
        if (!address) return wrong(listening.key, "has " + url + ": " + address.error().what);
        const bool https = url.starts_with("https://");
        if (https && !listening.tls.enabled()) {
            return wrong(listening.key, "has " + url + " but no certificate is configured for it");
        }
        if (!https && !insecure && !is_loopback(address->host)) {
            return wrong(listening.key, "has " + url +
                                            ": beyond loopback only https is served; configure TLS, or set "
                                            "listen.insecure");
        }
    }
    return {};
}

Result<void> check_urls(std::string_view key, const std::vector<std::string>& urls) {
    for (const std::string& url : urls) {
        const Result<runtime::Address> address = cluster::address_of_url(url);
        if (!address) return wrong(key, "has " + url + ": " + address.error().what);
    }
    return {};
}

Result<void> check_tls(const std::string& side, const TlsConfig& tls) {
    if (tls.cert_file.empty() != tls.key_file.empty()) {
        return wrong(side, "has a cert_file or a key_file, but not both");
    }
    if (tls.client_cert_auth && !tls.enabled()) return wrong(side, "has client_cert_auth, but no certificate");
    if (tls.client_cert_auth && tls.trusted_ca_file.empty()) {
        return wrong(side, "has client_cert_auth, but no trusted_ca_file to check certificates with");
    }
    return {};
}

Result<void> check_compaction(const Config& config) {
    const std::string& mode = config.auto_compaction_mode;
    const std::string& retention = config.auto_compaction_retention;
    if (mode != "off" && mode != "periodic" && mode != "revision") {
        return wrong("etcd.auto_compaction_mode", "must be \"off\", \"periodic\" or \"revision\"");
    }
    int64_t number = 0;
    const char* const end = retention.data() + retention.size();
    const auto parsed = std::from_chars(retention.data(), end, number);
    const bool plain = parsed.ec == std::errc() && parsed.ptr == end && number >= 0;
    if (plain && (mode != "periodic" || parse_duration(retention + "h"))) return {};
    if (mode == "revision") return wrong("etcd.auto_compaction_retention", "must be a number of revisions");
    if (!parse_duration(retention)) {
        return wrong("etcd.auto_compaction_retention", "must be a duration such as \"1h\", or hours as a number");
    }
    return {};
}

Result<void> check_founders(const Config& config) {
    for (const auto& [name, urls] : config.initial) {
        if (name.empty()) return wrong("cluster.initial", "has a member without a name");
        std::string_view rest = urls;
        if (rest.empty()) return wrong("cluster.initial", "has no URL for " + name);
        while (!rest.empty()) {
            const size_t comma = rest.find(',');
            TRY(check_urls("cluster.initial", {std::string(rest.substr(0, comma))}));
            rest.remove_prefix(comma == std::string_view::npos ? rest.size() : comma + 1);
        }
    }
    return {};
}

}  // namespace

Result<void> check_config(const Config& config) {
    if (config.data_dir.empty()) return wrong("node.data_dir", "is missing: where should everything be kept?");
    if (config.name.empty()) return wrong("node.name", "must not be empty");
    if (config.state != "new" && config.state != "existing") {
        return wrong("cluster.state", "must be \"new\" or \"existing\"");
    }
    if (config.consensus != "raft") return wrong("cluster.consensus", "must be \"raft\"");
    if (config.heartbeat_ms > config.election_timeout_ms / 3) {
        return wrong("cluster.election_timeout_ms", "must be at least three times cluster.heartbeat_ms");
    }
    if (config.listen_client.empty() || config.listen_peer.empty()) {
        return fail(Code::Invalid, "listen.client and listen.peer need an address each");
    }
    if (log::level_named(config.log_level) == log::Level::Off) {
        return wrong("log.level", "must be debug, info, warn or error");
    }
    TRY(check_tls("tls.client", config.tls_client));
    TRY(check_tls("tls.peer", config.tls_peer));
    TRY(check_listeners({"listen.client", config.listen_client, config.tls_client}, config.insecure));
    TRY(check_listeners({"listen.metrics", config.listen_metrics, config.tls_client}, config.insecure));
    TRY(check_listeners({"listen.peer", config.listen_peer, config.tls_peer}, config.insecure));
    TRY(check_urls("advertise.client", config.advertise_client));
    TRY(check_urls("advertise.peer", config.advertise_peer));
    TRY(check_founders(config));
    return check_compaction(config);
}

}  // namespace polis::node
