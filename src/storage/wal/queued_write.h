// QueuedWrite: a LogWrite on its way to the disk; lives in the frame of the coroutine that waits for it.
#pragma once

#include <coroutine>
#include <optional>
#include <utility>
#include <vector>

#include "base/entry.h"
#include "base/list.h"
#include "runtime/task.h"
#include "storage/wal/format.h"
#include "storage/wal/group_index.h"

namespace polis::storage {

/// Awaited by the writer, in a way that cancellation does not cut short: the flush uses it.
struct QueuedWrite : Linked<QueuedWrite> {
    QueuedWrite(GroupId to, const LogWrite& what) : group(to), write(what) {}

    const GroupId group;
    const LogWrite& write;
    std::vector<Place> places;  // Of the entries' records so far, in order; several for an entry in fragments.
    size_t skipped = 0;         // Entries at the front that were compacted before they were written.

    // How far it has been added to flushes.
    size_t items_done = 0;     // Of: reset, truncate, entries, hard state; those that there are.
    uint32_t octets_done = 0;  // Of the payload of the entry that is being added.

    bool begun() const { return items_done > 0 || octets_done > 0; }
    size_t items() const {
        return (write.reset_to ? 1u : 0u) + (write.truncate_from ? 1u : 0u) + write.entries.size() - skipped +
               (write.hard_state ? 1u : 0u);
    }
    /// Octets of all its records.
    uint64_t stream_bytes() const {
        uint64_t bytes = items() * RecordHeader::bytes + (write.hard_state ? 40 : 0);
        for (size_t i = skipped; i < write.entries.size(); ++i) bytes += write.entries[i].payload.size();
        return bytes;
    }

    bool await_ready() const noexcept { return result.has_value(); }
    template <runtime::TaskPromise P>
    void await_suspend(std::coroutine_handle<P> self) noexcept {
        waiter = self;
        reactor = self.promise().context.reactor;
    }
    Result<void> await_resume() { return *std::move(result); }

    std::optional<Result<void>> result;
    std::coroutine_handle<> waiter;
    runtime::Reactor* reactor = nullptr;
};

}  // namespace polis::storage
