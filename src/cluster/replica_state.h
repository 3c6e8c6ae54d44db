// AppliedState: how far a group's state machine has come, as kept in its store beside the state itself.
#pragma once

#include "base/entry.h"
#include "consensus/membership.h"
#include "storage/kv/overlay.h"

namespace polis::cluster {

struct AppliedState {
    LogPosition position;              // The last entry whose effects are in the store.
    consensus::Membership membership;  // In force there.
};

/// What the store says; the beginning (index 0, nobody) if it is empty. Errors: Corrupt, Io.
Result<AppliedState> load_applied_state(const storage::Store& store);
Result<AppliedState> load_applied_state(const storage::View& view);

/// Puts the row into the batch that holds the effects.
void save_applied_state(const AppliedState& state, storage::Overlay& into);

}  // namespace polis::cluster
