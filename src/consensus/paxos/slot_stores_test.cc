#include "consensus/paxos/slot_stores.h"

#include <gtest/gtest.h>

namespace polis::consensus {
namespace {

Entry entry(uint64_t slot, uint64_t epoch) {
    return {LogIndex(slot), {epoch, NodeId{1}}, EntryKind::Command, Bytes::copy("entry")};
}
LogWrite write(std::vector<Entry> entries) {
    LogWrite made;
    made.entries = std::move(entries);
    return made;
}

TEST(SlotStores, KnowTheLowestSlotThatIsNotDurable) {
    SlotStores stores;
    const StoreToken first = stores.add(write({entry(5, 1), entry(6, 1)}))->token;
    const StoreToken second = stores.add(write({entry(2, 2)}))->token;
    EXPECT_EQ(stores.lowest_open(LogIndex(0)), LogIndex(2));
    EXPECT_EQ(stores.lowest_open(LogIndex(5)), LogIndex(6));
    EXPECT_EQ(stores.stored(first).size(), 2u);
    EXPECT_TRUE(stores.is_durable(first));
    EXPECT_FALSE(stores.is_durable(second));
    EXPECT_EQ(stores.stored(second), (std::vector{entry(2, 2)}));
    EXPECT_EQ(stores.lowest_open(LogIndex(0)), std::nullopt);
    EXPECT_TRUE(stores.is_idle());
}

TEST(SlotStores, GiveTheNewestOfEachSlotAfterARefusal) {
    SlotStores stores;
    const StoreToken refused = stores.add(write({entry(1, 1), entry(2, 1)}))->token;
    stores.add(write({entry(2, 2), entry(3, 2)}));
    stores.refused(refused);
    EXPECT_TRUE(stores.out_of_space());
    EXPECT_FALSE(stores.add(write({entry(1, 3)})).has_value());
    EXPECT_FALSE(stores.is_durable(refused));
    const std::optional<Store> retry =
        stores.retry({.promised = {3, NodeId{1}}, .voted_for = {}, .current_epoch = 0, .committed = {}});
    ASSERT_TRUE(retry.has_value());
    EXPECT_EQ(retry->write.entries, (std::vector{entry(1, 3), entry(2, 2), entry(3, 2)}));
    EXPECT_EQ(retry->write.hard_state->promised.epoch, 3u);
    EXPECT_FALSE(stores.retry({}).has_value());
    stores.stored(retry->token);
    EXPECT_TRUE(stores.is_durable(refused));
    EXPECT_FALSE(stores.out_of_space());
}

TEST(SlotStores, ForgetRefusedSlotsWhenTheLogBeginsAnew) {
    SlotStores stores;
    stores.refused(stores.add(write({entry(1, 1)}))->token);
    LogWrite reset;
    reset.reset_to = LogPosition{LogIndex(9), {2, NodeId{1}}};
    EXPECT_FALSE(stores.add(std::move(reset)).has_value());
    const std::optional<Store> retry = stores.retry({});
    EXPECT_TRUE(retry->write.entries.empty());
    EXPECT_EQ(retry->write.reset_to->index, LogIndex(9));
}

}  // namespace
}  // namespace polis::consensus
