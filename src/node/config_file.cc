// Reading a configuration from outside the process: its file and its environment.
#include <unistd.h>

#include <fstream>
#include <iterator>

#include "node/config.h"

namespace polis::node {

Result<Config> load_config(const ConfigSource& source) {
    if (source.path.empty()) return parse_config("", source);
    constexpr size_t bytes_max = 1u << 20;
    std::ifstream in(source.path, std::ios::binary);
    if (!in) return fail(Code::Io, "cannot read " + source.path);
    std::string text;
    for (std::istreambuf_iterator<char> at(in), end; at != end && text.size() <= bytes_max; ++at) text.push_back(*at);
    if (in.bad()) return fail(Code::Io, "cannot read " + source.path + " to its end");
    if (text.size() > bytes_max) {
        return fail(Code::Invalid, source.path + " is larger than a configuration can be (1 MiB)");
    }
    return parse_config(text, source);
}

std::map<std::string, std::string> environment_of_process() {
    std::map<std::string, std::string> found;
    for (char** at = environ; at != nullptr && *at != nullptr; ++at) {
        const std::string_view variable = *at;
        const size_t equals = variable.find('=');
        if (!variable.starts_with("POLIS_") || equals == std::string_view::npos) continue;
        found.emplace(variable.substr(0, equals), variable.substr(equals + 1));
    }
    return found;
}

}  // namespace polis::node
