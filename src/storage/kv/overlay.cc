#include "storage/kv/overlay.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

#include "base/ensure.h"

namespace polis::storage {

Overlay::Overlay(const Readable& base) : base_(base), arena_(first_block_.data(), first_block_.size()) {
    changes_.emplace(&arena_);
    removed_ranges_.emplace(&arena_);
}

Overlay::~Overlay() = default;

Result<std::optional<std::string>> Overlay::get(std::string_view key) const {
    index();
    if (const auto found = changes_->find(key); found != changes_->end()) {
        if (!found->second) return std::optional<std::string>();
        return std::optional<std::string>(*found->second);
    }
    if (removed_range_of(key) != removed_ranges_->end()) return std::optional<std::string>();
    return base_.get(key);
}

void Overlay::put(std::string_view key, std::string_view value_head, std::string_view value_tail) {
    ++version_;
    batch_.put(key, value_head, value_tail);
}

void Overlay::remove(std::string_view key) {
    ++version_;
    batch_.remove(key);
}

void Overlay::remove_range(const KeyRange& range) {
    ++version_;
    batch_.remove_range(range);
}

void Overlay::clear() {
    ++version_;
    batch_.clear();
    if (indexed_bytes_ > 0) drop_index();
}

// ---- The index ----

void Overlay::index() const {
    batch_.for_each(
        [this](Batch::Kind kind, std::string_view key, std::string_view value) {
            switch (kind) {
                case Batch::Kind::Put: return index_change(key, value);
                case Batch::Kind::Remove: return index_change(key, std::nullopt);
                case Batch::Kind::RemoveRange: return index_removed_range(key, value);
            }
        },
        indexed_bytes_);
    indexed_bytes_ = batch_.bytes();
}

void Overlay::drop_index() {
    indexed_bytes_ = 0;
    changes_.reset();
    removed_ranges_.reset();
    arena_.release();
    changes_.emplace(&arena_);
    removed_ranges_.emplace(&arena_);
}

void Overlay::index_change(std::string_view key, std::optional<std::string_view> value) const {
    if (value) value = keep(*value);
    const auto place = changes_->lower_bound(key);
    if (place != changes_->end() && place->first == key) {
        place->second = value;
    } else {
        changes_->emplace_hint(place, keep(key), value);
    }
}

void Overlay::index_removed_range(std::string_view first, std::string_view last) const {
    const auto end = last.empty() ? changes_->end() : changes_->lower_bound(last);
    changes_->erase(changes_->lower_bound(first), end);

    // Ranges that touch or overlap the new one grow into one, so that they stay disjoint.
    auto at = removed_ranges_->upper_bound(first);
    if (at != removed_ranges_->begin()) {
        const auto before = std::prev(at);
        if (before->second.empty() || before->second >= first) at = before;
    }
    while (at != removed_ranges_->end() && (last.empty() || at->first <= last)) {
        first = std::min(first, at->first);
        if (!last.empty() && (at->second.empty() || at->second > last)) last = at->second;
        at = removed_ranges_->erase(at);
    }
    removed_ranges_->emplace(keep(first), keep(last));
}

std::string_view Overlay::keep(std::string_view octets) const {
    if (octets.empty()) return {};
    char* copy = static_cast<char*>(arena_.allocate(octets.size(), 1));
    std::memcpy(copy, octets.data(), octets.size());
    return {copy, octets.size()};
}

Overlay::RemovedRanges::const_iterator Overlay::removed_range_of(std::string_view key) const {
    if (removed_ranges_->empty()) return removed_ranges_->end();
    auto at = removed_ranges_->upper_bound(key);
    if (at == removed_ranges_->begin()) return removed_ranges_->end();
    --at;
    return at->second.empty() || key < at->second ? at : removed_ranges_->end();
}

/// Merges the store's pairs with the changes. Both sides stand at the pair that is next in the current direction; the
/// one that is met first is the current pair, and where both have the key, the change is.
class Overlay::MergedCursor final : public Cursor {
public:
    MergedCursor(const Overlay& overlay, const KeyRange& range)
        : overlay_(overlay),
          changes_(*overlay.changes_),
          base_(overlay.base_.cursor(range)),
          first_(range.empty() ? changes_.end() : changes_.lower_bound(range.first)),
          end_(range.empty() || range.last.empty() ? changes_.end() : changes_.lower_bound(range.last)),
          change_(end_),
          version_(overlay.version_) {}

    void seek(std::string_view key) override {
        forward_ = true;
        base_->seek(key);
        change_ = bounded(changes_.lower_bound(key), key);
        at_ = settle_forward();
    }

