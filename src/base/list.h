// List: an intrusive doubly linked list whose members take themselves out when they die.
#pragma once

namespace polis {

/// Base of what can be in one List at a time. `Tag` tells lists apart if a class is in several.
template <class Tag = void>
class Linked {
public:
    Linked() = default;
    Linked(const Linked&) = delete;
    Linked& operator=(const Linked&) = delete;
    ~Linked() { unlink(); }

    bool is_linked() const { return next_ != this; }

    /// Takes this out of its list; nothing if it is in none.
    void unlink() {
        next_->previous_ = previous_;
        previous_->next_ = next_;
        next_ = previous_ = this;
    }

private:
    template <class T, class U>
    friend class List;
    Linked* next_ = this;
    Linked* previous_ = this;
};

/// Members in the order added. Owns nothing. Members still in it when it dies are unlinked.
template <class T, class Tag = void>
class List {
public:
    List() = default;
    List(const List&) = delete;
    List& operator=(const List&) = delete;
    ~List() {
        while (!empty()) head_.next_->unlink();
    }

    bool empty() const { return !head_.is_linked(); }
    /// REQUIRES: not empty.
    T& front() { return static_cast<T&>(*head_.next_); }

    /// Adds `member` at the end. REQUIRES: it is in no list.
    void push_back(Linked<Tag>& member) { insert_before(head_, member); }

    /// Moves all members of `other` to the end of this one.
    void splice(List& other) {
        while (!other.empty()) {
            Linked<Tag>& member = *other.head_.next_;
            member.unlink();
            push_back(member);
        }
    }

    /// Calls `visit(T&)` for each; it may unlink the member it is given, no other.
    template <class Visit>
    void for_each(Visit visit) {
        for (Linked<Tag>* at = head_.next_; at != &head_;) {
            Linked<Tag>* next = at->next_;
            visit(static_cast<T&>(*at));
            at = next;
        }
    }

private:
    static void insert_before(Linked<Tag>& place, Linked<Tag>& member) {
        member.previous_ = place.previous_;
        member.next_ = &place;
        place.previous_->next_ = &member;
        place.previous_ = &member;
    }
    Linked<Tag> head_;
};

}  // namespace polis
