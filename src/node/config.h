// Config: everything a node can be told, as one struct, with the table that files, help and docs are made from.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"

namespace polis::node {

/// Files of one side of TLS; all PEM. Empty: not used.
struct TlsConfig {
    std::string cert_file, key_file, trusted_ca_file;
    bool client_cert_auth = false;
    bool automatic = false;

    bool enabled() const { return !cert_file.empty() || automatic; }
};

/// A node's configuration. Names are those of the file (docs/configuration.md), defaults etcd's where etcd has the option.
struct Config {
    std::string name = "default";
    std::string data_dir;
    std::map<std::string, std::string> labels;

    std::string token = "etcd-cluster";
    std::string state = "new";
    std::string consensus = "raft";
    std::map<std::string, std::string> initial;  // name -> peer URLs, separated by commas.
    int64_t heartbeat_ms = 50;
    int64_t election_timeout_ms = 250;
    int64_t priority = 100;

    std::vector<std::string> listen_client = {"http://127.0.0.1:2379"};
    std::vector<std::string> listen_peer = {"http://127.0.0.1:2380"};
    std::vector<std::string> listen_metrics;
    bool insecure = false;
    std::vector<std::string> advertise_client;  // Empty: as listen_client.
    std::vector<std::string> advertise_peer;

    TlsConfig tls_client;
    TlsConfig tls_peer;

    int64_t quota_bytes = 2ll << 30;
    std::string auto_compaction_mode = "off";
    std::string auto_compaction_retention = "0";
    int64_t operations_per_txn_max = 128;
    int64_t request_bytes_max = 1536 << 10;
    int64_t auth_token_ttl_s = 300;
    int64_t bcrypt_cost = 10;
    int64_t watch_progress_interval_s = 600;

    int64_t keep_entries = 10'000;
    int64_t flush_entries = 200'000;
    int64_t segment_bytes = 64ll << 20;
    int64_t write_buffer_bytes = 4ll << 20;
    int64_t block_cache_bytes = 8ll << 20;
    int64_t spin_us = 0;
    bool lease_reads = false;

    std::string log_level = "info";
};

using Value = std::variant<std::string, int64_t, bool, std::vector<std::string>, std::map<std::string, std::string>>;

enum class Reload : uint8_t { AtStart, OnReload };

/// One option. Flags, file keys, `polis config dump` and docs/configuration.md come from this table.
struct Option {
    std::string_view key;   // "section.name", as in the file.
    std::string_view unit;  // "bytes", "ms" ...; empty if it has none.
    Reload reload;
    std::string_view sentence;
    int64_t minimum, maximum;  // Of numbers.
    std::function<Value(const Config&)> get;
    std::function<void(Config&, Value)> set;
};

const std::vector<Option>& options();

/// Reads a file. Errors: Invalid, with the line and what to change; Io. Unknown keys are errors.
Result<Config> load_config(const std::string& path);
Result<Config> parse_config(std::string_view text, std::string_view name);

/// Checks what no single option shows (addresses, TLS off loopback ...). Errors: Invalid.
Result<void> check_config(const Config& config);

/// The whole configuration as a file that load_config reads back.
std::string dump_config(const Config& config);

}  // namespace polis::node
