// Reading a configuration file from disk, before any reactor runs.
#include <fstream>
#include <iterator>

#include "node/config.h"

namespace polis::node {

Result<Config> load_config(const std::string& path) {
    constexpr size_t bytes_max = 1u << 20;
    std::ifstream in(path, std::ios::binary);
    if (!in) return fail(Code::Io, "cannot read " + path);
    std::string text;
    for (std::istreambuf_iterator<char> at(in), end; at != end && text.size() <= bytes_max; ++at) text.push_back(*at);
    if (text.size() > bytes_max) return fail(Code::Invalid, path + " is larger than a configuration can be (1 MiB)");
    return parse_config(text, path);
}

}  // namespace polis::node
