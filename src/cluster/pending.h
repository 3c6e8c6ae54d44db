// Pending: commands that this node has accepted from its clients and not answered yet.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "base/bytes.h"
#include "base/ensure.h"
#include "cluster/api.h"
#include "runtime/wait.h"

namespace polis::cluster {

/// One command on its way. Whoever proposed it waits on `answer`; the entry leaves the table when answered or given up.
struct PendingCommand {
    uint64_t sequence = 0;
    Replica::Caller caller;
    Bytes command;
    std::optional<Ballot> ballot;  // Only under this leadership.
    Instant accepted_at;
    Instant sent_at;        // To the log or to the leader; meaningless unless `sent`.
    bool sent = false;      // It may reach the log: from now on its outcome can be unknown.
    bool was_sent = false;  // It was at some time.
    uint32_t copies = 0;    // Sent and not refused: each may be in a log, or get there.
    runtime::Completion<Bytes> answer;
};

/// All commands of this node's clients for one group, by sequence. Sequences rise through all lives of a node: the high
/// bits count its starts.
class PendingCommands {
public:
    explicit PendingCommands(uint64_t boot) : next_((boot << 40) + 1) {}

    std::shared_ptr<PendingCommand> add(const Replica::Caller& caller, Bytes command, Instant now) {
        auto pending = std::make_shared<PendingCommand>();
        pending->sequence = next_++;
        pending->caller = caller;
        pending->command = std::move(command);
        pending->accepted_at = now;
        table_.emplace_hint(table_.end(), pending->sequence, pending);
        return pending;
    }

    std::shared_ptr<PendingCommand> find(uint64_t sequence) const {
        const auto place = table_.find(sequence);
        return place == table_.end() ? nullptr : place->second;
    }

    /// Answers and forgets. Nothing if it is not there any more.
    void answer(uint64_t sequence, Result<Bytes> reply) {
        const auto place = table_.find(sequence);
        if (place == table_.end()) return;
        const std::shared_ptr<PendingCommand> pending = place->second;
        table_.erase(place);
        pending->answer.complete(std::move(reply));
    }

    void forget(uint64_t sequence) { table_.erase(sequence); }

    /// The lowest sequence that still waits for an answer; the next one if none does.
    uint64_t outstanding_from() const { return table_.empty() ? next_ : table_.begin()->first; }

    const std::map<uint64_t, std::shared_ptr<PendingCommand>>& all() const { return table_; }
    size_t size() const { return table_.size(); }

private:
    uint64_t next_;
    std::map<uint64_t, std::shared_ptr<PendingCommand>> table_;
};

}  // namespace polis::cluster
