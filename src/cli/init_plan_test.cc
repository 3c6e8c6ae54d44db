// Tests of `polis init`: what it makes, and that it overwrites nothing.
#include "cli/init_plan.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "cli/renew_plan.h"

namespace polis::cli {
namespace {

class InitPlanTest : public testing::Test {
protected:
    void SetUp() override {
        char path[] = "/tmp/polis-init-XXXXXX";
        ASSERT_NE(::mkdtemp(path), nullptr);
        folder_ = path;
        options_.folder = folder_;
        options_.nodes = {{"a", "10.0.0.1"}, {"b", "b.example"}};
        options_.clients = {"root"};
        options_.now = {std::chrono::days(20'000)};
        authorities_ = *make_authorities(options_);
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    static std::string read(const std::string& path) {
        std::ifstream in(path, std::ios::binary);
        return std::string((std::istreambuf_iterator<char>(in)), {});
    }
    security::CertificateSummary certificate(const std::string& path) const {
        return security::inspect_certificates(read(folder_ + path))->front();
    }
    static mode_t mode_of(const std::string& path) {
        struct stat status{};
        EXPECT_EQ(::stat(path.c_str(), &status), 0) << path;
        return status.st_mode & 0777;
    }

    std::string folder_;
    InitOptions options_;
    Authorities authorities_;
};

TEST_F(InitPlanTest, WritesKeysForTheirOwnerOnly) {
    const auto files = plan_init(options_, authorities_, true);
    ASSERT_TRUE(files) << files.error().what;
    ASSERT_TRUE(files->write());
    size_t keys = 0;
    for (const std::string& path : files->paths()) {
        const bool is_key = path.ends_with(".key");
        keys += is_key ? 1 : 0;
        EXPECT_EQ(mode_of(path), is_key ? 0600u : 0644u) << path;
    }
    EXPECT_EQ(keys, 2 + 2 * 2 + 1u);
}

TEST_F(InitPlanTest, NamesHostsAndUsersInCertificates) {
    ASSERT_TRUE(plan_init(options_, authorities_, true)->write());
    EXPECT_EQ(certificate("/a/server.crt").names, (std::vector<std::string>{"10.0.0.1", "localhost"}));
    EXPECT_EQ(certificate("/b/peer.crt").names, (std::vector<std::string>{"b.example", "localhost"}));
    EXPECT_EQ(certificate("/clients/root.crt").common_name, "root");
    EXPECT_EQ(certificate("/a/server.crt").not_after.since_epoch, std::chrono::days(20'365));
    EXPECT_EQ(certificate("/authority/peers-ca.crt").not_after.since_epoch, std::chrono::days(23'650));
}

// Whoever has a client's certificate must not pass for a member.
TEST_F(InitPlanTest, SignsMembersAndClientsByDifferentAuthorities) {
    ASSERT_TRUE(plan_init(options_, authorities_, true)->write());
    EXPECT_EQ(certificate("/clients/root.crt").issuer_common_name, "polis clients");
    EXPECT_EQ(certificate("/a/server.crt").issuer_common_name, "polis clients");
    EXPECT_EQ(certificate("/a/peer.crt").issuer_common_name, "polis peers");
    EXPECT_EQ(read(folder_ + "/a/peers-ca.crt"), read(folder_ + "/authority/peers-ca.crt"));
    EXPECT_EQ(read(folder_ + "/a/clients-ca.crt"), read(folder_ + "/clients/ca.crt"));
    EXPECT_NE(read(folder_ + "/a/peers-ca.crt"), read(folder_ + "/a/clients-ca.crt"));
}

TEST_F(InitPlanTest, WritesConfigurationsThatAreValidAndSecure) {
    options_.token = "polis-7";
    ASSERT_TRUE(plan_init(options_, authorities_, true)->write());
    const auto config = node::load_config({.path = folder_ + "/b/node.toml"});
    ASSERT_TRUE(config) << config.error().what;
    EXPECT_EQ(config->name, "b");
    EXPECT_EQ(config->data_dir, folder_ + "/b/data");
    EXPECT_EQ(config->token, "polis-7");
    EXPECT_EQ(config->listen_client, std::vector<std::string>{"https://b.example:2379"});
    EXPECT_EQ(config->initial,
              (std::map<std::string, std::string>{{"a", "https://10.0.0.1:2380"}, {"b", "https://b.example:2380"}}));
    EXPECT_TRUE(config->tls_client.client_cert_auth);
    EXPECT_TRUE(config->tls_peer.client_cert_auth);
    EXPECT_FALSE(config->insecure);
}

TEST_F(InitPlanTest, PointsAtTheInstalledPlace) {
    options_.installed = "/etc/polis";
    options_.data_dir = "/var/lib/polis";
    const node::Config config = config_of_node(options_, 0, true);
    EXPECT_EQ(config.tls_peer.key_file, "/etc/polis/peer.key");
    EXPECT_EQ(config.data_dir, "/var/lib/polis");
}

TEST_F(InitPlanTest, LetsFurtherNodesJoin) {
    options_.nodes = {{"c", "::1"}};
    options_.members = {{"a", "https://10.0.0.1:2380"}};
    const auto files = plan_init(options_, authorities_, false);
    ASSERT_TRUE(files) << files.error().what;
    for (const std::string& path : files->paths()) EXPECT_FALSE(path.starts_with(folder_ + "/authority")) << path;
    const node::Config config = config_of_node(options_, 0, false);
    EXPECT_EQ(config.state, "existing");
    EXPECT_EQ(config.initial,
              (std::map<std::string, std::string>{{"a", "https://10.0.0.1:2380"}, {"c", "https://[::1]:2380"}}));
}

TEST_F(InitPlanTest, OverwritesNothingAndLeavesNothingBehind) {
    std::filesystem::create_directories(folder_ + "/b");
    std::ofstream(folder_ + "/b/peer.crt") << "mine";
    const auto files = plan_init(options_, authorities_, true);
    const Result<void> written = files->write();
    ASSERT_FALSE(written);
    EXPECT_EQ(written.error().code, Code::Exists);
    EXPECT_EQ(written.error().what, folder_ + "/b/peer.crt is there already, and nothing is ever overwritten");
    EXPECT_EQ(read(folder_ + "/b/peer.crt"), "mine");
    EXPECT_FALSE(std::filesystem::exists(folder_ + "/authority/peers-ca.key"));
}

TEST_F(InitPlanTest, RemovesWhatItMadeWhenOneCannotBeMade) {
    NewFiles files;
    files.add(folder_ + "/one", "1");
    files.add(folder_ + "/" + std::string(300, 'n'), "2");  // Longer than a file's name can be.
    EXPECT_FALSE(files.write());
    EXPECT_FALSE(std::filesystem::exists(folder_ + "/one"));
}

TEST(ParseNodes, TakesNamesWithAndWithoutHosts) {
    const auto nodes = parse_nodes({"a", "b=10.0.0.2", "c=::1"});
    ASSERT_TRUE(nodes);
    EXPECT_EQ(*nodes, (std::vector<std::pair<std::string, std::string>>{{"a", "a"}, {"b", "10.0.0.2"}, {"c", "::1"}}));
}

TEST(ParseNodes, RefusesNamesThatCannotBeFolders) {
    for (const char* text : {"", "=h", "a=", "../up", "a/b", ".hidden", "authority", "clients=h", "sp ace"}) {
        EXPECT_FALSE(parse_nodes({text})) << text;
    }
    EXPECT_FALSE(parse_nodes({"a", "a=h"}));
}

TEST_F(InitPlanTest, RefusesAHostThatIsNone) {
    options_.nodes = {{"a", "not a host"}};
    EXPECT_FALSE(plan_init(options_, authorities_, true));
}

// ---- Renewal ----

TEST_F(InitPlanTest, RenewalFindsWhatInitHasMade) {
    ASSERT_TRUE(plan_init(options_, authorities_, true)->write());
    const auto found = find_renewals({.folder = folder_});
    ASSERT_TRUE(found) << found.error().what;
    std::vector<std::string> files;
    for (const Renewal& renewal : *found) files.push_back(renewal.certificate_file.substr(folder_.size()));
    EXPECT_EQ(files, (std::vector<std::string>{"/a/server.crt", "/a/peer.crt", "/b/server.crt", "/b/peer.crt",
                                               "/clients/root.crt"}));
    EXPECT_EQ(find_renewals({.folder = folder_, .nodes = {"b"}})->size(), 2u);
    EXPECT_EQ(find_renewals({.folder = folder_, .clients = {"root"}})->size(), 1u);
    EXPECT_EQ(find_renewals({.folder = folder_, .nodes = {"c"}}).error().code, Code::NotFound);
    EXPECT_EQ(find_renewals({.folder = folder_, .clients = {"ca"}}).error().code, Code::NotFound);
    EXPECT_FALSE(find_renewals({.folder = folder_ + "/absent"}));
}

// A host that was added to a certificate by hand must not be lost with its renewal.
TEST_F(InitPlanTest, RenewedCertificateSaysWhatTheOldOneSaid) {
    security::CertificateRequest request{
        .common_name = "a", .organization = "o", .names = {"10.0.0.1", "extra.example"}};
    request.now = options_.now;
    const auto old = security::issue_certificate(authorities_.peers, request);
    const WallTime later{options_.now.since_epoch + std::chrono::days(300)};
    const Renewal renewal{.certificate_file = "", .key_file = "", .by_peers = true};
    const auto made = renewed(authorities_.peers, old->certificate, renewal, {.folder = "", .now = later});
    ASSERT_TRUE(made) << made.error().what;
    const security::CertificateSummary said = security::inspect_certificates(made->certificate)->front();
    EXPECT_EQ(said.common_name, "a");
    EXPECT_EQ(said.organization, "o");
    EXPECT_EQ(said.names, request.names);
    EXPECT_EQ(said.issuer_common_name, "polis peers");
    EXPECT_EQ(said.not_after.since_epoch, later.since_epoch + std::chrono::days(365));
    EXPECT_NE(made->key.reveal(), old->key.reveal());
    const WallTime too_late{options_.now.since_epoch + std::chrono::days(3651)};
    EXPECT_FALSE(renewed(authorities_.peers, old->certificate, renewal, {.folder = "", .now = too_late}));
}

TEST_F(InitPlanTest, ReplacingChangesAllOrNothing) {
    NewFiles first;
    first.add(folder_ + "/one", "1");
    first.add_secret(folder_ + "/two", security::Secret("2"));
    ASSERT_TRUE(first.write());
    NewFiles second;
    second.add_secret(folder_ + "/two", security::Secret("22"));
    second.add(folder_ + "/absent/three", "3");
    EXPECT_FALSE(second.replace());
    EXPECT_EQ(read(folder_ + "/two"), "2");
    EXPECT_FALSE(std::filesystem::exists(folder_ + "/two.new"));
    NewFiles third;
    third.add(folder_ + "/one", "11");
    third.add_secret(folder_ + "/two", security::Secret("22"));
    std::ofstream(folder_ + "/two.new") << "of a time when this was broken off";
    ASSERT_TRUE(third.replace());
    EXPECT_EQ(read(folder_ + "/one"), "11");
    EXPECT_EQ(read(folder_ + "/two"), "22");
    EXPECT_EQ(mode_of(folder_ + "/two"), 0600u);
    EXPECT_FALSE(std::filesystem::exists(folder_ + "/two.new"));
}

}  // namespace
}  // namespace polis::cli
