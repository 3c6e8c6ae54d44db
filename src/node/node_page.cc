#include "node/node_page.h"

#include <charconv>
#include <cstdio>
#include <nlohmann/json.hpp>

namespace polis::node {
namespace {

using nlohmann::json;

// As text: numbers of 64 bits do not survive every reader of JSON.
std::string hex(NodeId id) {
    char digits[20];
    std::snprintf(digits, sizeof digits, "%016lx", static_cast<unsigned long>(number_of(id)));
    return digits;
}

NodeId id_of(const std::string& digits) {
    uint64_t number = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), number, 16);
    return NodeId{number};
}

json json_of(const PeerView& peer) {
    json tree = {{"id", hex(peer.id)},  {"name", peer.name}, {"connected", peer.connected},
                 {"alive", peer.alive}, {"phi", peer.phi},   {"suspected", peer.suspected}};
    tree["silent_for_ms"] = peer.silent_for ? json(peer.silent_for->count()) : json();
    return tree;
}

PeerView peer_of(const json& tree) {
    PeerView peer{.id = id_of(tree.at("id")),
                  .name = tree.at("name"),
                  .connected = tree.at("connected"),
                  .alive = tree.at("alive"),
                  .phi = tree.at("phi").is_number() ? tree.at("phi").get<double>() : 0,  // Null: beyond all numbers.
                  .suspected = tree.at("suspected"),
                  .silent_for = {}};
    if (!tree.at("silent_for_ms").is_null()) {
        peer.silent_for = std::chrono::milliseconds(tree.at("silent_for_ms").get<int64_t>());
    }
    return peer;
}

}  // namespace

std::string to_json(const NodePage& page) {
    json peers = json::array();
    for (const PeerView& peer : page.peers) peers.push_back(json_of(peer));
    const json tree = {{"id", hex(page.id)},
                       {"name", page.name},
                       {"now_us", page.now.since_epoch.count()},
                       {"disk_free_bytes", page.disk_free_bytes},
                       {"disk_bytes", page.disk_bytes},
                       {"descriptors_open", page.descriptors_open},
                       {"descriptors_max", page.descriptors_max},
                       {"log_syncs", page.log_syncs},
                       {"log_sync_mean_ns", page.log_sync_mean.count()},
                       {"waiting_for_restart", page.waiting_for_restart},
                       {"peers", std::move(peers)}};
    return tree.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

Result<NodePage> parse_node_page(const std::string& text) {
    try {
        const json tree = json::parse(text);
        NodePage page{.id = id_of(tree.at("id")),
                      .name = tree.at("name"),
                      .now = {std::chrono::microseconds(tree.at("now_us").get<int64_t>())},
                      .disk_free_bytes = tree.at("disk_free_bytes"),
                      .disk_bytes = tree.at("disk_bytes"),
                      .descriptors_open = tree.at("descriptors_open"),
                      .descriptors_max = tree.at("descriptors_max"),
                      .log_syncs = tree.at("log_syncs"),
                      .log_sync_mean = Duration(tree.at("log_sync_mean_ns").get<int64_t>()),
                      .waiting_for_restart = tree.at("waiting_for_restart"),
                      .peers = {}};
        for (const json& peer : tree.at("peers")) page.peers.push_back(peer_of(peer));
        return page;
    } catch (const json::exception& error) {
        return fail(Code::Invalid, std::string("the node's page cannot be read: ") + error.what());
    }
}

}  // namespace polis::node
