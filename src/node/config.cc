#include "node/config.h"

#include <algorithm>
#include <cctype>

#include "node/option_text.h"
#include "node/toml.h"

namespace polis::node {
namespace {

bool is_section(std::string_view key) {
    return std::ranges::any_of(options(),
                               [&](const Option& option) { return option.key.starts_with(std::string(key) + "."); });
}

std::string place_of(const toml::node& node, std::string_view file, std::string_view key) {
    return std::string(file) + ":" + std::to_string(node.source().begin.line) + ": " + std::string(key);
}

std::unexpected<Error> wrong(const toml::node& node, std::string_view file, std::string_view key,
                             std::string_view what) {
    return fail(Code::Invalid, place_of(node, file, key) + " " + std::string(what));
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
        TRY(check_bounds(option, number, place_of(node, file, option.key)));
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
            const std::string meant = suggestion(key);
            return wrong(node, file, key, "is no option" + (meant.empty() ? ": `polis config dump` lists all" : meant));
        }
    }
    return {};
}

// "POLIS_NODE_" for every first part of a key: what stands under such a name must be an option.
bool looks_like_option(std::string_view variable) {
    return std::ranges::any_of(options(), [variable](const Option& option) {
        return variable.starts_with(environment_name(option.key.substr(0, option.key.find('.'))) + "_");
    });
}

Result<void> read_environment(const std::map<std::string, std::string>& environment, Config& config) {
    for (const auto& [variable, text] : environment) {
        if (!looks_like_option(variable)) continue;
        const auto place = std::ranges::find_if(
            options(), [&variable](const Option& option) { return environment_name(option.key) == variable; });
        if (place == options().end()) {
            return fail(Code::Invalid,
                        "environment variable " + variable + " is no option: `polis config dump` lists all");
        }
        LET(Value value, value_of_text(*place, text, "environment variable " + variable));
        place->set(config, std::move(value));
    }
    return {};
}

Result<void> read_flags(const std::vector<std::pair<std::string, std::string>>& flags, Config& config) {
    for (const auto& [key, text] : flags) {
        const Option* option = find_option(key);
        if (option == nullptr) return fail(Code::Invalid, "flag --" + key + " is no option" + suggestion(key));
        LET(Value value, value_of_text(*option, text, "flag --" + key));
        option->set(config, std::move(value));
    }
    return {};
}

std::string written(const Config& config, const std::function<bool(const Option&)>& wanted) {
    std::string out;
    std::string section;
    for (const Option& option : options()) {
        if (!wanted(option)) continue;
        const size_t dot = option.key.rfind('.');
        if (option.key.substr(0, dot) != section) {
            section = option.key.substr(0, dot);
            out += (out.empty() ? "[" : "\n[") + section + "]\n";
        }
        out += "# " + std::string(option.sentence);
        if (!option.unit.empty()) out += " In " + std::string(option.unit) + ".";
        if (option.reload == Reload::OnReload) out += " Takes effect on reload.";
        out += "\n" + std::string(option.key.substr(dot + 1)) + " = " + toml_of(option.get(config)) + "\n";
    }
    return out;
}

}  // namespace

Result<Config> parse_config(std::string_view text, std::string_view name) {
    return parse_config(text, ConfigSource{.path = std::string(name)});
}

Result<Config> parse_config(std::string_view text, const ConfigSource& source) {
    try {
        const toml::table table = toml::parse(text, source.path);
        Config config;
        TRY(read_table(table, "", source.path, config));
        TRY(read_environment(source.environment, config));
        TRY(read_flags(source.flags, config));
        if (config.advertise_client.empty()) config.advertise_client = config.listen_client;
        if (config.advertise_peer.empty()) config.advertise_peer = config.listen_peer;
        TRY(check_config(config));
        return config;
    } catch (const toml::parse_error& error) {
        return fail(Code::Invalid, source.path + ":" + std::to_string(error.source().begin.line) + ": " +
                                       std::string(error.description()));
    }
}

std::string environment_name(std::string_view key) {
    std::string name = "POLIS_";
    for (const char letter : key) {
        name += letter == '.' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(letter)));
    }
    return name;
}

std::string dump_config(const Config& config) {
    return written(config, [](const Option&) { return true; });
}

std::string dump_changed(const Config& config) {
    return written(config, [&config](const Option& option) { return option.get(config) != option.get(Config()); });
}

}  // namespace polis::node
