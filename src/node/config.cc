#include "node/config.h"

#include <toml++/toml.h>

#include <algorithm>
#include <sstream>

#include "base/log.h"
#include "cluster/host.h"

namespace polis::node {
namespace {

const Option* find_option(std::string_view key) {
    const auto place = std::ranges::find(options(), key, &Option::key);
    return place == options().end() ? nullptr : &*place;
}

bool is_section(std::string_view key) {
    return std::ranges::any_of(options(),
                               [&](const Option& option) { return option.key.starts_with(std::string(key) + "."); });
}

std::unexpected<Error> wrong(const toml::node& node, std::string_view file, std::string_view key,
                             std::string_view what) {
    return fail(Code::Invalid, std::string(file) + ":" + std::to_string(node.source().begin.line) + ": " +
                                   std::string(key) + " " + std::string(what));
}

Result<std::vector<std::string>> texts_of(const toml::node& node, std::string_view file, std::string_view key) {
    std::vector<std::string> texts;
    if (const auto* text = node.as_string()) {
        texts.push_back(text->get());
        return texts;
    }
    const toml::array* array = node.as_array();
    if (array == nullptr) return wrong(node, file, key, "must be a text or a list of texts");
    for (const toml::node& item : *array) {
        if (!item.is_string()) return wrong(node, file, key, "must be a list of texts");
        texts.push_back(item.as_string()->get());
    }
    return texts;
}

Result<std::map<std::string, std::string>> texts_by_name_of(const toml::node& node, std::string_view file,
                                                            std::string_view key) {
    const toml::table* table = node.as_table();
    if (table == nullptr) return wrong(node, file, key, "must be a table of texts: { name = \"...\" }");
    std::map<std::string, std::string> texts;
    for (const auto& [name, item] : *table) {
        LET(const std::vector<std::string> parts, texts_of(item, file, key));
        std::string& joined = texts[std::string(name.str())];
        for (const std::string& part : parts) joined += (joined.empty() ? "" : ",") + part;
    }
    return texts;
}

Result<Value> value_of(const toml::node& node, const Option& option, const Value& like, std::string_view file) {
    if (std::holds_alternative<std::string>(like)) {
        if (!node.is_string()) return wrong(node, file, option.key, "must be a text");
        return Value(node.as_string()->get());
    }
    if (std::holds_alternative<bool>(like)) {
        if (!node.is_boolean()) return wrong(node, file, option.key, "must be true or false");
        return Value(node.as_boolean()->get());
    }
    if (std::holds_alternative<int64_t>(like)) {
        if (!node.is_integer()) return wrong(node, file, option.key, "must be a whole number");
        const int64_t number = node.as_integer()->get();
        if (number < option.minimum || number > option.maximum) {
            return wrong(
                node, file, option.key,
                "must lie between " + std::to_string(option.minimum) + " and " + std::to_string(option.maximum));
        }
        return Value(number);
    }
    if (std::holds_alternative<std::vector<std::string>>(like)) {
        LET(std::vector<std::string> texts, texts_of(node, file, option.key));
        return Value(std::move(texts));
    }
    LET(auto texts, texts_by_name_of(node, file, option.key));
    return Value(std::move(texts));
}

Result<void> read_table(const toml::table& table, const std::string& prefix, std::string_view file, Config& config) {
    for (const auto& [name, node] : table) {
        const std::string key = prefix + std::string(name.str());
        if (const Option* option = find_option(key)) {
            LET(Value value, value_of(node, *option, option->get(config), file));
            option->set(config, std::move(value));
        } else if (node.is_table() && is_section(key)) {
            TRY(read_table(*node.as_table(), key + ".", file, config));
        } else {
            return wrong(node, file, key, "is no option: `polis config dump` lists all");
        }
    }
    return {};
}

bool is_loopback(const std::string& host) { return host == "localhost" || host == "::1" || host.starts_with("127."); }

Result<void> check_listener(const std::string& url, const TlsConfig& tls, bool insecure, std::string_view key) {
    LET(const runtime::Address address, cluster::address_of_url(url));
    const bool https = url.starts_with("https://");
    if (https && !tls.enabled()) {
        return fail(Code::Invalid, std::string(key) + " has " + url + " but no certificate is configured for it");
    }
    if (!https && !insecure && !is_loopback(address.host)) {
        return fail(Code::Invalid, std::string(key) + " has " + url +
                                       ": beyond loopback only https is served; configure TLS, or set listen.insecure");
    }
    return {};
}

std::string quoted(std::string_view text) {
    std::ostringstream out;
    out << toml::value<std::string>(std::string(text));
    return out.str();
}

std::string text_of(const Value& value) {
    if (const auto* text = std::get_if<std::string>(&value)) return quoted(*text);
    if (const auto* number = std::get_if<int64_t>(&value)) return std::to_string(*number);
    if (const auto* yes = std::get_if<bool>(&value)) return *yes ? "true" : "false";
    std::string out;
    if (const auto* texts = std::get_if<std::vector<std::string>>(&value)) {
        for (const std::string& text : *texts) out += (out.empty() ? "" : ", ") + quoted(text);
        return "[" + out + "]";
    }
    for (const auto& [name, text] : std::get<std::map<std::string, std::string>>(value)) {
        out += (out.empty() ? "" : ", ") + quoted(name) + " = " + quoted(text);
    }
    return "{ " + out + " }";
}

}  // namespace

Result<Config> parse_config(std::string_view text, std::string_view name) {
    try {
        const toml::table table = toml::parse(text, name);
        Config config;
        TRY(read_table(table, "", name, config));
        if (config.advertise_client.empty()) config.advertise_client = config.listen_client;
        if (config.advertise_peer.empty()) config.advertise_peer = config.listen_peer;
        TRY(check_config(config));
        return config;
    } catch (const toml::parse_error& error) {
        return fail(Code::Invalid, std::string(name) + ":" + std::to_string(error.source().begin.line) + ": " +
                                       std::string(error.description()));
    }
}

Result<void> check_config(const Config& config) {
    if (config.data_dir.empty())
        return fail(Code::Invalid, "node.data_dir is missing: where should everything be kept?");
    if (config.state != "new" && config.state != "existing") {
        return fail(Code::Invalid, "cluster.state must be \"new\" or \"existing\"");
    }
    if (config.heartbeat_ms * 3 > config.election_timeout_ms) {
        return fail(Code::Invalid, "cluster.election_timeout_ms must be at least three times cluster.heartbeat_ms");
    }
    if (config.listen_client.empty() || config.listen_peer.empty()) {
        return fail(Code::Invalid, "listen.client and listen.peer need an address each");
    }
    if (log::level_named(config.log_level) == log::Level::Off) {
        return fail(Code::Invalid, "log.level must be debug, info, warn or error");
    }
    for (const std::string& url : config.listen_client) {
        TRY(check_listener(url, config.tls_client, config.insecure, "listen.client"));
    }
    for (const std::string& url : config.listen_metrics) {
        TRY(check_listener(url, config.tls_client, config.insecure, "listen.metrics"));
    }
    for (const std::string& url : config.listen_peer) {
        TRY(check_listener(url, config.tls_peer, config.insecure, "listen.peer"));
    }
    for (const auto* urls : {&config.advertise_client, &config.advertise_peer}) {
        for (const std::string& url : *urls) TRY(cluster::address_of_url(url));
    }
    return {};
}

std::string dump_config(const Config& config) {
    std::string out;
    std::string section;
    for (const Option& option : options()) {
        const size_t dot = option.key.rfind('.');
        if (option.key.substr(0, dot) != section) {
            section = option.key.substr(0, dot);
            out += (out.empty() ? "[" : "\n[") + section + "]\n";
        }
        out += "# " + std::string(option.sentence);
        if (!option.unit.empty()) out += " In " + std::string(option.unit) + ".";
        if (option.reload == Reload::OnReload) out += " Takes effect on reload.";
        out += "\n" + std::string(option.key.substr(dot + 1)) + " = " + text_of(option.get(config)) + "\n";
    }
    return out;
}

}  // namespace polis::node
