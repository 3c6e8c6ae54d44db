// WatcherIndex: which watchers a key concerns, found without looking at the others.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/hash.h"
#include "services/coord/watcher.h"

namespace polis::services {

/// Watchers of one key in a hash table; those of ranges in a treap over the distinct ranges, each node knowing how far the
/// ranges below it reach. Owns no watcher.
class WatcherIndex {
public:
    WatcherIndex() = default;
    WatcherIndex(const WatcherIndex&) = delete;
    WatcherIndex& operator=(const WatcherIndex&) = delete;

    void add(Watcher& watcher);
    /// REQUIRES: it was added.
    void remove(Watcher& watcher);
    size_t size() const { return size_; }

    /// Calls `visit(Watcher&)` for each watcher whose interval holds `key`. It must not change the index.
    template <class Visit>
    void for_each_of(std::string_view key, Visit&& visit) const {
        if (const auto found = by_key_.find(key); found != by_key_.end())
            for (Watcher* watcher : found->second) visit(*watcher);
        visit_ranges(root_.get(), key, visit);
    }

private:
    struct Range {
        Interval interval;
        std::vector<Watcher*> watchers;
        uint64_t priority = 0;     // Heap order; from the interval's hash, so that the shape depends on nothing else.
        bool reaches_end = false;  // Some range at or below is open-ended.
        const std::string* reach = nullptr;  // Else the greatest `last` at or below, where it stands.
        std::unique_ptr<Range> left;
        std::unique_ptr<Range> right;
    };
    struct Hash {
        using is_transparent = void;
        size_t operator()(std::string_view key) const { return fast_hash(key); }
    };
    struct Equal {
        using is_transparent = void;
        bool operator()(std::string_view a, std::string_view b) const { return a == b; }
    };

    template <class Visit>
    static void visit_ranges(const Range* node, std::string_view key, Visit& visit) {
        if (!node || (!node->reaches_end && *node->reach <= key)) return;
        visit_ranges(node->left.get(), key, visit);
        if (key < node->interval.first) return;  // Ranges to the right begin later still.
        if (node->interval.contains(key))
            for (Watcher* watcher : node->watchers) visit(*watcher);
        visit_ranges(node->right.get(), key, visit);
    }

    static bool is_before(const Interval& a, const Interval& b);
    static void measure(Range& node);
    static std::unique_ptr<Range> add_to(std::unique_ptr<Range> node, Watcher& watcher);
    static std::unique_ptr<Range> remove_from(std::unique_ptr<Range> node, Watcher& watcher);
    static std::unique_ptr<Range> join(std::unique_ptr<Range> left, std::unique_ptr<Range> right);
    static std::unique_ptr<Range> rotate_right(std::unique_ptr<Range> node);
    static std::unique_ptr<Range> rotate_left(std::unique_ptr<Range> node);

    std::unordered_map<std::string, std::vector<Watcher*>, Hash, Equal> by_key_;
    std::unique_ptr<Range> root_;
    size_t size_ = 0;
};

}  // namespace polis::services
