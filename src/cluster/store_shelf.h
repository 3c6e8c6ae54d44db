// StoreShelf: where the stores of a replica's state lie: the one in use, and the one that a snapshot is being received into.
#pragma once

#include <memory>
#include <string>

#include "runtime/world.h"
#include "storage/kv/store.h"

namespace polis::cluster {

/// Keeps the stores of one group under one name. Exactly one is in use; which one survives a crash.
class StoreShelf {
public:
    virtual ~StoreShelf() = default;

    /// The store in use, made if there is none. Called once, first.
    virtual runtime::Task<std::unique_ptr<storage::Store>> open_current() = 0;

    /// A new, empty store beside it; an unfinished earlier one is removed. REQUIRES: that one is closed.
    virtual runtime::Task<std::unique_ptr<storage::Store>> open_next() = 0;

    /// The store that open_next made in an earlier life, with what of it is durable; null if there is none.
    virtual runtime::Task<std::unique_ptr<storage::Store>> reopen_next() = 0;

    /// Removes all but the store in use. REQUIRES: the others are closed.
    virtual runtime::Task<void> remove_unused() = 0;

    /// From now on, after a crash too, the store made by open_next is the one in use. Durable at return.
    virtual runtime::Task<void> switch_to_next() = 0;
};

/// RocksDB stores in `directory`/<number>/ of the world's disk, with a file CURRENT that names the one in use.
std::unique_ptr<StoreShelf> make_disk_shelf(runtime::World world, std::string directory, storage::StoreOptions options);

/// Stores in memory: everything is lost at the end, as on a disk that is replaced empty. For tests.
std::unique_ptr<StoreShelf> make_memory_shelf();

}  // namespace polis::cluster
