#include "consensus/parts/store_queue.h"

#include <gtest/gtest.h>

namespace polis::consensus {
namespace {

const Ballot term_1{1, NodeId::Nobody};
const Ballot term_2{2, NodeId::Nobody};

class StoreQueueTest : public testing::Test {
protected:
    StoreToken append(uint64_t index, Ballot ballot) {
        Entry entry{LogIndex(index), ballot, EntryKind::Command, Bytes::copy("entry")};
        log_.append(entry);
        LogWrite write;
        write.truncate_from = cut_;
        cut_.reset();
        write.entries.push_back(std::move(entry));
        const StoreToken token = stores_.next_token();
        stores_.add(std::move(write), {}, log_);
        return token;
    }
    void cut_from(uint64_t index) {
        log_.truncate_from(LogIndex(index));
        stores_.truncate_from(LogIndex(index));
        cut_ = LogIndex(index);
    }

    EntryLog log_;
    StoreQueue stores_;
    std::optional<LogIndex> cut_;
};

TEST_F(StoreQueueTest, RisesInOrder) {
    append(1, term_1);
    const StoreToken second = append(2, term_1);
    append(3, term_1);
    EXPECT_EQ(stores_.durable(), LogIndex(0));
    stores_.stored(second);
    EXPECT_EQ(stores_.durable(), LogIndex(2));
    EXPECT_TRUE(stores_.is_durable(second));
    EXPECT_FALSE(stores_.is_durable(second + 1));
}

// What was on its way when the log was cut becomes durable, but it is not the log's any more.
TEST_F(StoreQueueTest, CountsNothingThatWasCutMeanwhile) {
    append(1, term_1);
    const StoreToken old = append(2, term_1);
    cut_from(2);
    const StoreToken replaced = append(2, term_2);
    stores_.stored(old);
    EXPECT_EQ(stores_.durable(), LogIndex(1));
    stores_.stored(replaced);
    EXPECT_EQ(stores_.durable(), LogIndex(2));
}

TEST_F(StoreQueueTest, GivesAllThatWasRefusedAsOneStore) {
    stores_.stored(append(1, term_1));
    const StoreToken refused = append(2, term_1);
    append(3, term_1);
    stores_.refused(refused);
    EXPECT_TRUE(stores_.out_of_space());
    cut_from(3);
    append(3, term_2);  // Kept, not given: the disk is full.
    const std::optional<Store> retry = stores_.retry(log_, {});
    ASSERT_TRUE(retry.has_value());
    ASSERT_EQ(retry->write.entries.size(), 2u);
    EXPECT_EQ(retry->write.entries.back().ballot, term_2);
    EXPECT_FALSE(stores_.retry(log_, {}).has_value());
    stores_.stored(retry->token);
    EXPECT_FALSE(stores_.out_of_space());
    EXPECT_EQ(stores_.durable(), LogIndex(3));
}

TEST_F(StoreQueueTest, KeepsARefusedTokenOpenUntilItsRetryIsDone) {
    const StoreToken refused = append(1, term_1);
    stores_.refused(refused);
    const std::optional<Store> retry = stores_.retry(log_, {});
    EXPECT_FALSE(stores_.is_durable(refused));
    stores_.stored(retry->token);
    EXPECT_TRUE(stores_.is_durable(refused));
}

}  // namespace
}  // namespace polis::consensus
