#include "services/coord/watcher.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <string>

#include "base/ensure.h"
#include "codec/etcd/rpc.pb.h"

namespace polis::services {

namespace {

constexpr uint32_t events_tag = etcdserverpb::WatchResponse::kEventsFieldNumber << 3 | 2;  // Of length type.

Bytes encode(const Change& change, bool with_previous) {
    mvccpb::Event event;
    if (change.version.deleted()) {
        event.set_type(mvccpb::Event::DELETE);
        event.mutable_kv()->set_key(change.key.data(), change.key.size());
        event.mutable_kv()->set_mod_revision(change.version.revision.main);
    } else {
        fill(*event.mutable_kv(), change.key, change.version);
    }
    if (with_previous && change.previous) fill(*event.mutable_prev_kv(), change.key, *change.previous);

    std::string octets;
    const size_t bytes = event.ByteSizeLong();
    octets.reserve(bytes + 8);
    {
        google::protobuf::io::StringOutputStream out(&octets);
        google::protobuf::io::CodedOutputStream coded(&out);
        coded.WriteTag(events_tag);
        coded.WriteVarint32(static_cast<uint32_t>(bytes));
        event.SerializeWithCachedSizes(&coded);
        ENSURE(!coded.HadError());
    }
    return Bytes::take(std::move(octets));
}

}  // namespace

const Bytes& SharedEvent::encoded(bool with_previous) {
    // Without a previous version both forms are the same octets.
    std::optional<Bytes>& form = with_previous && change_.previous ? with_previous_ : plain_;
    if (!form) form = encode(change_, with_previous);
    return *form;
}

bool wants(const Watcher& watcher, const Change& change) {
    if (change.version.revision.main < watcher.next_revision) return false;
    return change.version.deleted() ? !watcher.skips_deletes : !watcher.skips_puts;
}

}  // namespace polis::services
