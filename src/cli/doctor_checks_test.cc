// Tests of what `polis doctor` concludes.
#include "cli/doctor_checks.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace polis::cli {
namespace {

using std::chrono::milliseconds;

MemberFacts member(uint64_t id) {
    MemberFacts facts{
        .name = "node-" + std::to_string(id), .endpoint = "http://127.0.0." + std::to_string(id) + ":2379", .id = id};
    facts.leader = 1;
    facts.term = 4;
    facts.applied = 100'000;
    facts.version = "3.6.14";
    facts.store_bytes = 1 << 20;
    facts.quota_bytes = 2ll << 30;
    facts.clock_ahead = Duration(0);
    node::NodePage page{.id = NodeId{id}, .name = facts.name};
    page.disk_free_bytes = 50ull << 30;
    page.disk_bytes = 100ull << 30;
    page.descriptors_open = 50;
    page.descriptors_max = 65536;
    for (uint64_t other = 1; other <= 3; ++other) {
        if (other == id) continue;
        page.peers.push_back({.id = NodeId{other},
                              .name = "node-" + std::to_string(other),
                              .connected = true,
                              .alive = true,
                              .phi = 0.1,
                              .suspected = false,
                              .silent_for = milliseconds(40)});
    }
    facts.page = page;
    return facts;
}

ClusterFacts healthy() { return {.members = {member(1), member(2), member(3)}, .alarms = {}}; }

// The finding of a check that is not Ok; the test fails if there are others.
Finding only_trouble(const ClusterFacts& facts) {
    std::vector<Finding> trouble;
    for (const Finding& finding : check_cluster(facts)) {
        if (finding.verdict != Verdict::Ok) trouble.push_back(finding);
    }
    EXPECT_EQ(trouble.size(), 1u) << doctor_text(check_cluster(facts));
    return trouble.empty() ? Finding{Verdict::Ok, "none", "none"} : trouble.front();
}

TEST(CheckCluster, FindsNothingWrongWithAHealthyOne) {
    const auto findings = check_cluster(healthy());
    EXPECT_FALSE(has_failure(findings));
    EXPECT_TRUE(std::ranges::all_of(findings, [](const Finding& finding) { return finding.verdict == Verdict::Ok; }))
        << doctor_text(findings);
}

TEST(CheckCluster, SaysWhatToDoWheneverSomethingIsWrong) {
    ClusterFacts facts = healthy();
    facts.members[0].leader = 0;
    facts.members[1].unreachable = "connection refused";
    facts.members[2].page->waiting_for_restart = {"node.name"};
    facts.alarms = {"NOSPACE at node-1", "CORRUPT at node-2"};
    for (const Finding& finding : check_cluster(facts)) {
        EXPECT_EQ(finding.next.empty(), finding.verdict == Verdict::Ok) << finding.what;
    }
}

TEST(CheckCluster, FailsForAMemberThatDoesNotAnswer) {
    ClusterFacts facts = healthy();
    facts.members[2].unreachable = "connection refused";
    EXPECT_EQ(only_trouble(facts).what, "node-3 does not answer: connection refused");
}

TEST(CheckCluster, FailsWithoutLeader) {
    ClusterFacts facts = healthy();
    for (MemberFacts& each : facts.members) each.leader = 0;
    const Finding finding = only_trouble(facts);
    EXPECT_EQ(finding.check, "leader");
    EXPECT_EQ(finding.verdict, Verdict::Failure);
}

TEST(CheckCluster, FailsForAMemberThatKnowsNoLeader) {
    ClusterFacts facts = healthy();
    facts.members[1].leader = 0;
    EXPECT_EQ(only_trouble(facts).what, "no leader is known to node-2");
}

TEST(CheckCluster, WarnsOfLeadersThatDiffer) {
    ClusterFacts facts = healthy();
    facts.members[1].leader = 2;
    EXPECT_EQ(only_trouble(facts).verdict, Verdict::Warning);
}

TEST(CheckCluster, WarnsOfAMemberFarBehind) {
    ClusterFacts facts = healthy();
    facts.members[1].applied -= 10'000;
    EXPECT_FALSE(has_failure(check_cluster(facts)));
    facts.members[1].applied -= 1;
    EXPECT_EQ(only_trouble(facts).what, "node-2 is 10001 entries behind");
}

TEST(CheckCluster, FailsForPeersThatDoNotHearEachOther) {
    ClusterFacts facts = healthy();
    node::PeerView& peer = facts.members[0].page->peers[1];
    peer.suspected = true;
    peer.phi = 12.34;
    peer.silent_for = milliseconds(801);
    EXPECT_EQ(only_trouble(facts).what, "node-1 suspects node-3: silent for 801 ms, phi 12.3");
    peer.silent_for.reset();
    EXPECT_EQ(only_trouble(facts).what, "node-1 has never heard from node-3");
    peer.suspected = false;
    peer.connected = false;
    EXPECT_EQ(only_trouble(facts).what, "node-1 has no connection to node-3");
}

// What the measuring itself may be wrong by is no skew.
TEST(CheckCluster, ComparesClocksUpToTheErrorOfMeasuring) {
    ClusterFacts facts = healthy();
    facts.members[0].clock_ahead = milliseconds(-300);
    facts.members[1].clock_ahead = milliseconds(400);
    EXPECT_EQ(only_trouble(facts).what, "node-2 is 700.0 ms ahead of node-1 (give or take 0.0 ms)");
    facts.members[0].clock_error = milliseconds(200);
    EXPECT_FALSE(std::ranges::any_of(check_cluster(facts), [](const Finding& f) { return f.verdict != Verdict::Ok; }));
    facts.members[1].clock_ahead = milliseconds(6000);
    EXPECT_EQ(only_trouble(facts).verdict, Verdict::Failure);
}

TEST(CheckCluster, FailsForAlarms) {
    ClusterFacts facts = healthy();
    facts.alarms = {"NOSPACE at node-1"};
    EXPECT_EQ(only_trouble(facts).what, "alarm NOSPACE at node-1");
}

TEST(CheckCluster, WarnsOfMixedReleasesFullQuotasAndSlowLogs) {
    ClusterFacts facts = healthy();
    facts.members[0].version = "3.6.15";
    EXPECT_EQ(only_trouble(facts).check, "versions");
    facts = healthy();
    facts.members[0].store_bytes = 1800ll << 20;
    EXPECT_EQ(only_trouble(facts).check, "quota");
    facts = healthy();
    facts.members[0].page->log_syncs = 5;
    facts.members[0].page->log_sync_mean = milliseconds(11);
    EXPECT_EQ(only_trouble(facts).check, "disk speed");
    facts = healthy();
    facts.members[0].page->waiting_for_restart = {"node.name", "runtime.spin_us"};
    EXPECT_EQ(only_trouble(facts).what, "node-1 runs with older values of node.name, runtime.spin_us");
}

TEST(CheckCluster, DoesWithoutPagesThatAServerDoesNotHave) {
    ClusterFacts facts = healthy();
    for (MemberFacts& each : facts.members) {
        each.page.reset();
        each.clock_ahead.reset();
    }
    EXPECT_FALSE(has_failure(check_cluster(facts)));
}

TEST(CheckDiskSpace, JudgesByShareAndByBytes) {
    EXPECT_EQ(check_disk_space("d", 11ull << 30, 100ull << 30).verdict, Verdict::Ok);
    EXPECT_EQ(check_disk_space("d", 9ull << 30, 100ull << 30).verdict, Verdict::Warning);
    EXPECT_EQ(check_disk_space("d", 1ull << 30, 100ull << 30).verdict, Verdict::Failure);
    EXPECT_EQ(check_disk_space("d", 100ull << 20, 200ull << 20).verdict, Verdict::Failure);
}

TEST(CheckSyncTimes, JudgesByTheMiddleAndTheWorst) {
    EXPECT_EQ(check_sync_times({milliseconds(1), milliseconds(2), milliseconds(90)}).verdict, Verdict::Ok);
    EXPECT_EQ(check_sync_times({milliseconds(1), milliseconds(2), milliseconds(101)}).verdict, Verdict::Warning);
    EXPECT_EQ(check_sync_times({milliseconds(1), milliseconds(11), milliseconds(12)}).verdict, Verdict::Warning);
    EXPECT_EQ(check_sync_times({milliseconds(101)}).verdict, Verdict::Failure);
}

TEST(CheckDescriptors, JudgesByTheLimitAndByItsUse) {
    EXPECT_EQ(check_descriptors("n", 10, 65536).verdict, Verdict::Ok);
    EXPECT_EQ(check_descriptors("n", 10, 1024).verdict, Verdict::Warning);
    EXPECT_EQ(check_descriptors("n", 50'000, 65536).verdict, Verdict::Warning);
    EXPECT_EQ(check_descriptors("n", 60'000, 65536).verdict, Verdict::Failure);
}

class CheckCertificate : public testing::Test {
protected:
    using Chain = Result<std::vector<security::CertificateSummary>>;
    static WallTime at(int days) { return {std::chrono::days(20'000 + days)}; }
    static security::CertificateSummary certificate() {
        security::CertificateSummary summary;
        summary.common_name = "a";
        summary.names = {"10.0.0.1", "a.example", "*.wild.example"};
        summary.not_before = at(0);
        summary.not_after = at(365);
        return summary;
    }
    static Finding check(WallTime now, const std::vector<std::string>& names = {"a.example"}) {
        return check_certificate("f", Chain(std::vector{certificate()}), names, now);
    }
};

TEST_F(CheckCertificate, FollowsItsLife) {
    EXPECT_EQ(check(at(-1)).verdict, Verdict::Failure);
    EXPECT_EQ(check(at(1)).verdict, Verdict::Ok);
    EXPECT_EQ(check(at(1)).what, "f (a) is good for 364 days");
    EXPECT_EQ(check(at(336)).verdict, Verdict::Warning);
    EXPECT_EQ(check(at(336)).what, "f (a) expires in 29 days");
    EXPECT_EQ(check(at(365)).verdict, Verdict::Failure);
}

TEST_F(CheckCertificate, WantsTheNamesThatPeopleDial) {
    EXPECT_EQ(check(at(1), {"10.0.0.1", "a.example", "x.wild.example"}).verdict, Verdict::Ok);
    const Finding finding = check(at(1), {"10.0.0.2"});
    EXPECT_EQ(finding.verdict, Verdict::Failure);
    EXPECT_EQ(finding.what, "f does not name 10.0.0.2: those who dial it refuse it");
    EXPECT_EQ(check(at(1), {"x.y.wild.example"}).verdict, Verdict::Failure);
}

TEST_F(CheckCertificate, LooksAtTheWholeChain) {
    security::CertificateSummary above = certificate();
    above.common_name = "authority";
    above.not_after = at(10);
    EXPECT_EQ(check_certificate("f", Chain(std::vector{certificate(), above}), {}, at(11)).what,
              "f (authority) has expired");
}

TEST_F(CheckCertificate, FailsForAFileThatCannotBeRead) {
    EXPECT_EQ(check_certificate("f", Chain(fail(Code::Io, "cannot read x")), {}, at(1)).what, "f: cannot read x");
}

TEST(DoctorText, CountsVerdictsAndIndentsAdvice) {
    const std::vector<Finding> findings = {{Verdict::Ok, "leader", "a leads"},
                                           {Verdict::Failure, "disk", "full", "empty it"}};
    EXPECT_EQ(doctor_text(findings),
              "ok       leader         a leads\n"
              "FAILED   disk           full\n"
              "                        -> empty it\n"
              "1 ok, 0 warnings, 1 failed\n");
    const auto tree = nlohmann::json::parse(doctor_json(findings));
    EXPECT_EQ(tree["ok"], false);
    EXPECT_EQ(tree["findings"][1]["verdict"], "failed");
}

}  // namespace
}  // namespace polis::cli
