// The part of `polis doctor` that looks at one node of this machine by its configuration.
#pragma once

#include <string>
#include <vector>

#include "cli/doctor_checks.h"

namespace polis::cli {

struct LocalReport {
    std::vector<Finding> findings;
    std::vector<std::string> endpoints;  // Where the node serves clients, if its configuration can be read.
};

/// Configuration, data directory, disk, certificates, and the other members' ports. Writes and removes one file in the data directory to
/// measure its disk. Blocking, some seconds at most.
LocalReport check_local(const std::string& config_path);

}  // namespace polis::cli
