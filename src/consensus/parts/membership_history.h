// MembershipHistory: the memberships of the log, each in force from the entry that holds it.
#pragma once

#include <algorithm>
#include <vector>

#include "base/ensure.h"
#include "base/id.h"
#include "consensus/membership.h"
#include "consensus/parts/digest.h"

namespace polis::consensus {

/// The newest membership in the log is in force from the moment its entry is appended, committed or not (Ongaro 2014 §4.1);
/// when that entry is cut off, the one before is in force again.
/// Invariant: never empty; indexes ascend; the first is covered by what was delivered.
class MembershipHistory {
public:
    struct Item {
        LogIndex index;  // Of its entry; 0 or the snapshot's for the first one.
        Membership membership;
    };

    explicit MembershipHistory(LogIndex index = {}, Membership membership = {})
        : items_{{index, std::move(membership)}} {}

    const Membership& current() const { return items_.back().membership; }
    LogIndex current_index() const { return items_.back().index; }

    /// In force at `index`. REQUIRES: not forgotten.
    const Membership& at(LogIndex index) const {
        for (size_t at = items_.size(); at-- > 0;) {
            if (items_[at].index <= index) return items_[at].membership;
        }
        return items_.front().membership;
    }

    /// Everybody in any of them, sorted.
    std::vector<NodeId> everyone_known() const {
        std::vector<NodeId> nodes;
        for (const Item& item : items_) {
            const std::vector<NodeId> members = item.membership.everyone();
            nodes.insert(nodes.end(), members.begin(), members.end());
        }
        std::sort(nodes.begin(), nodes.end());
        nodes.erase(std::unique(nodes.begin(), nodes.end()), nodes.end());
        return nodes;
    }

    /// True if `node` votes in the newest membership, or in one since that in force at `committed`: until the newest
    /// is committed, the others may still need it.
    bool may_be_needed(NodeId node, LogIndex committed) const {
        for (size_t at = items_.size(); at-- > 0;) {
            if (items_[at].membership.votes(node)) return true;
            if (items_[at].index <= committed) return false;
        }
        return false;
    }

    void append(LogIndex index, Membership membership) {
        ENSURE(index > current_index());
        items_.push_back({index, std::move(membership)});
    }
    /// Puts back one that was unreadable. Nothing if it is known, or older than all that is.
    void restore(LogIndex index, Membership membership) {
        const auto place =
            std::find_if(items_.begin(), items_.end(), [&](const Item& item) { return item.index >= index; });
        const bool known = place != items_.end() && place->index == index;
        if (!known && place != items_.begin()) items_.insert(place, {index, std::move(membership)});
    }
    void truncate_from(LogIndex index) {
        while (items_.size() > 1 && items_.back().index >= index) items_.pop_back();
    }
    /// Those replaced at or before `index` will not be asked for again.
    void forget_before(LogIndex index) {
        size_t gone = 0;
        while (gone + 1 < items_.size() && items_[gone + 1].index <= index) ++gone;
        if (gone > 0) items_.erase(items_.begin(), items_.begin() + static_cast<ptrdiff_t>(gone));
    }

    void add_to(Digest& digest) const {
        for (const Item& item : items_) digest.add(item.index).add(item.membership);
    }

private:
    std::vector<Item> items_;
};

}  // namespace polis::consensus
