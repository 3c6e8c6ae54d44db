// Stories about coord in a small language, one request or event a line, with what must come of it. For tests.
#pragma once

#include <string_view>

#include "base/result.h"

namespace polis::services {

/// Plays `script` on one node in virtual time. What goes wrong first is the error, with its line. Words are separated by blanks, `#`
/// begins a comment; `""` is the empty text. What stands behind `=>` must come of the line: parts separated by `|`, each either the
/// answer's text, in full, or one of its facts. Without `=>` the line must succeed.
///
/// Setting up, before anything else:  option quota_bytes | operations_per_txn_max | request_bytes_max | progress_s | checkpoint_s N
///
/// KEYS is one of: KEY, KEY to END, prefix KEY, from KEY, all.
///   put KEY VALUE [lease N] [prev] [ignore_value] [ignore_lease]      => revision R | prev KEY=VALUE
///   get KEYS [limit N] [at R] [asc|desc] [by key|version|create|mod|value] [count_only] [keys_only] [versions] [serializable]
///       [min_mod R] [max_mod R] [min_create R] [max_create R]         => KEY=VALUE ... | nothing | count N | more yes | revision R
///       (with `versions`: KEY=VALUE:create/mod/version[/lease])
///   delete KEYS [prev]                                                => deleted N | prev KEY=VALUE ... | revision R
///   txn [if COMPARE and COMPARE ...] [then OP ; OP ...] [else OP ; OP ...]     => OP's answers, separated by ; | succeeded yes
///       COMPARE is value|version|create|mod|lease KEYS = < > != VALUE; OP is put, get, delete as above, or ( txn ... ), or empty
///   compact R [physical]
///   watch W KEYS [at R] [prev] [noput] [nodelete] [progress] [fragment] [id N]    W names a client's stream
///   cancel W ID | progress W
///   next W      => created ID | ID: put KEY=VALUE@R delete KEY@R ... [more] | progress ID at R | canceled ID [compacted R] REASON
///               (with `prev`: put KEY=VALUE@R(was VALUE))
///   silent W                            nothing comes for a second
///   lease grant N ttl S => ttl S | lease revoke N | lease keep N => ttl S | lease left N => ttl S | granted S | keys KEY ...
///   leases => N ...
///   user add U PASSWORD | user delete U | user password U PASSWORD | user grant U R | user revoke U R
///   role add R | role delete R | role permit R read|write|readwrite KEYS | role forbid R KEYS
///   auth enable | auth disable | login U PASSWORD        from then on U is known; `as U` in front of a line makes it U's
///   alarms => nospace ... | alarm clear nospace
///   pass 5s (or ms, m, h)               time goes by
///   leader lost | leader new            nobody leads any more | this node leads anew
///
/// What is refused: => refused NAME (of services::Refusal); what fails in the cluster: => failed NAME (of polis::Code).
Result<void> play(std::string_view script);

}  // namespace polis::services
