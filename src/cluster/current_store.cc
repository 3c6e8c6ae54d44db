#include "cluster/current_store.h"

#include "storage/kv/gathered.h"

namespace polis::cluster {
namespace {

// Members are destroyed from the last to the first: the view goes before its store.
struct HeldView {
    std::shared_ptr<storage::Store> store;
    std::shared_ptr<const storage::View> view;
};

}  // namespace

std::unique_ptr<storage::Cursor> CurrentStore::cursor(const storage::KeyRange& range) const {
    return storage::cursor_keeping(in_use(), range);
}

std::shared_ptr<const storage::View> CurrentStore::view() const {
    const auto held = std::make_shared<HeldView>();
    held->store = in_use();
    held->view = held->store->view();
    return {held, held->view.get()};
}

}  // namespace polis::cluster
