#include "cluster/current_store.h"

namespace polis::cluster {
namespace {

// Members are destroyed from the last to the first: the view goes before its store.
struct HeldView {
    std::shared_ptr<storage::Store> store;
    std::shared_ptr<const storage::View> view;
};

class HeldCursor final : public storage::Cursor {
public:
    HeldCursor(std::shared_ptr<storage::Store> store, const storage::KeyRange& range)
        : store_(std::move(store)), cursor_(store_->cursor(range)) {}

    void seek(std::string_view key) override { cursor_->seek(key); }
    void seek_before(std::string_view key) override { cursor_->seek_before(key); }
    bool valid() const override { return cursor_->valid(); }
    void next() override { cursor_->next(); }
    void previous() override { cursor_->previous(); }
    std::string_view key() const override { return cursor_->key(); }
    std::string_view value() const override { return cursor_->value(); }
    Result<void> status() const override { return cursor_->status(); }

private:
    const std::shared_ptr<storage::Store> store_;
    const std::unique_ptr<storage::Cursor> cursor_;
};

}  // namespace

std::unique_ptr<storage::Cursor> CurrentStore::cursor(const storage::KeyRange& range) const {
    return std::make_unique<HeldCursor>(in_use(), range);
}

std::shared_ptr<const storage::View> CurrentStore::view() const {
    const auto held = std::make_shared<HeldView>();
    held->store = in_use();
    held->view = held->store->view();
    return {held, held->view.get()};
}

}  // namespace polis::cluster
