#include "cluster/restore.h"

#include <algorithm>

#include "cluster/replica_state.h"
#include "cluster/store_shelf.h"

namespace polis::cluster {

runtime::Task<void> restore_node(runtime::World world, const HostOptions& options,
                                 const std::function<Result<void>(storage::Store&)>& fill) {
    CO_LET(const std::optional<Identity> present, co_await load_identity(world));
    if (present) co_return fail(Code::Exists, "the data directory is a node's already: restore into an empty one");
    CO_LET(Identity identity, founder_identity(options));
    identity.incarnation = world.random.next();
    identity.founding = true;

    AppliedState state;
    // Any position but the first serves: the log begins after it, on all founders.
    state.position = {LogIndex(1), Ballot{.epoch = 1, .node = NodeId::Nobody}};
    for (const Member& member : founders_of(options)) state.membership.voters.push_back(member.id);
    std::ranges::sort(state.membership.voters);

    const std::unique_ptr<StoreShelf> shelf =
        options.make_shelf ? options.make_shelf(GroupId::Coord)
                           : make_disk_shelf(world, store_directory(GroupId::Coord), options.coord_store);
    CO_LET(const std::unique_ptr<storage::Store> store, co_await shelf->open_current());
    CO_TRY(fill(*store));
    storage::Overlay overlay(*store);
    save_applied_state(state, overlay);
    CO_TRY(store->flush());  // Behind with its compaction after so much, it would refuse one write more.
    CO_TRY(store->write(overlay.batch()));
    CO_TRY(store->flush());
    co_return co_await save_identity(world, identity);
}

}  // namespace polis::cluster
