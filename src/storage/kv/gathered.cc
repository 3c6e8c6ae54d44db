#include "storage/kv/gathered.h"

#include <algorithm>
#include <utility>

#include "base/ensure.h"

namespace polis::storage {
namespace {

class KeepingCursor final : public Cursor {
public:
    KeepingCursor(std::shared_ptr<const Readable> base, const KeyRange& range)
        : base_(std::move(base)), cursor_(base_->cursor(range)) {}

    void seek(std::string_view key) override { cursor_->seek(key); }
    void seek_before(std::string_view key) override { cursor_->seek_before(key); }
    bool valid() const override { return cursor_->valid(); }
    void next() override { cursor_->next(); }
    void previous() override { cursor_->previous(); }
    std::string_view key() const override { return cursor_->key(); }
    std::string_view value() const override { return cursor_->value(); }
    Result<void> status() const override { return cursor_->status(); }

private:
    const std::shared_ptr<const Readable> base_;
    const std::unique_ptr<Cursor> cursor_;
};

}  // namespace

std::vector<KeyChange> final_changes(const Batch& batch) {
    ENSURE(batch.range_removals() == 0);
    std::vector<KeyChange> changes;
    changes.reserve(batch.count());
    batch.for_each([&](Batch::Kind kind, std::string_view key, std::string_view value) {
        changes.push_back({key, value, kind == Batch::Kind::Remove});
    });
    // The changes of a key stay in their order, which is that of their octets in the batch.
    std::ranges::sort(changes, [](const KeyChange& a, const KeyChange& b) {
        const int order = a.key.compare(b.key);
        return order != 0 ? order < 0 : a.key.data() < b.key.data();
    });
    size_t kept = 0;
    for (size_t i = 0; i < changes.size(); ++i) {
        const bool superseded = i + 1 < changes.size() && changes[i + 1].key == changes[i].key;
        if (!superseded) changes[kept++] = changes[i];
    }
    changes.resize(kept);
    return changes;
}

PatchedView::PatchedView(std::shared_ptr<const View> base, const Batch& batch)
    : base_(std::move(base)), overlay_(*base_) {
    for (const KeyChange& change : final_changes(batch)) {
        if (change.removed) {
            overlay_.remove(change.key);
        } else {
            overlay_.put(change.key, change.value);
        }
    }
}

std::unique_ptr<Cursor> cursor_keeping(std::shared_ptr<const Readable> base, const KeyRange& range) {
    return std::make_unique<KeepingCursor>(std::move(base), range);
}

}  // namespace polis::storage
