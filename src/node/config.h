// Config: everything a node can be told, as one struct, with the table that files, help and docs are made from.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
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
    bool balance = true;
    int64_t balance_hold_s = 30;
    int64_t quiesce_after_ms = 1000;

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
    std::string auth_token = "simple";
    int64_t auth_token_ttl_s = 300;
    int64_t bcrypt_cost = 10;
    int64_t watch_progress_interval_s = 600;
    int64_t lease_checkpoint_interval_s = 300;
    int64_t apply_lag_max = 5000;
    int64_t write_bytes_max = 256ll << 20;
    int64_t user_requests_per_s = 0;
    int64_t user_burst = 0;
    int64_t slow_request_ms = 100;
    int64_t streams_max = 1 << 20;
    int64_t connections_max = 18'000;

    int64_t keep_entries = 10'000;
    int64_t flush_entries = 200'000;
    int64_t segment_bytes = 64ll << 20;
    int64_t write_buffer_bytes = 4ll << 20;
    int64_t block_cache_bytes = 8ll << 20;
    int64_t spin_us = 0;
    int64_t io_threads = 0;
    bool lease_reads = false;

    std::string log_level = "info";
};

using Value = std::variant<std::string, int64_t, bool, std::vector<std::string>, std::map<std::string, std::string>>;

/// When a changed value takes effect.
enum class Reload : uint8_t { AtStart, OnReload };

/// One option. File keys, environment variables, flags of `polis start`, `polis config dump` and docs/configuration.md come from this table.
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

/// Where a configuration comes from. What comes later here wins: defaults, the file, the environment, flags.
struct ConfigSource {
    std::string path = {};                                        // Empty: no file.
    std::map<std::string, std::string> environment = {};          // POLIS_NODE_NAME ...; others are passed over.
    std::vector<std::pair<std::string, std::string>> flags = {};  // Key and text; the last of a repeated key wins.
};

/// The environment variable of an option: "POLIS_NODE_DATA_DIR" for "node.data_dir".
std::string environment_name(std::string_view key);

/// The variables of this process that options may come from. A variable whose name begins as an option's section does and that is no
/// option's is an error of load_config; others of the same prefix (POLIS_BINARY ...) are not looked at.
std::map<std::string, std::string> environment_of_process();

/// Reads all sources. Errors: Invalid, saying where (line, variable, flag) and what to change; Io. Unknown keys are errors.
Result<Config> load_config(const ConfigSource& source);
/// Only a file, by its text. `name` is for messages.
Result<Config> parse_config(std::string_view text, std::string_view name);
/// A file's text, and what stands above it in `source`, whose path is for messages only.
Result<Config> parse_config(std::string_view text, const ConfigSource& source);

/// Checks what no single option shows (addresses, TLS off loopback ...). Errors: Invalid.
Result<void> check_config(const Config& config);

/// The whole configuration as a file that load_config reads back.
std::string dump_config(const Config& config);
/// The same, without what has its default value.
std::string dump_changed(const Config& config);

}  // namespace polis::node
