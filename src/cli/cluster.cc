// polis status and polis member: how the cluster is, and who is in it.
#include <CLI/App.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>

#include "cli/command.h"
#include "cli/json.h"
#include "codec/etcd/rpc.pb.h"
#include "node/node_page.h"

namespace polis::cli {
namespace {

using etcdserverpb::Member;
using etcdserverpb::MemberAddRequest;
using etcdserverpb::MemberAddResponse;
using etcdserverpb::MemberListRequest;
using etcdserverpb::MemberListResponse;
using etcdserverpb::MemberPromoteRequest;
using etcdserverpb::MemberPromoteResponse;
using etcdserverpb::MemberRemoveRequest;
using etcdserverpb::MemberRemoveResponse;
using etcdserverpb::MemberUpdateRequest;
using etcdserverpb::MemberUpdateResponse;
using etcdserverpb::StatusRequest;
using etcdserverpb::StatusResponse;

std::string joined(const google::protobuf::RepeatedPtrField<std::string>& texts) {
    std::string out;
    for (const std::string& text : texts) out += (out.empty() ? "" : ",") + text;
    return out.empty() ? "-" : out;
}

const char* role_of(const StatusResponse& status) {
    if (status.leader() == status.header().member_id()) return "leader";
    return status.islearner() ? "learner" : "follower";
}

std::string name_of(const Member& member) { return member.name().empty() ? "(not started)" : member.name(); }

// What the others' detectors of failures say of one member.
struct Suspicion {
    std::vector<std::string> by;  // Names of those who suspect it.
    double phi_max = 0;
    std::optional<std::chrono::milliseconds> heard_ago = {};  // By whoever heard it last.
};

struct MemberStatus {
    Member member;
    Answer<StatusResponse> answer;
    std::optional<node::NodePage> page = {};
    Suspicion suspicion = {};
};

Suspicion suspicion_of(const Member& member, const std::vector<MemberStatus>& all) {
    Suspicion found;
    for (const MemberStatus& other : all) {
        if (!other.page) continue;
        for (const node::PeerView& peer : other.page->peers) {
            if (number_of(peer.id) != member.id()) continue;
            if (peer.suspected) found.by.push_back(other.member.name());
            found.phi_max = std::max(found.phi_max, peer.phi);
            if (peer.silent_for)
                found.heard_ago = std::min(found.heard_ago.value_or(*peer.silent_for), *peer.silent_for);
        }
    }
    return found;
}

std::string text_of(const Suspicion& suspicion) {
    const std::string heard =
        suspicion.heard_ago ? std::to_string(suspicion.heard_ago->count()) + " ms ago" : std::string("-");
    if (suspicion.by.empty()) return heard;
    char phi[32];
    std::snprintf(phi, sizeof phi, "%.1f", suspicion.phi_max);
    return heard + ", suspected by " + std::to_string(suspicion.by.size()) + ", phi " + phi;
}

void print_row(const MemberStatus& row) {
    std::printf("%016lx %-18s %-28s %-9s", static_cast<unsigned long>(row.member.id()), name_of(row.member).c_str(),
                joined(row.member.clienturls()).c_str(), row.answer ? role_of(*row.answer) : "DOWN");
    if (row.answer) {
        std::printf(" %12ld %6lu %10lu  %s", static_cast<long>(row.answer->dbsize()),
                    static_cast<unsigned long>(row.answer->raftterm()),
                    static_cast<unsigned long>(row.answer->raftappliedindex()), text_of(row.suspicion).c_str());
        for (const std::string& error : row.answer->errors()) std::printf(" %s", error.c_str());
    } else {
        std::printf(" %12s %6s %10s  %s; %s", "-", "-", "-", text_of(row.suspicion).c_str(),
                    row.answer.error().status.message.c_str());
    }
    std::printf("\n");
}

std::string suspicion_json(const Suspicion& suspicion) {
    std::string by;
    for (const std::string& name : suspicion.by) by += (by.empty() ? "" : ",") + json_text(name);
    char phi[32];
    std::snprintf(phi, sizeof phi, "%.3f", std::min(suspicion.phi_max, 1e9));
    return "\"suspected_by\":[" + by + "],\"phi_max\":" + phi +
           ",\"heard_ago_ms\":" + (suspicion.heard_ago ? std::to_string(suspicion.heard_ago->count()) : "null");
}

// One document: the members, each with its status or why there is none.
int print_status_json(const std::vector<MemberStatus>& rows) {
    std::string out;
    for (const MemberStatus& row : rows) {
        const Result<std::string> member_json = json_of(row.member);
        if (!member_json) return failed(member_json.error());
        out += (out.empty() ? "" : ",") + ("{\"member\":" + *member_json) + "," + suspicion_json(row.suspicion);
        if (row.answer) {
            const Result<std::string> status_json = json_of(*row.answer);
            if (!status_json) return failed(status_json.error());
            out += ",\"role\":\"" + std::string(role_of(*row.answer)) + "\",\"status\":" + *status_json + "}";
        } else {
            out += ",\"role\":\"down\",\"error\":" + json_text(row.answer.error().status.message) + "}";
        }
    }
    std::printf("{\"members\":[%s]}\n", out.c_str());
    return ExitCode::Ok;
}

MemberStatus look_at(NodeClient& client, const Member& member) {
    MemberStatus row{.member = member,
                     .answer = std::unexpected(CallFailure{
                         {rpc::StatusCode::Unavailable, "has not told where clients reach it", {}}, Reached::Nobody})};
    if (member.clienturls().empty()) return row;
    const std::string& endpoint = member.clienturls(0);
    row.answer = client.ask_at<StatusResponse>(endpoint, "/etcdserverpb.Maintenance/Status", StatusRequest());
    if (!row.answer) return row;
    if (const Result<std::string> text = client.page_at(endpoint, node::node_page_path)) {
        if (Result<node::NodePage> page = node::parse_node_page(*text)) row.page = *std::move(page);
    }
    return row;
}

int status(const Globals& globals) {
    NodeClient client(globals);
    const auto members = client.ask<MemberListResponse>("/etcdserverpb.Cluster/MemberList", MemberListRequest());
    if (!members) return failed(members.error(), Effect::Reads);
    std::vector<MemberStatus> rows;
    for (const Member& member : members->members()) rows.push_back(look_at(client, member));
    int exit_code = ExitCode::Ok;
    for (MemberStatus& row : rows) {
        row.suspicion = suspicion_of(row.member, rows);
        if (!row.answer) exit_code = ExitCode::Unavailable;
    }
    if (globals.json()) {
        const int printed = print_status_json(rows);
        return printed == ExitCode::Ok ? exit_code : printed;
    }
    std::printf("%-16s %-18s %-28s %-9s %12s %6s %10s  %s\n", "MEMBER", "NAME", "CLIENTS", "ROLE", "DB BYTES", "TERM",
                "APPLIED", "HEARD BY OTHERS");
    for (const MemberStatus& row : rows) print_row(row);
    return exit_code;
}

int print_members(const Globals& globals) {
    NodeClient client(globals);
    MemberListRequest request;
    request.set_linearizable(true);
    const auto answer = client.ask<MemberListResponse>("/etcdserverpb.Cluster/MemberList", request);
    if (!answer) return failed(answer.error(), Effect::Reads);
    if (globals.json()) return print_json(*answer);
    for (const Member& member : answer->members()) {
        std::printf("%016lx %s peers=%s clients=%s%s\n", static_cast<unsigned long>(member.id()),
                    name_of(member).c_str(), joined(member.peerurls()).c_str(), joined(member.clienturls()).c_str(),
                    member.islearner() ? " learner" : "");
    }
    return ExitCode::Ok;
}

template <class Response, class Request>
int change(const Globals& globals, const std::string& method, const Request& request) {
    NodeClient client(globals);
    const auto answer = client.ask<Response>(method, request);
    if (!answer) return failed(answer.error(), Effect::Writes);
    if (globals.json()) return print_json(*answer);
    std::puts("done");
    return ExitCode::Ok;
}

struct Arguments {
    std::string id;
    std::vector<std::string> peer_urls;
    bool learner = false;

