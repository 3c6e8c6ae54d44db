// What can be said of a message without knowing its protocol.
#include "consensus/message.h"

namespace polis::consensus {

bool is_plausible(const Message& message) {
    if (message.ballot.epoch > epoch_max || message.hint_ballot.epoch > epoch_max) return false;
    if (message.previous.ballot.epoch > epoch_max) return false;
    if (message.previous.index.value > index_max || message.hint.value > index_max) return false;
    if (message.committed.value > index_max || message.entries.size() > index_max) return false;
    LogPosition before = message.previous;
    for (const Entry& entry : message.entries) {
        if (entry.index != before.index.next() || entry.ballot < before.ballot || entry.ballot > message.ballot) {
            return false;
        }
        before = {entry.index, entry.ballot};
    }
    return true;
}

}  // namespace polis::consensus
