// polis top: how busy every member is, again and again.
#include <CLI/App.hpp>
#include <CLI/Validators.hpp>
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <memory>

#include "cli/command.h"
#include "cli/top_table.h"
#include "codec/etcd/rpc.pb.h"

namespace polis::cli {
namespace {

using etcdserverpb::MemberListRequest;
using etcdserverpb::MemberListResponse;
using etcdserverpb::StatusRequest;
using etcdserverpb::StatusResponse;
using Clock = std::chrono::steady_clock;

struct Looks {
    Clock::time_point at;
    std::vector<MemberLook> members;
};

MemberLook look_at(NodeClient& client, const etcdserverpb::Member& member) {
    MemberLook look{.name = member.name().empty() ? "(not started)" : member.name(), .endpoint = {}, .role = "down"};
    if (member.clienturls().empty()) {
        look.error = "has not told where clients reach it";
        return look;
    }
    look.endpoint = member.clienturls(0);
    const auto status =
        client.ask_at<StatusResponse>(look.endpoint, "/etcdserverpb.Maintenance/Status", StatusRequest());
    if (!status) {
        look.error = status.error().status.message;
        return look;
    }
    const Result<std::string> page = client.page_at(look.endpoint, "/metrics");
    if (!page) {
        look.error = page.error().what;
        return look;
    }
    const bool leads = status->leader() == status->header().member_id();
    look.role = leads ? "leader" : status->islearner() ? "learner" : "follower";
    look.term = status->raftterm();
    look.applied = status->raftappliedindex();
    look.metrics = MetricsPage::parse(*page);
    return look;
}

Answer<Looks> look(NodeClient& client) {
    const auto members = client.ask<MemberListResponse>("/etcdserverpb.Cluster/MemberList", MemberListRequest());
    if (!members) return std::unexpected(members.error());
    Looks looks{.at = Clock::now(), .members = {}};
    for (const etcdserverpb::Member& member : members->members()) looks.members.push_back(look_at(client, member));
    return looks;
}

volatile std::sig_atomic_t stop_asked = 0;

// False if a signal came meanwhile.
bool pause(double seconds) {
    timespec left{};
    left.tv_sec = static_cast<time_t>(seconds);
    left.tv_nsec = static_cast<long>((seconds - static_cast<double>(left.tv_sec)) * 1e9);
    return ::nanosleep(&left, nullptr) == 0 && !stop_asked;
}

int top(const Globals& globals, bool once, double interval_s) {
    struct sigaction action{};
    action.sa_handler = [](int) { stop_asked = 1; };
    if (!once) ::sigaction(SIGINT, &action, nullptr);
    NodeClient client(globals);
    Answer<Looks> before = look(client);
    if (!before) return failed(before.error(), Effect::Reads);
    bool all_answered = true;
    while (pause(interval_s)) {
        // A client of its own each time: the node that was asked may be gone.
        NodeClient fresh(globals);
        Answer<Looks> now = look(fresh);
        if (!now && once) return failed(now.error(), Effect::Reads);
        if (!globals.json() && !once) std::fputs("\033[H\033[J", stdout);  // Home, and clear (ECMA-48).
        if (now) {
            const auto rows = top_rows(before->members, now->members, now->at - before->at);
            all_answered = std::ranges::all_of(rows, [](const TopRow& row) { return row.error.empty(); });
            std::fputs((globals.json() ? top_json(rows) : top_text(rows)).c_str(), stdout);
            before = std::move(now);
        } else {
            std::printf("nobody answers: %s\n", now.error().status.message.c_str());
        }
        std::fflush(stdout);
        if (once) break;
    }
    return once && !all_answered ? ExitCode::Unavailable : ExitCode::Ok;
}

}  // namespace

void add_top_command(CLI::App& app, const Globals& globals, int& exit_code) {
    struct Arguments {
        bool once = false;
        double interval_s = 1;
    };
    const auto arguments = std::make_shared<Arguments>();
    CLI::App* command = app.add_subcommand("top", "Show how busy every member is, until Ctrl-C");
    command->add_flag("--once", arguments->once, "Show it once, measured over one interval");
    command->add_option("--interval", arguments->interval_s, "Seconds between two looks")
        ->check(CLI::Range(0.1, 3600.0));
    command->callback(
        [&globals, &exit_code, arguments] { exit_code = top(globals, arguments->once, arguments->interval_s); });
}

}  // namespace polis::cli
