// The command line: one entry, `polis COMMAND ...`.
#pragma once

namespace polis::cli {

/// Exit codes of every command.
enum ExitCode : int { Ok = 0, Failed = 1, Usage = 2, Unavailable = 3, UnknownOutcome = 4 };

int main(int argc, char** argv);

}  // namespace polis::cli
