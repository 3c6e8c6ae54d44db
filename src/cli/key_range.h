// Ranges of keys as etcd's protocol has them.
#pragma once

#include <string>
#include <string_view>

namespace polis::cli {

/// From `key` up to `end`, which is not included. Empty end: only `key`; "\0": all from `key` on (etcd, rpc.proto, RangeRequest).
struct KeyRange {
    std::string key;
    std::string end;

    friend bool operator==(const KeyRange&, const KeyRange&) = default;
};

/// All keys that begin with `prefix`; all keys if it is empty.
inline KeyRange range_of_prefix(std::string_view prefix) {
    const std::string nul(1, '\0');
    if (prefix.empty()) return {nul, nul};
    std::string end(prefix);
    while (!end.empty() && static_cast<unsigned char>(end.back()) == 0xff) end.pop_back();
    if (end.empty()) return {std::string(prefix), nul};  // Nothing lies behind keys of 0xff alone.
    ++end.back();
    return {std::string(prefix), end};
}

}  // namespace polis::cli
