#include "gateways/etcd/origin.h"

#include <algorithm>

namespace polis::gateways {
namespace {

/// "host" of "host:port" or "[v6]:port".
std::string_view host_of(std::string_view authority) {
    if (authority.starts_with('[')) return authority.substr(0, authority.find(']') + 1);
    return authority.substr(0, authority.rfind(':'));
}

bool is_address_or_localhost(std::string_view host) {
    if (host == "localhost") return true;
    if (host.starts_with('[') && host.ends_with(']')) return true;
    return !host.empty() &&
           std::ranges::all_of(host, [](char letter) { return (letter >= '0' && letter <= '9') || letter == '.'; });
}

bool is_same_origin(const rpc::HttpRequest& request, std::string_view origin) {
    const std::string_view scheme = request.peer.tls ? "https://" : "http://";
    if (!origin.starts_with(scheme)) return false;
    const std::string_view authority = origin.substr(scheme.size());
    const std::string_view host = request.headers.find("host").value_or("");
    if (authority.empty() || authority != host) return false;
    return request.peer.tls || is_address_or_localhost(host_of(host));
}

}  // namespace

OriginVerdict judge_origin(const rpc::HttpRequest& request, const std::vector<std::string>& allowed_origins) {
    const std::optional<std::string_view> origin = request.headers.find("origin");
    if (!origin) return {.allowed = true, .headers = {}};
    const auto lists = [&](std::string_view entry) {
        return std::ranges::find(allowed_origins, entry) != allowed_origins.end();
    };
    const bool all = lists("*");
    if (!all && !lists(*origin)) return {.allowed = is_same_origin(request, *origin), .headers = {}};
    OriginVerdict verdict{.allowed = true, .headers = {}};
    verdict.headers.add("access-control-allow-methods", "POST, GET, OPTIONS, PUT, DELETE");
    verdict.headers.add("access-control-allow-origin", all ? "*" : std::string(*origin));
    verdict.headers.add("access-control-allow-headers", "accept, content-type, authorization");
    return verdict;
}

}  // namespace polis::gateways