    uint64_t number() const { return std::strtoull(id.c_str(), nullptr, 16); }
};

// An empty text is right; any other says what is wrong.
std::string check_member_id(const std::string& text) {
    const bool hexadecimal =
        !text.empty() && text.size() <= 16 && text.find_first_not_of("0123456789abcdefABCDEF") == std::string::npos;
    return hexadecimal ? "" : "'" + text + "' is no member's id: `polis member list` shows them";
}

void add_id(CLI::App& command, Arguments& arguments) {
    command.add_option("id", arguments.id, "Its id, hexadecimal")->required()->check(check_member_id);
}

}  // namespace

void add_cluster_commands(CLI::App& app, const Globals& globals, int& exit_code) {
    app.add_subcommand("status", "Show every member and how it is")->callback([&] { exit_code = status(globals); });

    CLI::App* member = app.add_subcommand("member", "List and change the members");
    member->require_subcommand(1);
    const auto arguments = std::make_shared<Arguments>();
    member->add_subcommand("list", "Show the members")->callback([&] { exit_code = print_members(globals); });

    CLI::App* add = member->add_subcommand("add", "Let a new node in; then start it with cluster.state = \"existing\"");
    add->add_option("peer_urls", arguments->peer_urls, "How members reach it")->required();
    add->add_flag("--learner", arguments->learner, "It follows without a vote until promoted");
    add->callback([&globals, &exit_code, arguments] {
        MemberAddRequest request;
        for (const std::string& url : arguments->peer_urls) request.add_peerurls(url);
        request.set_islearner(arguments->learner);
        exit_code = change<MemberAddResponse>(globals, "/etcdserverpb.Cluster/MemberAdd", request);
    });

    CLI::App* remove = member->add_subcommand("remove", "Remove a member");
    add_id(*remove, *arguments);
    remove->callback([&globals, &exit_code, arguments] {
        MemberRemoveRequest request;
        request.set_id(arguments->number());
        exit_code = change<MemberRemoveResponse>(globals, "/etcdserverpb.Cluster/MemberRemove", request);
    });

    CLI::App* promote = member->add_subcommand("promote", "Give a learner its vote");
    add_id(*promote, *arguments);
    promote->callback([&globals, &exit_code, arguments] {
        MemberPromoteRequest request;
        request.set_id(arguments->number());
        exit_code = change<MemberPromoteResponse>(globals, "/etcdserverpb.Cluster/MemberPromote", request);
    });

    CLI::App* update = member->add_subcommand("update", "Change how members reach a member");
    add_id(*update, *arguments);
    update->add_option("peer_urls", arguments->peer_urls, "How members reach it")->required();
    update->callback([&globals, &exit_code, arguments] {
        MemberUpdateRequest request;
        request.set_id(arguments->number());
        for (const std::string& url : arguments->peer_urls) request.add_peerurls(url);
        exit_code = change<MemberUpdateResponse>(globals, "/etcdserverpb.Cluster/MemberUpdate", request);
    });
}

}  // namespace polis::cli
