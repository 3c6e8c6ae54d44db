// A watch's message on the wire: its head encoded per watcher, its events copied once as they were encoded for all.
#pragma once

#include "services/coord/api.h"

namespace polis::gateways {

/// The octets of the WatchResponse that `message` stands for. `node`: the header whose cluster, member and term it carries;
/// the revision is the message's own.
Bytes encode_watch_message(services::WatchMessage message, const etcdserverpb::ResponseHeader& node);

}  // namespace polis::gateways