    void seek_before(std::string_view key) override {
        forward_ = false;
        base_->seek_before(key);
        change_ = key.empty() ? end_ : bounded(changes_.lower_bound(key), key);
        step_back();
        at_ = settle_backward();
    }

    bool valid() const override { return at_ != At::None; }

    void next() override {
        ENSURE(valid());
        if (!forward_) {
            std::string after(key());
            after.push_back('\0');  // The least key above.
            return seek(after);
        }
        if (at_ != At::Change) base_->next();
        if (at_ != At::Base) ++change_;
        at_ = settle_forward();
    }

    void previous() override {
        ENSURE(valid());
        if (forward_) {
            const std::string before(key());
            // seek_before("") means "the last of all", but nothing is before the empty key.
            if (before.empty()) {
                at_ = At::None;
                return;
            }
            return seek_before(before);
        }
        if (at_ != At::Change) base_->previous();
        if (at_ != At::Base) step_back();
        at_ = settle_backward();
    }

    std::string_view key() const override {
        ENSURE(valid());
        return at_ == At::Base ? base_->key() : change_->first;
    }

    std::string_view value() const override {
        ENSURE(valid());
        return at_ == At::Base ? base_->value() : *change_->second;
    }

    Result<void> status() const override { return base_->status(); }

private:
    enum class At : uint8_t { None, Base, Change, Both };  // Both: same key; the change is what is seen.

    /// `at`, moved into [first_, end_]. `key` is what `at` was looked up with.
    Changes::const_iterator bounded(Changes::const_iterator at, std::string_view key) const {
        if (first_ == end_ || end_is_before(key)) return end_;
        return key < first_->first ? first_ : at;
    }
    bool end_is_before(std::string_view key) const { return end_ != changes_.end() && end_->first <= key; }

    /// Backwards, before_first_ tells "no change is left" apart from standing at one.
    void step_back() {
        before_first_ = change_ == first_;
        if (!before_first_) --change_;
    }

    At settle_forward() {
        ENSURE(version_ == overlay_.version_);
        for (;;) {
            skip_removed_forward();
            const bool base = base_->valid();
            if (!base && !base_->status()) return At::None;
            if (change_ == end_) return base ? At::Base : At::None;
            const auto order = base ? change_->first.compare(base_->key()) : -1;
            if (order > 0) return At::Base;
            if (change_->second) return order == 0 ? At::Both : At::Change;
            if (order == 0) base_->next();
            ++change_;
        }
    }

    At settle_backward() {
        ENSURE(version_ == overlay_.version_);
        for (;;) {
            skip_removed_backward();
            const bool base = base_->valid();
            if (!base && !base_->status()) return At::None;
            if (before_first_) return base ? At::Base : At::None;
            const auto order = base ? change_->first.compare(base_->key()) : 1;
            if (order < 0) return At::Base;
            if (change_->second) return order == 0 ? At::Both : At::Change;
            if (order == 0) base_->previous();
            step_back();
        }
    }

    void skip_removed_forward() {
        if (overlay_.removed_ranges_->empty()) return;
        while (base_->valid()) {
            const auto range = overlay_.removed_range_of(base_->key());
            if (range == overlay_.removed_ranges_->end()) return;
            if (range->second.empty()) {
                base_->seek_before("");  // Past the last pair: nothing is left.
                if (base_->valid()) base_->next();
                return;
            }
            base_->seek(range->second);
        }
    }

    void skip_removed_backward() {
        if (overlay_.removed_ranges_->empty()) return;
        while (base_->valid()) {
            const auto range = overlay_.removed_range_of(base_->key());
            if (range == overlay_.removed_ranges_->end()) return;
            if (range->first.empty()) {
                base_->seek("");  // Before the first pair: nothing is left.
                if (base_->valid()) base_->previous();
                return;
            }
            base_->seek_before(range->first);
        }
    }

    const Overlay& overlay_;
    const Changes& changes_;
    std::unique_ptr<Cursor> base_;
    Changes::const_iterator first_;  // The changes of the range: [first_, end_).
    Changes::const_iterator end_;
    Changes::const_iterator change_;  // Forward: end_ if none is left. Backward: see before_first_.
    bool before_first_ = false;
    bool forward_ = true;
    At at_ = At::None;
    uint64_t version_;
};

std::unique_ptr<Cursor> Overlay::cursor(const KeyRange& range) const {
    if (empty()) return base_.cursor(range);
    index();
    return std::make_unique<MergedCursor>(*this, range);
}

}  // namespace polis::storage
