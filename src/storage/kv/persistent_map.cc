#include "storage/kv/persistent_map.h"

#include <atomic>

#include "base/ensure.h"
#include "base/hash.h"

namespace polis::storage {

struct PersistentMap::Node {
    Node(std::string_view of_key, std::string_view of_value)
        : priority(fast_hash(of_key)),
          bytes(of_key.size() + of_value.size()),
          key(Bytes::copy(of_key)),
          value(Bytes::copy(of_value)) {}
    Node(const Node& other)
        : priority(other.priority),
          bytes(other.bytes),
          key(other.key),
          value(other.value),
          left(other.left),
          right(other.right) {}
    Node& operator=(const Node&) = delete;

    std::atomic<uint32_t> holders{1};
    const uint64_t priority;  // Not below that of any node under this one.
    uint64_t bytes;           // Of the keys and values here and below.
    const Bytes key;
    Bytes value;
    Link left;   // Keys below `key`.
    Link right;  // Keys above `key`.
};

PersistentMap::Link::Link(const Link& other) noexcept : node_(other.node_) {
    if (node_) node_->holders.fetch_add(1, std::memory_order_relaxed);
}

PersistentMap::Link::~Link() {
    if (node_ && node_->holders.fetch_sub(1, std::memory_order_acq_rel) == 1) delete node_;
}

const Bytes* PersistentMap::find(std::string_view key) const {
    const Node* node = root_.get();
    while (node) {
        const auto order = key.compare(node->key.view());
        if (order == 0) return &node->value;
        node = order < 0 ? node->left.get() : node->right.get();
    }
    return nullptr;
}

void PersistentMap::put(std::string_view key, std::string_view value) {
    root_ = put(std::move(root_), Link(new Node(key, value)));
}

void PersistentMap::remove(std::string_view key) {
    if (find(key)) root_ = remove(std::move(root_), key);
}

void PersistentMap::remove_range(const KeyRange& range) {
    if (range.empty()) return;
    auto [less, rest] = split(std::move(root_), range.first);
    Link more;
    if (!range.last.empty()) more = split(std::move(rest), range.last).second;
    root_ = join(std::move(less), std::move(more));
}

uint64_t PersistentMap::bytes() const { return root_ ? root_->bytes : 0; }

/// A node that only the caller holds and may change: the one given, or a copy of it.
PersistentMap::Link PersistentMap::owned(Link link) {
    ENSURE(link);
    // Acquire: what former holders read must not move behind our changes.
    if (link->holders.load(std::memory_order_acquire) == 1) return link;
    return Link(new Node(*link.get()));
}

void PersistentMap::add_up(Node& node) {
    node.bytes = node.key.size() + node.value.size();
    if (node.left) node.bytes += node.left->bytes;
    if (node.right) node.bytes += node.right->bytes;
}

PersistentMap::Link PersistentMap::put(Link tree, Link pair) {
    if (!tree) return pair;
    const auto order = pair->key.view().compare(tree->key.view());
    if (order != 0 && pair->priority > tree->priority) {
        auto [less, more] = split(std::move(tree), pair->key);
        pair->left = std::move(less);
        pair->right = std::move(more);
        add_up(*pair.operator->());
        return pair;
    }
    tree = owned(std::move(tree));
    if (order == 0) {
        tree->value = pair->value;
    } else if (order < 0) {
        tree->left = put(std::move(tree->left), std::move(pair));
    } else {
        tree->right = put(std::move(tree->right), std::move(pair));
    }
    add_up(*tree.operator->());
    return tree;
}

PersistentMap::Link PersistentMap::remove(Link tree, std::string_view key) {
    ENSURE(tree);
    const auto order = key.compare(tree->key.view());
    if (order == 0) return join(tree->left, tree->right);
    tree = owned(std::move(tree));
    if (order < 0) {
        tree->left = remove(std::move(tree->left), key);
    } else {
        tree->right = remove(std::move(tree->right), key);
    }
    add_up(*tree.operator->());
    return tree;
}

/// The keys below `key`, and the others.
std::pair<PersistentMap::Link, PersistentMap::Link> PersistentMap::split(Link tree, std::string_view key) {
    if (!tree) return {};
    tree = owned(std::move(tree));
    if (tree->key.view() < key) {
        auto [less, more] = split(std::move(tree->right), key);
        tree->right = std::move(less);
        add_up(*tree.operator->());
        return {std::move(tree), std::move(more)};
    }
    auto [less, more] = split(std::move(tree->left), key);
    tree->left = std::move(more);
    add_up(*tree.operator->());
    return {std::move(less), std::move(tree)};
}

/// All pairs of both. REQUIRES: every key of `less` is below every key of `more`.
PersistentMap::Link PersistentMap::join(Link less, Link more) {
    if (!less) return more;
    if (!more) return less;
    if (less->priority >= more->priority) {
        less = owned(std::move(less));
        less->right = join(std::move(less->right), std::move(more));
        add_up(*less.operator->());
        return less;
    }
    more = owned(std::move(more));
    more->left = join(std::move(less), std::move(more->left));
    add_up(*more.operator->());
    return more;
}

void PersistentMap::Position::seek(std::string_view key) {
    path_.clear();
    size_t found = 0;  // Length of the path to the least key met that is not below `key`.
    for (const Node* node = map_->root_.get(); node;) {
        path_.push_back(node);
        const bool enough = node->key.view() >= key;
        if (enough) found = path_.size();
        node = enough ? node->left.get() : node->right.get();
    }
    path_.resize(found);
}

void PersistentMap::Position::seek_before(std::string_view key) {
    path_.clear();
    size_t found = 0;  // Length of the path to the greatest key met that is below `key`.
    for (const Node* node = map_->root_.get(); node;) {
        path_.push_back(node);
        const bool below = node->key.view() < key;
        if (below) found = path_.size();
        node = below ? node->right.get() : node->left.get();
    }
    path_.resize(found);
}

void PersistentMap::Position::seek_last() {
    path_.clear();
    descend_right(map_->root_.get());
}

void PersistentMap::Position::next() {
    ENSURE(valid());
    if (const Node* right = path_.back()->right.get()) return descend_left(right);
    const Node* child = nullptr;
    do {
        child = path_.back();
        path_.pop_back();
    } while (!path_.empty() && path_.back()->right.get() == child);
}

void PersistentMap::Position::previous() {
    ENSURE(valid());
    if (const Node* left = path_.back()->left.get()) return descend_right(left);
    const Node* child = nullptr;
    do {
        child = path_.back();
        path_.pop_back();
    } while (!path_.empty() && path_.back()->left.get() == child);
}

std::string_view PersistentMap::Position::key() const {
    ENSURE(valid());
    return path_.back()->key;
}

std::string_view PersistentMap::Position::value() const {
    ENSURE(valid());
    return path_.back()->value;
}

void PersistentMap::Position::descend_left(const Node* node) {
    for (; node; node = node->left.get()) path_.push_back(node);
}

void PersistentMap::Position::descend_right(const Node* node) {
    for (; node; node = node->right.get()) path_.push_back(node);
}

}  // namespace polis::storage
