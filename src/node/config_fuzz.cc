// Fuzzes the reading of configurations: a file, then after a NUL lines NAME=TEXT (environment) and --KEY=TEXT (flags). Whatever is
// accepted must survive being dumped and read again.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/ensure.h"
#include "node/config.h"

namespace {

polis::node::ConfigSource source_of(std::string_view lines) {
    polis::node::ConfigSource source{.path = "node.toml"};
    while (!lines.empty()) {
        std::string_view line = lines.substr(0, lines.find('\n'));
        lines.remove_prefix(line.size() == lines.size() ? line.size() : line.size() + 1);
        const bool is_flag = line.starts_with("--");
        if (is_flag) line.remove_prefix(2);
        const size_t equals = line.find('=');
        if (equals == std::string_view::npos) continue;
        std::string name(line.substr(0, equals));
        std::string text(line.substr(equals + 1));
        if (is_flag) {
            source.flags.emplace_back(std::move(name), std::move(text));
        } else {
            source.environment.emplace(std::move(name), std::move(text));
        }
    }
    return source;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* octets, size_t size) {
    const std::string_view input(reinterpret_cast<const char*>(octets), size);
    const size_t end = std::min(input.find('\0'), input.size());
    const polis::node::ConfigSource source = source_of(input.substr(std::min(end + 1, input.size())));
    const auto config = polis::node::parse_config(input.substr(0, end), source);
    if (!config) {
        ENSURE(!config.error().what.empty());
        return 0;
    }
    for (const std::string& dumped : {polis::node::dump_config(*config), polis::node::dump_changed(*config)}) {
        const auto again = polis::node::parse_config(dumped, "dumped");
        ENSURE(again.has_value());
        for (const polis::node::Option& option : polis::node::options()) {
            ENSURE(option.get(*again) == option.get(*config));
        }
    }
    return 0;
}
