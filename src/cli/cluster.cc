// polis status and polis member: how the cluster is, and who is in it.
#include <CLI/App.hpp>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "cli/command.h"
#include "cli/json.h"
#include "codec/etcd/rpc.pb.h"

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

int status(const Globals& globals) {
    NodeClient client(globals);
    const auto members = client.ask<MemberListResponse>("/etcdserverpb.Cluster/MemberList", MemberListRequest());
    if (!members) return failed(members.error());
    int exit_code = ExitCode::Ok;
    if (!globals.json()) {
        std::printf("%-16s %-18s %-28s %-9s %12s %6s %10s\n", "MEMBER", "NAME", "CLIENTS", "ROLE", "DB BYTES", "TERM",
                    "APPLIED");
    }
    for (const Member& member : members->members()) {
        const std::string endpoint = member.clienturls().empty() ? "" : member.clienturls(0);
        std::expected<StatusResponse, rpc::Status> answer = std::unexpected(rpc::Status());
        if (!endpoint.empty()) {
            answer = client.ask_at<StatusResponse>(endpoint, "/etcdserverpb.Maintenance/Status", StatusRequest());
        }
        if (!answer) exit_code = ExitCode::Unavailable;
        if (globals.json()) {
            if (answer) print_json(*answer);
            continue;
        }
        const char* role = !answer                                            ? "DOWN"
                           : answer->leader() == answer->header().member_id() ? "leader"
                           : answer->islearner()                              ? "learner"
                                                                              : "follower";
        std::printf("%016lx %-18s %-28s %-9s", static_cast<unsigned long>(member.id()),
                    member.name().empty() ? "(not started)" : member.name().c_str(),
                    joined(member.clienturls()).c_str(), role);
        if (answer) {
            std::printf(" %12ld %6lu %10lu", static_cast<long>(answer->dbsize()),
                        static_cast<unsigned long>(answer->raftterm()),
                        static_cast<unsigned long>(answer->raftappliedindex()));
        }
        std::printf("\n");
    }
    return exit_code;
}

int print_members(const Globals& globals) {
    NodeClient client(globals);
    MemberListRequest request;
    request.set_linearizable(true);
    const auto answer = client.ask<MemberListResponse>("/etcdserverpb.Cluster/MemberList", request);
    if (!answer) return failed(answer.error());
    if (globals.json()) return print_json(*answer);
    for (const Member& member : answer->members()) {
        std::printf("%016lx %s peers=%s clients=%s%s\n", static_cast<unsigned long>(member.id()),
                    member.name().empty() ? "(not started)" : member.name().c_str(), joined(member.peerurls()).c_str(),
                    joined(member.clienturls()).c_str(), member.islearner() ? " learner" : "");
    }
    return ExitCode::Ok;
}

template <class Response, class Request>
int change(const Globals& globals, const std::string& method, const Request& request) {
    NodeClient client(globals);
    const auto answer = client.ask<Response>(method, request);
    if (!answer) return failed(answer.error());
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
    remove->add_option("id", arguments->id, "Its id, hexadecimal")->required();
    remove->callback([&globals, &exit_code, arguments] {
        MemberRemoveRequest request;
        request.set_id(arguments->number());
        exit_code = change<MemberRemoveResponse>(globals, "/etcdserverpb.Cluster/MemberRemove", request);
    });

    CLI::App* promote = member->add_subcommand("promote", "Give a learner its vote");
    promote->add_option("id", arguments->id, "Its id, hexadecimal")->required();
    promote->callback([&globals, &exit_code, arguments] {
        MemberPromoteRequest request;
        request.set_id(arguments->number());
        exit_code = change<MemberPromoteResponse>(globals, "/etcdserverpb.Cluster/MemberPromote", request);
    });

    CLI::App* update = member->add_subcommand("update", "Change how members reach a member");
    update->add_option("id", arguments->id, "Its id, hexadecimal")->required();
    update->add_option("peer_urls", arguments->peer_urls)->required();
    update->callback([&globals, &exit_code, arguments] {
        MemberUpdateRequest request;
        request.set_id(arguments->number());
        for (const std::string& url : arguments->peer_urls) request.add_peerurls(url);
        exit_code = change<MemberUpdateResponse>(globals, "/etcdserverpb.Cluster/MemberUpdate", request);
    });
}

}  // namespace polis::cli
