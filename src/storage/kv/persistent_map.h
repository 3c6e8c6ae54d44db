// PersistentMap: an ordered map of octets whose copies are free and share what has not changed since.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "storage/kv/store.h"

namespace polis::storage {

/// A treap (Seidel and Aragon 1996) whose nodes are shared between copies: copying costs one increment, and a change
/// copies the nodes on its path only while another copy holds them. A node's priority is a hash of its key, so equal
/// contents have equal shapes whatever the order of changes. Different copies may be used by different threads.
class PersistentMap {
    struct Node;

    /// Counts who holds a node.
    class Link {
    public:
        Link() = default;
        explicit Link(Node* node) : node_(node) {}  // Takes over the count that a new node starts with.
        Link(const Link& other) noexcept;
        Link(Link&& other) noexcept : node_(std::exchange(other.node_, nullptr)) {}
        Link& operator=(Link other) noexcept {
            std::swap(node_, other.node_);
            return *this;
        }
        ~Link();
        explicit operator bool() const { return node_ != nullptr; }
        Node* operator->() const { return node_; }
        const Node* get() const { return node_; }

    private:
        Node* node_ = nullptr;
    };

public:
    /// A pair's place in one map. REQUIRES: the map is neither changed nor gone while it is used.
    class Position {
    public:
        explicit Position(const PersistentMap& map) : map_(&map) {}
        void seek(std::string_view key);         // To the first key >= `key`.
        void seek_before(std::string_view key);  // To the last key < `key`.
        void seek_last();
        void next();      // REQUIRES: valid().
        void previous();  // REQUIRES: valid().
        bool valid() const { return !path_.empty(); }
        std::string_view key() const;    // REQUIRES: valid().
        std::string_view value() const;  // REQUIRES: valid().

    private:
        void descend_left(const Node* node);
        void descend_right(const Node* node);

        const PersistentMap* map_;
        std::vector<const Node*> path_;  // From the root to the pair; empty: at none.
    };

    /// The value, or null. Lives until the map changes.
    const Bytes* find(std::string_view key) const;
    void put(std::string_view key, std::string_view value);
    void remove(std::string_view key);
    void remove_range(const KeyRange& range);

    /// Of all keys and values.
    uint64_t bytes() const;

private:
    static Link owned(Link link);
    static void add_up(Node& node);
    static Link put(Link tree, Link pair);
    static Link remove(Link tree, std::string_view key);
    static std::pair<Link, Link> split(Link tree, std::string_view key);
    static Link join(Link less, Link more);

    Link root_;
};

}  // namespace polis::storage
