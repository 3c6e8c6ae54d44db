// What an answer, or its absence, says about whether something was done: the exit codes of commands.
#pragma once

#include "base/result.h"
#include "cli/main.h"
#include "rpc/status.h"

namespace polis::cli {

/// Whether a call changes anything: if its outcome is not known, that matters only then.
enum class Effect : uint8_t { Reads, Writes };

/// How far a call came before it failed.
enum class Reached : uint8_t { Nobody, Server };

/// The exit code for a status that is not Ok.
///
/// A write that reached a server and was not plainly refused may have happened: UnknownOutcome. etcd's servers, and so ours, use
/// Unavailable both for "not done" and for "perhaps done" and tell them apart by their text (etcd, api/v3rpc/rpctypes/error.go), so
/// texts are compared here as etcd's own clients do.
ExitCode exit_code_of(const rpc::Status& status, Effect effect, Reached reached);

/// The exit code for an Error.
ExitCode exit_code_of(const Error& error);

}  // namespace polis::cli
