#include "rpc/method_table.h"

#include "base/ensure.h"

namespace polis::rpc {

MethodTable::MethodTable(const Routes& routes) : routes_(routes) {
    for (const std::string& name : routes.methods()) {
        auto entry = std::make_unique<MethodEntry>();
        entry->name = name;
        entry->unary = routes.find_unary(name);
        entry->stream = routes.find_stream(name);
        ENSURE((entry->unary == nullptr) != (entry->stream == nullptr));
        entries_.emplace(name, std::move(entry));
    }
}

MethodEntry* MethodTable::find(std::string_view path) {
    const auto found = entries_.find(path);
    return found == entries_.end() ? nullptr : found->second.get();
}

Status MethodTable::unknown(std::string_view path) const {
    const size_t slash = path.rfind('/');
    if (!path.starts_with('/') || slash == 0) {
        return {StatusCode::Unimplemented, "malformed method name: \"" + std::string(path) + "\"", {}};
    }
    const std::string service(path.substr(1, slash - 1));
    if (!routes_.has_service(service)) return {StatusCode::Unimplemented, "unknown service " + service, {}};
    const std::string method(path.substr(slash + 1));
    return {StatusCode::Unimplemented, "unknown method " + method + " for service " + service, {}};
}

void MethodTable::add_to(ServerStats& stats) const {
    for (const auto& [name, entry] : entries_) {
        ServerStats::Method& method = stats.methods[name];
        method.started += entry->started;
        method.messages_received += entry->messages_received;
        method.messages_sent += entry->messages_sent;
        method.handling = entry->handling;
        for (size_t code = 0; code < entry->handled.size(); ++code) {
            if (entry->handled[code] > 0) method.handled[static_cast<StatusCode>(code)] += entry->handled[code];
        }
    }
}

}  // namespace polis::rpc
