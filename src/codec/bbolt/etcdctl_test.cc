// Lets etcd's own tool judge the bbolt files that we write. A missing etcdctl is a failure, not a reason to skip.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdio.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "base/ensure.h"
#include "codec/bbolt/bbolt_fixture.h"

namespace polis::codec {
namespace {

using testing::HasSubstr;

struct Outcome {
    int status = 0;
    std::string output;
};

Outcome run(const std::string& command) {
    FILE* const pipe = popen((command + " 2>&1").c_str(), "r");
    ENSURE(pipe != nullptr);
    Outcome outcome;
    char piece[4096];
    for (size_t count; (count = fread(piece, 1, sizeof piece, pipe)) > 0;) outcome.output.append(piece, count);
    outcome.status = pclose(pipe);
    return outcome;
}

std::string big_endian(uint64_t value) {
    std::string octets;
    for (int shift = 56; shift >= 0; shift -= 8) octets += static_cast<char>(value >> shift);
    return octets;
}

std::string revision_key(uint64_t main) { return big_endian(main) + "_" + big_endian(0); }

/// mvccpb.KeyValue with the fields that a restore reads: key = 1, create_revision = 2, mod_revision = 3, version = 4,
/// value = 5.
std::string key_value(const std::string& key, uint8_t revision, const std::string& value) {
    return std::string("\x0a") + static_cast<char>(key.size()) + key + "\x10" + static_cast<char>(revision) + "\x18" +
           static_cast<char>(revision) + "\x20\x01\x2a" + static_cast<char>(value.size()) + value;
}

/// The ten buckets of etcd 3.4 and 3.5, with `keys` writes.
Buckets etcd_buckets(uint8_t keys) {
    Buckets buckets;
    for (const char* name :
         {"alarm", "auth", "authRoles", "authUsers", "cluster", "key", "lease", "members", "members_removed", "meta"}) {
        buckets[name];
    }
    buckets["auth"] = {{"authEnabled", std::string(1, '\0')}, {"authRevision", big_endian(1)}};
    buckets["cluster"]["clusterVersion"] = "3.4.0";
    buckets["members"]["8e9e05c52164694d"] =
        R"({"id":10276657743932975437,"peerURLs":["http://localhost:2380"],"name":"default",)"
        R"("clientURLs":["http://localhost:2379"]})";
    buckets["meta"]["consistent_index"] = big_endian(keys + 4u);
    for (uint8_t i = 0; i < keys; ++i) {
        const auto revision = static_cast<uint8_t>(i + 2);
        buckets["key"][revision_key(revision)] = key_value("key" + std::to_string(i), revision, "value");
    }
    return buckets;
}

class Etcdctl : public testing::Test {
protected:
    Etcdctl() {
        std::string name = (std::filesystem::temp_directory_path() / "polis-bbolt-XXXXXX").string();
        ENSURE(mkdtemp(name.data()) != nullptr);
        directory_ = name;
    }
    ~Etcdctl() override {
        std::error_code ignored;
        std::filesystem::remove_all(directory_, ignored);
    }

    std::string path() const { return (directory_ / "snapshot.db").string(); }

    void save(const std::string& file) const {
        std::ofstream out(path(), std::ios::binary);
        out << file;
        ASSERT_TRUE(out.flush());
    }

    Outcome etcdctl(const std::string& arguments) const {
        return run("cd " + directory_.string() + " && ETCDCTL_API=3 etcdctl " + arguments);
    }

    /// What `snapshot status` must print of `file`, in the tool's order.
    static std::string status_of(std::string_view file, uint64_t revision) {
        const BboltMemorySource source(file);
        const BboltSummary summary = summarize(BboltReader::open(source).value()).value();
        return "{\"hash\":" + std::to_string(summary.hash) + ",\"revision\":" + std::to_string(revision) +
               ",\"totalKey\":" + std::to_string(summary.keys) + ",\"totalSize\":" + std::to_string(file.size()) + "}";
    }

    std::filesystem::path directory_;
};

TEST_F(Etcdctl, AcceptsTheTenBucketsOfEtcd) {
    const std::string file = file_of(etcd_buckets(100)).value();
    save(file);
    const Outcome status = etcdctl("snapshot status snapshot.db -w json");
    EXPECT_EQ(status.status, 0) << status.output;
    EXPECT_THAT(status.output, HasSubstr(status_of(file, 101)));
    EXPECT_THAT(status.output, HasSubstr("\"totalKey\":105"));
}

// Several levels of branches, overflow pages, empty values: the tool checks that each page is reached exactly once.
TEST_F(Etcdctl, AcceptsLargeTrees) {
    Buckets buckets = etcd_buckets(0);
    for (uint64_t revision = 2; revision < 30'000; ++revision) {
        buckets["key"][revision_key(revision)] = std::string(revision % 97 == 0 ? 9000 : revision % 50, 'v');
    }
    const std::string file = file_of(buckets).value();
    save(file);
    const Outcome status = etcdctl("snapshot status snapshot.db -w json");
    EXPECT_EQ(status.status, 0) << status.output;
    EXPECT_THAT(status.output, HasSubstr(status_of(file, 29'999)));
}

// The test above can fail: the tool does look at the pages.
TEST_F(Etcdctl, RefusesADamagedFile) {
    std::string file = file_of(etcd_buckets(100)).value();
    file[2 * 4096 + 12] = 1;  // The first page of a tree now claims the next one too.
    save(file);
    EXPECT_NE(etcdctl("snapshot status snapshot.db -w json").status, 0);
}

TEST_F(Etcdctl, RestoresAClusterFromOurFile) {
    save(file_of(etcd_buckets(100)).value());
    const Outcome hash = run("cd " + directory_.string() + " && sha256sum snapshot.db | cut -c1-64 | tr -d '\\n'");
    std::string octets;
    ASSERT_EQ(hash.output.size(), 64u);
    for (size_t i = 0; i < 64; i += 2) octets += static_cast<char>(std::stoi(hash.output.substr(i, 2), nullptr, 16));
    std::ofstream(path(), std::ios::binary | std::ios::app) << octets;

    const Outcome restored = etcdctl("snapshot restore snapshot.db --data-dir restored");
    EXPECT_EQ(restored.status, 0) << restored.output;
    // The tool has written to the copy: our tree took its changes, and our reader takes its tree.
    std::ifstream in(directory_ / "restored/member/snap/db", std::ios::binary);
    const std::string file((std::istreambuf_iterator<char>(in)), {});
    const Buckets buckets = buckets_of(file).value();
    EXPECT_EQ(buckets.at("key"), etcd_buckets(100).at("key"));
    EXPECT_EQ(buckets.at("members").size(), 1u);
}

}  // namespace
}  // namespace polis::codec
