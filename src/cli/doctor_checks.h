// What `polis doctor` concludes from what it has seen: findings, each with what to do next. Pure.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "node/config.h"
#include "node/node_page.h"
#include "security/certificate.h"

namespace polis::cli {

/// Warning: it works, but not for ever or not as well as it should. Failure: somebody must act; the exit code tells.
enum class Verdict : uint8_t { Ok, Warning, Failure };

struct Finding {
    Verdict verdict;
    std::string check;      // A fixed name: "leader", "disk" ...
    std::string what;       // What was seen.
    std::string next = {};  // What to do; empty if all is well.
};

/// One member as it looks from here.
struct MemberFacts {
    std::string name, endpoint;
    std::string unreachable = {};  // Why it does not answer; empty: it does.
    uint64_t id = 0, leader = 0, term = 0, applied = 0;
    bool learner = false;
    std::string version = {};
    int64_t store_bytes = 0, quota_bytes = 0;
    std::optional<node::NodePage> page = {};   // Nothing if the server has none (etcd, or an older release).
    std::optional<Duration> clock_ahead = {};  // Of ours ...
    Duration clock_error{0};                   // ... give or take so much.
};

struct ClusterFacts {
    std::vector<MemberFacts> members;
    std::vector<std::string> alarms;  // "NOSPACE at node-1"
};

/// Everything about the cluster as a whole and its members as they tell it.
std::vector<Finding> check_cluster(const ClusterFacts& facts);

/// One certificate file of a node. `names`: what it must stand for (hosts and addresses); `what`: "tls.client.cert_file".
Finding check_certificate(const std::string& what, const Result<std::vector<security::CertificateSummary>>& chain,
                          const std::vector<std::string>& names, WallTime now);

/// Free space of the file system that holds `where`.
Finding check_disk_space(const std::string& where, uint64_t free_bytes, uint64_t bytes);

/// Times of single small writes made durable, on the data directory's disk. REQUIRES: not empty.
Finding check_sync_times(std::vector<Duration> times);

Finding check_descriptors(const std::string& who, uint64_t open, uint64_t max);

/// One line a finding and one for what to do; how many there were of each kind at the end.
std::string doctor_text(const std::vector<Finding>& findings);
std::string doctor_json(const std::vector<Finding>& findings);

bool has_failure(const std::vector<Finding>& findings);

}  // namespace polis::cli
