#include "services/coord/watcher_index.h"

#include <algorithm>
#include <utility>

#include "base/ensure.h"

namespace polis::services {

namespace {

bool is_one_key(const Interval& interval) {
    return !interval.open_ended && interval.last.size() == interval.first.size() + 1 && interval.last.back() == '\0' &&
           interval.last.starts_with(interval.first);
}

void remove_watcher(std::vector<Watcher*>& watchers, Watcher& watcher) {
    const auto found = std::ranges::find(watchers, &watcher);
    ENSURE(found != watchers.end());
    *found = watchers.back();
    watchers.pop_back();
}

uint64_t priority_of(const Interval& interval) {
    return fast_hash(interval.last, fast_hash(interval.first, interval.open_ended));
}

}  // namespace

void WatcherIndex::add(Watcher& watcher) {
    ENSURE(!watcher.interval.empty());
    ++size_;
    if (is_one_key(watcher.interval)) {
        by_key_[watcher.interval.first].push_back(&watcher);
    } else {
        root_ = add_to(std::move(root_), watcher);
    }
}

void WatcherIndex::remove(Watcher& watcher) {
    ENSURE(size_ > 0);
    --size_;
    if (!is_one_key(watcher.interval)) {
        root_ = remove_from(std::move(root_), watcher);
        return;
    }
    const auto found = by_key_.find(watcher.interval.first);
    ENSURE(found != by_key_.end());
    remove_watcher(found->second, watcher);
    if (found->second.empty()) by_key_.erase(found);
}

bool WatcherIndex::is_before(const Interval& a, const Interval& b) {
    if (a.first != b.first) return a.first < b.first;
    if (a.open_ended != b.open_ended) return b.open_ended;
    return !a.open_ended && a.last < b.last;
}

void WatcherIndex::measure(Range& node) {
    node.reaches_end = node.interval.open_ended;
    // If a range is open-ended, its `last` is empty, and the greatest is of no consequence.
    node.reach = &node.interval.last;
    for (const Range* child : {node.left.get(), node.right.get()}) {
        if (!child) continue;
        node.reaches_end = node.reaches_end || child->reaches_end;
        if (*child->reach > *node.reach) node.reach = child->reach;
    }
}

std::unique_ptr<WatcherIndex::Range> WatcherIndex::add_to(std::unique_ptr<Range> node, Watcher& watcher) {
    if (!node) {
        node = std::make_unique<Range>();
        node->interval = watcher.interval;
        node->priority = priority_of(watcher.interval);
        node->watchers.push_back(&watcher);
    } else if (is_before(watcher.interval, node->interval)) {
        node->left = add_to(std::move(node->left), watcher);
        if (node->left->priority > node->priority) return rotate_right(std::move(node));
    } else if (is_before(node->interval, watcher.interval)) {
        node->right = add_to(std::move(node->right), watcher);
        if (node->right->priority > node->priority) return rotate_left(std::move(node));
    } else {
        node->watchers.push_back(&watcher);
        return node;
    }
    measure(*node);
    return node;
}

std::unique_ptr<WatcherIndex::Range> WatcherIndex::remove_from(std::unique_ptr<Range> node, Watcher& watcher) {
    ENSURE(node != nullptr);
    if (is_before(watcher.interval, node->interval)) {
        node->left = remove_from(std::move(node->left), watcher);
    } else if (is_before(node->interval, watcher.interval)) {
        node->right = remove_from(std::move(node->right), watcher);
    } else {
        remove_watcher(node->watchers, watcher);
        if (node->watchers.empty()) return join(std::move(node->left), std::move(node->right));
        return node;
    }
    measure(*node);
    return node;
}

std::unique_ptr<WatcherIndex::Range> WatcherIndex::join(std::unique_ptr<Range> left, std::unique_ptr<Range> right) {
    if (!left) return right;
    if (!right) return left;
    if (left->priority > right->priority) {
        left->right = join(std::move(left->right), std::move(right));
        measure(*left);
        return left;
    }
    right->left = join(std::move(left), std::move(right->left));
    measure(*right);
    return right;
}

std::unique_ptr<WatcherIndex::Range> WatcherIndex::rotate_right(std::unique_ptr<Range> node) {
    auto top = std::move(node->left);
    node->left = std::move(top->right);
    measure(*node);
    top->right = std::move(node);
    measure(*top);
    return top;
}

std::unique_ptr<WatcherIndex::Range> WatcherIndex::rotate_left(std::unique_ptr<Range> node) {
    auto top = std::move(node->right);
    node->right = std::move(top->left);
    measure(*node);
    top->left = std::move(node);
    measure(*top);
    return top;
}

}  // namespace polis::services
