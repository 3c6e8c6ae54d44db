// NewFiles: files that are made all together or not at all, and in the place of others only where that is asked for.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"
#include "security/secret.h"

namespace polis::cli {

/// Gathers files in memory, then writes them.
class NewFiles {
public:
    void add(std::string path, std::string text) {
        files_.push_back({std::move(path), security::Secret(std::move(text)), 0644});
    }
    /// For its owner only.
    void add_secret(std::string path, security::Secret text) {
        files_.push_back({std::move(path), std::move(text), 0600});
    }

    /// Makes the folders that are missing (mode 0755), then the files, each durable at return. Errors: Exists if any of them is there
    /// already, with its path; Denied, NoSpace, Io. After an error none of the files is there.
    Result<void> write() const;

    /// As write, but in the place of what is there: each is written beside it first, with ".new" behind its name, and when all are durable
    /// they are renamed. An error before that changes nothing; one in between (Io) says so, and replacing them again completes it.
    Result<void> replace() const;

    /// What write() makes, in order.
    std::vector<std::string> paths() const;

private:
    struct File {
        std::string path;
        security::Secret text;
        mode_t mode;
    };
    std::vector<File> files_;
};

}  // namespace polis::cli
