// Completions for shells, made from the table of commands.
#pragma once

#include <string>

#include "cli/command_table.h"

namespace polis::cli {

/// To be read by bash: eval "$(polis completion bash)".
std::string bash_completion(const CommandRow& root);
/// A file named _polis on zsh's fpath.
std::string zsh_completion(const CommandRow& root);
/// A file named polis.fish in fish's folder of completions.
std::string fish_completion(const CommandRow& root);

}  // namespace polis::cli
