#include "gateways/etcd/map.h"

#include <algorithm>
#include <charconv>
#include <optional>

namespace polis::gateways {
namespace {

std::string_view trimmed(std::string_view text) {
    const size_t first = text.find_first_not_of(" \t\r\n");
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

/// "name:port", "1.2.3.4:port" or "[::1]:port".
bool is_host_port(std::string_view authority) {
    if (authority.starts_with('[')) {
        const size_t close = authority.find(']');
        return close != std::string_view::npos && authority.substr(close + 1).starts_with(':') &&
               authority.find(':', close + 2) == std::string_view::npos;
    }
    return std::ranges::count(authority, ':') == 1;
}

bool is_peer_url(std::string_view url) {
    url = trimmed(url);
    if (std::ranges::any_of(url, [](char letter) { return letter <= ' ' || letter == 0x7f; })) return false;
    const size_t separator = url.find("://");
    if (separator == std::string_view::npos) return false;
    const std::string_view scheme = url.substr(0, separator);
    if (scheme == "unix" || scheme == "unixs") return true;
    if (scheme != "http" && scheme != "https") return false;
    const std::string_view authority = url.substr(separator + 3);
    return authority.find('/') == std::string_view::npos && is_host_port(authority);
}

/// A decimal number without sign or leading zeros, taken off the front of `text`.
std::optional<uint64_t> take_number(std::string_view& text) {
    uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc()) return std::nullopt;
    const size_t digits = static_cast<size_t>(end - text.data());
    if (digits > 1 && text.front() == '0') return std::nullopt;
    text.remove_prefix(digits);
    return number;
}

}  // namespace

etcdserverpb::Member to_wire(const cluster::Member& member) {
    etcdserverpb::Member wire;
    wire.set_id(number_of(member.id));
    wire.set_name(member.name);
    for (const std::string& url : member.peer_urls) wire.add_peerurls(url);
    for (const std::string& url : member.client_urls) wire.add_clienturls(url);
    wire.set_islearner(member.learner);
    return wire;
}

google::protobuf::RepeatedPtrField<etcdserverpb::Member> to_wire(const std::vector<cluster::Member>& members) {
    google::protobuf::RepeatedPtrField<etcdserverpb::Member> wire;
    for (const cluster::Member& member : members) *wire.Add() = to_wire(member);
    return wire;
}

bool are_peer_urls(const std::vector<std::string>& urls) {
    return !urls.empty() && std::ranges::all_of(urls, [](const std::string& url) { return is_peer_url(url); });
}

Result<ShortVersion> parse_version(std::string_view text) {
    const auto invalid = [&] { return fail(Code::Invalid, "not a version: " + std::string(text.substr(0, 64))); };
    std::string_view rest = text;
    const std::optional<uint64_t> major = take_number(rest);
    if (!major || !rest.starts_with('.')) return invalid();
    rest.remove_prefix(1);
    const std::optional<uint64_t> minor = take_number(rest);
    if (!minor) return invalid();
    if (rest.empty()) return ShortVersion{*major, *minor};
    if (!rest.starts_with('.')) return invalid();
    rest.remove_prefix(1);
    if (!take_number(rest)) return invalid();
    if (!rest.empty() && !rest.starts_with('-') && !rest.starts_with('+')) return invalid();
    return ShortVersion{*major, *minor};
}

std::string alarm_text(const etcdserverpb::AlarmMember& alarm) {
    std::string text;
    if (alarm.memberid() != 0) text += "memberID:" + std::to_string(alarm.memberid()) + " ";
    if (alarm.alarm() != etcdserverpb::NONE) text += "alarm:" + etcdserverpb::AlarmType_Name(alarm.alarm()) + " ";
    return text;
}

}  // namespace polis::gateways
