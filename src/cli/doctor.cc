// polis doctor: looks at a cluster, and at a node of this machine, and says what is wrong and what to do about it.
#include <CLI/App.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>

#include "cli/command.h"
#include "cli/doctor_checks.h"
#include "cli/doctor_local.h"
#include "codec/etcd/rpc.pb.h"
#include "node/node_page.h"

namespace polis::cli {
namespace {

using etcdserverpb::AlarmRequest;
using etcdserverpb::AlarmResponse;
using etcdserverpb::MemberListRequest;
using etcdserverpb::MemberListResponse;
using etcdserverpb::StatusRequest;
using etcdserverpb::StatusResponse;
using std::chrono::system_clock;

void look_at_page(NodeClient& client, MemberFacts& facts) {
    const auto before = system_clock::now();
    const Result<std::string> text = client.page_at(facts.endpoint, node::node_page_path);
    const auto after = system_clock::now();
    if (!text) return;
    Result<node::NodePage> page = node::parse_node_page(*text);
    if (!page) return;
    // It read its clock somewhere between the two.
    facts.clock_error = (after - before) / 2;
    const Duration middle = before.time_since_epoch() + facts.clock_error;
    facts.clock_ahead = page->now.since_epoch - middle;
    facts.page = *std::move(page);
}

MemberFacts look_at(NodeClient& client, const etcdserverpb::Member& member) {
    MemberFacts facts{.name = member.name(), .endpoint = {}, .id = member.id(), .learner = member.islearner()};
    if (facts.name.empty()) {
        char digits[32];
        std::snprintf(digits, sizeof digits, "member %lx", static_cast<unsigned long>(member.id()));
        facts.name = digits;
    }
    if (member.clienturls().empty()) {
        facts.unreachable = "it was added, but never started";
        return facts;
    }
    facts.endpoint = member.clienturls(0);
    const auto status =
        client.ask_at<StatusResponse>(facts.endpoint, "/etcdserverpb.Maintenance/Status", StatusRequest());
    if (!status) {
        facts.unreachable = status.error().status.message;
        return facts;
    }
    facts.leader = status->leader();
    facts.term = status->raftterm();
    facts.applied = status->raftappliedindex();
    facts.version = status->version();
    facts.store_bytes = status->dbsize();
    facts.quota_bytes = status->dbsizequota();
    look_at_page(client, facts);
    return facts;
}

Answer<ClusterFacts> look(const Globals& globals) {
    NodeClient client(globals);
    const auto members = client.ask<MemberListResponse>("/etcdserverpb.Cluster/MemberList", MemberListRequest());
    if (!members) return std::unexpected(members.error());
    ClusterFacts facts;
    for (const etcdserverpb::Member& member : members->members()) facts.members.push_back(look_at(client, member));
    AlarmRequest request;
    request.set_action(AlarmRequest::GET);
    const auto alarms = client.ask<AlarmResponse>("/etcdserverpb.Maintenance/Alarm", request);
    if (!alarms) return facts;  // Without a leader they cannot be asked for, and that is told.
    for (const etcdserverpb::AlarmMember& alarm : alarms->alarms()) {
        const auto place = std::ranges::find(facts.members, alarm.memberid(), &MemberFacts::id);
        const std::string where = place == facts.members.end() ? "a member that is not listed" : place->name;
        facts.alarms.push_back(etcdserverpb::AlarmType_Name(alarm.alarm()) + " at " + where);
    }
    return facts;
}

int doctor(const Globals& given, const std::string& config_path) {
    std::vector<Finding> findings;
    Globals globals = given;
    if (!config_path.empty()) {
        LocalReport report = check_local(config_path);
        findings = std::move(report.findings);
        if (globals.endpoints == Globals().endpoints && !report.endpoints.empty()) globals.endpoints = report.endpoints;
    }
    const Answer<ClusterFacts> facts = look(globals);
    if (facts) {
        for (Finding& finding : check_cluster(*facts)) findings.push_back(std::move(finding));
    } else {
        findings.push_back(
            {Verdict::Failure, "reachable", "nobody answers: " + facts.error().status.message,
             "look whether a node runs at --endpoints, and whether --cacert, --cert and --key are right"});
    }
    std::fputs((globals.json() ? doctor_json(findings) : doctor_text(findings)).c_str(), stdout);
    return has_failure(findings) ? ExitCode::Failed : ExitCode::Ok;
}

}  // namespace

void add_doctor_command(CLI::App& app, const Globals& globals, int& exit_code) {
    const auto path = std::make_shared<std::string>();
    CLI::App* command =
        app.add_subcommand("doctor", "Say what is wrong with a cluster, and what to do; exit code 1 if something is");
    command->add_option("--config", *path, "Look at this node of this machine too: files, disk, certificates, ports");
    command->callback([&globals, &exit_code, path] { exit_code = doctor(globals, *path); });
}

}  // namespace polis::cli
