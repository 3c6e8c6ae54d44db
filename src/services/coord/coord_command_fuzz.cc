// Fuzzes the model: any octets may stand in a log entry; none may break an invariant, and two nodes must agree on all.
#include <algorithm>
#include <cstdint>
#include <string_view>
#include <utility>

#include "base/ensure.h"
#include "services/coord/model.h"
#include "storage/kv/memory_store.h"

namespace polis {
namespace {

/// A node: applies commands, in batches of its own size.
class Node {
public:
    explicit Node(size_t cache_bytes) : model_(cache_bytes), overlay_(store_) {
        ENSURE(model_.load(store_).has_value());
    }
    Bytes apply(Bytes command) {
        cluster::Envelope envelope;
        envelope.command = std::move(command);
        return model_.apply(index_ = index_.next(), envelope, overlay_).reply;
    }
    void commit() {
        model_.end_batch(overlay_);
        ENSURE(store_.write(overlay_.batch()).has_value());
        overlay_.clear();
        model_.committed(index_);
    }
    uint64_t hash() const { return store_.hash({}).value(); }

private:
    storage::MemoryStore store_;
    services::CoordModel model_;
    storage::Overlay overlay_;
    LogIndex index_;
};

}  // namespace

/// The input is a sequence of commands, each after its length in one octet.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    std::string_view rest(reinterpret_cast<const char*>(data), size);
    Node one_by_one(1u << 20);
    Node batched(0);
    for (size_t count = 0; !rest.empty(); ++count) {
        const size_t length = static_cast<uint8_t>(rest.front());
        const Bytes command = Bytes::copy(rest.substr(1, length));
        rest.remove_prefix(std::min(rest.size(), 1 + length));
        ENSURE(one_by_one.apply(command) == batched.apply(command));
        one_by_one.commit();
        if (count % 3 == 2) batched.commit();
    }
    batched.commit();
    ENSURE(one_by_one.hash() == batched.hash());
    return 0;
}

}  // namespace polis
