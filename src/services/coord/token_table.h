// TokenTable: the simple tokens that this node knows, and whose they are. Soft state, like etcd's.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/time.h"

namespace polis::services {

/// Every node learns every token when Authenticate is applied; how long a token lives is each node's own count, from its
/// last use there. A node that was away asks clients to authenticate again.
class TokenTable {
public:
    explicit TokenTable(Duration ttl) : ttl_(ttl) {}

    void add(const std::string& token, const std::string& user, Instant now) { tokens_[token] = {user, now + ttl_}; }

    /// The user; null if the token is unknown or over. Prolongs it.
    const std::string* find(const std::string& token, Instant now) {
        const auto found = tokens_.find(token);
        if (found == tokens_.end()) return nullptr;
        if (found->second.ends <= now) {
            tokens_.erase(found);
            return nullptr;
        }
        found->second.ends = now + ttl_;
        return &found->second.user;
    }

    void remove_all_of(std::string_view user) {
        std::erase_if(tokens_, [&](const auto& each) { return each.second.user == user; });
    }
    void remove_ended(Instant now) {
        std::erase_if(tokens_, [&](const auto& each) { return each.second.ends <= now; });
    }
    void clear() { tokens_.clear(); }
    size_t size() const { return tokens_.size(); }

private:
    struct Token {
        std::string user;
        Instant ends;
    };

    Duration ttl_;
    std::unordered_map<std::string, Token> tokens_;
};

}  // namespace polis::services
