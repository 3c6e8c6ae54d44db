// Scripts: stories of a group in a small language, one event or expectation a line; any protocol can be put through them.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "consensus/scenario/group_world.h"

namespace polis::consensus {

/// Plays `script` and returns what went wrong first, with its line; or nothing. Words are separated by blanks, `#` begins a comment.
///
/// Setting up, before anything else:
///   protocols raft zab                the story is one of these only; without this line, of all
///   nodes 1 2 3 learners 4 spare 5    who there is; spare nodes belong to no group yet
///   option NAME VALUE                 of consensus::Options, for all nodes; durations in ms, switches on/off
///   priority N P
///   log N 1n 1 4                      the ballots of the entries on its disk (their commands are e1, e2 ...; with n: a Noop)
///   term N T | committed N I | damage N I ...
/// Events. After each, whatever can happen without time passing happens, unless `manual` was said (until `auto`):
///   elect N                           lets time pass for N alone until it leads and is ready
///   run 500ms | settle | tick N | wait 500ms (time passes, nobody is given a tick)
///   propose N a b c | read N r [lease] | reconfigure N x voters 1 2 learners 3 | transfer N x to M
///   cut 1 2 | cut 1 -> 2 | isolate 1 | heal | heal 1 2
///   deliver 1 2 | reverse 1 2 | drop 1 2 | duplicate 1 2 | store N | fetch N | apply N      (for `manual`)
///   crash N [unflushed: its state falls back to what the log must bring again] | restart N | damage N I ... | compact N I | pause N | resume N | unreachable N M
///   disk N slow | normal | full
/// Expectations:
///   expect leader N | no leader | role N follower | candidate | leader | learner | term N T
///   expect log N a b c                commands on its disk, without those of the protocol
///   expect ballots N 1 1 4            of all entries on its disk, after its start
///   expect delivered N a b c | committed N I | first N I
///   expect ended x delivered | done | ready | open | abandoned | rejected [Why]
///   expect read x at I | voters N 1 2 | learners N 3 | joint N | not joint N | stores N K | packets K
///   expect quiet N | not quiet N | silence 5000ms (for so long, which passes, nobody sends anything)
/// In every `rejected` the reason may be given. Names x stand for one request each.
Result<void> play(std::string_view script, const Protocol& protocol);

/// Whether the story is one of this protocol.
bool concerns(std::string_view script, const Protocol& protocol);

}  // namespace polis::consensus
