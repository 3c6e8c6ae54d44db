// Gathered: batches that were written to a store and wait to be handed to the database below it as one sorted batch.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "storage/kv/overlay.h"
#include "storage/kv/store.h"

namespace polis::storage {

/// The last change of one key. Views into the batch that it comes from.
struct KeyChange {
    std::string_view key;
    std::string_view value;
    bool removed = false;
};

/// What `batch` does to each of its keys in the end, in key order. REQUIRES: it removes no range.
std::vector<KeyChange> final_changes(const Batch& batch);

/// A view with the changes of a batch on top.
class PatchedView final : public View {
public:
    PatchedView(std::shared_ptr<const View> base, const Batch& batch);

    Result<std::optional<std::string>> get(std::string_view key) const override { return overlay_.get(key); }
    std::unique_ptr<Cursor> cursor(const KeyRange& range) const override { return overlay_.cursor(range); }

private:
    const std::shared_ptr<const View> base_;
    Overlay overlay_;
};

/// A cursor over `base` that keeps it alive.
std::unique_ptr<Cursor> cursor_keeping(std::shared_ptr<const Readable> base, const KeyRange& range);

}  // namespace polis::storage
