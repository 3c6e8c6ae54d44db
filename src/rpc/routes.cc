#include <algorithm>

#include "base/ensure.h"
#include "rpc/server.h"

namespace polis::rpc {
namespace {

template <class Map>
auto* find_in(Map& map, std::string_view name) {
    const auto found = map.find(name);
    return found == map.end() ? nullptr : &found->second;
}

}  // namespace

std::optional<std::string_view> Metadata::find(std::string_view name) const {
    for (const auto& [key, value] : fields_) {
        if (key == name) return value;
    }
    return std::nullopt;
}

void Routes::unary(std::string name, UnaryHandler handler) {
    ENSURE(name.starts_with('/') && !stream_.contains(name));
    const bool added = unary_.emplace(std::move(name), std::move(handler)).second;
    ENSURE(added);
}

void Routes::stream(std::string name, StreamHandler handler) {
    ENSURE(name.starts_with('/') && !unary_.contains(name));
    const bool added = stream_.emplace(std::move(name), std::move(handler)).second;
    ENSURE(added);
}

void Routes::http(std::string path, HttpHandler handler) {
    ENSURE(path.starts_with('/'));
    const bool added = http_.emplace(std::move(path), std::move(handler)).second;
    ENSURE(added);
}

const UnaryHandler* Routes::find_unary(std::string_view name) const { return find_in(unary_, name); }
const StreamHandler* Routes::find_stream(std::string_view name) const { return find_in(stream_, name); }

const HttpHandler* Routes::find_http(std::string_view path) const {
    if (const HttpHandler* exact = find_in(http_, path)) return exact;
    // The longest prefix wins: cut the path behind its slashes, from the last one on.
    for (size_t slash = path.rfind('/'); slash != std::string_view::npos; slash = path.rfind('/', slash - 1)) {
        if (const HttpHandler* prefix = find_in(http_, path.substr(0, slash + 1))) return prefix;
        if (slash == 0) break;
    }
    return nullptr;
}

bool Routes::has_service(std::string_view service) const {
    const std::string prefix = '/' + std::string(service) + '/';
    const auto has = [&prefix](const auto& map) {
        const auto at = map.lower_bound(prefix);
        return at != map.end() && at->first.starts_with(prefix);
    };
    return has(unary_) || has(stream_);
}

std::vector<std::string> Routes::methods() const {
    std::vector<std::string> names;
    names.reserve(unary_.size() + stream_.size());
    for (const auto& [name, handler] : unary_) names.push_back(name);
    for (const auto& [name, handler] : stream_) names.push_back(name);
    std::ranges::sort(names);
    return names;
}

}  // namespace polis::rpc
