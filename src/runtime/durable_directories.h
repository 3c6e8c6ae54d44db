// Directories that are there after a crash too.
#pragma once

#include <string>

#include "runtime/disk.h"

namespace polis::runtime {

/// Makes `path` with its parents; durable at return, whether they were there or not. Errors: the disk's.
Task<void> make_directories_durably(Disk& disk, std::string path);

}  // namespace polis::runtime
