// StorePointer: which store is in use, changed by one thread while others read it.
#pragma once

#include <memory>
#include <mutex>
#include <utility>

#include "storage/kv/store.h"

namespace polis::storage {

/// A shared pointer under a mutex. Not an atomic one: a load of libstdc++ 12's ends with a relaxed unlock, so that it races with an exchange.
class StorePointer {
public:
    explicit StorePointer(std::shared_ptr<Store> store) : store_(std::move(store)) {}

    std::shared_ptr<Store> load() const {
        const std::scoped_lock lock(mutex_);
        return store_;
    }
    /// Returns the one before.
    std::shared_ptr<Store> exchange(std::shared_ptr<Store> next) {
        const std::scoped_lock lock(mutex_);
        return std::exchange(store_, std::move(next));
    }

private:
    mutable std::mutex mutex_;
    std::shared_ptr<Store> store_;  // By mutex_.
};

}  // namespace polis::storage
