// The manual page, made from the table of commands.
#pragma once

#include <string>

#include "cli/command_table.h"

namespace polis::cli {

/// polis(1) in the man macros (groff_man(7)). Always the same for the same table: it has no date.
std::string man_page(const CommandRow& root);

}  // namespace polis::cli
