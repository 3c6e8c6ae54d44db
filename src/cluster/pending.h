// Pending: commands that this node has accepted from its clients and not answered yet.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/bytes.h"
#include "base/ensure.h"
#include "cluster/api.h"
#include "cluster/sequence_table.h"
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
        const uint64_t sequence = next_++;
        auto pending = std::make_shared<PendingCommand>();
        pending->sequence = sequence;
        pending->caller = caller;
        pending->command = std::move(command);
        pending->accepted_at = now;
        return table_.add(sequence, std::move(pending));
    }

    std::shared_ptr<PendingCommand> find(uint64_t sequence) {
        const std::shared_ptr<PendingCommand>* found = table_.find(sequence);
        return found ? *found : nullptr;
    }

    /// Answers and forgets. Nothing if it is not there any more.
    void answer(uint64_t sequence, Result<Bytes> reply) {
        if (const auto pending = table_.take(sequence)) (*pending)->answer.complete(std::move(reply));
    }

    void forget(uint64_t sequence) { table_.take(sequence); }

    /// The lowest sequence that still waits for an answer; the next one if none does.
    uint64_t outstanding_from() const { return table_.empty() ? next_ : table_.lowest(); }

    /// All that wait, in order.
    std::vector<std::shared_ptr<PendingCommand>> all() {
        std::vector<std::shared_ptr<PendingCommand>> all;
        all.reserve(table_.size());
        table_.for_each([&all](uint64_t, const auto& pending) { all.push_back(pending); });
        return all;
    }
    size_t size() const { return table_.size(); }

private:
    uint64_t next_;
    SequenceTable<std::shared_ptr<PendingCommand>> table_;
};

}  // namespace polis::cluster
