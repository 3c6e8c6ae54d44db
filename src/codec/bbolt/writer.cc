#include "codec/bbolt/writer.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/bytes.h"
#include "base/ensure.h"

namespace polis::codec {
namespace {

constexpr uint32_t page_bytes = 4096;       // What every Linux server that etcd runs on can map.
constexpr BboltPageId first_data_page = 2;  // After the two metas.
constexpr size_t element_count_max = 65534;

/// The elements that go onto one page of a tree.
class PageContent {
public:
    explicit PageContent(BboltPageFlag kind) : kind_(kind) {}

    size_t count() const { return elements_.size(); }
    std::string_view first_key() const {
        ENSURE(count() > 0);
        return std::string_view(octets_).substr(0, elements_.front().key_bytes);
    }

    bool has_room(std::string_view key, std::string_view value) const {
        return count() < element_count_max && bytes() + bbolt_element_bytes + key.size() + value.size() <= page_bytes;
    }

    void add(uint64_t page_or_flags, std::string_view key, std::string_view value) {
        elements_.push_back({page_or_flags, static_cast<uint32_t>(key.size()), static_cast<uint32_t>(value.size())});
        octets_.append(key).append(value);
    }

    void clear() {
        elements_.clear();
        octets_.clear();
    }

    size_t pages() const { return (bytes() + page_bytes - 1) / page_bytes; }

    void append_to(std::string& file, BboltPageId id) const {
        const size_t begin = file.size();
        append_bbolt(file, BboltPageHeader{.id = id,
                                           .flags = kind_,
                                           .count = static_cast<uint16_t>(count()),
                                           .overflow = static_cast<uint32_t>(pages() - 1)});
        size_t position = count() * bbolt_element_bytes;  // Of the element's octets, counted from the element itself.
        for (const Element& element : elements_) {
            append_element(file, element, static_cast<uint32_t>(position));
            position = position - bbolt_element_bytes + element.key_bytes + element.value_bytes;
        }
        file += octets_;
        file.resize(begin + pages() * page_bytes);
    }

private:
    struct Element {
        uint64_t page_or_flags;  // Branch: the child. Leaf: bbolt_bucket_element or 0.
        uint32_t key_bytes;
        uint32_t value_bytes;
    };

    size_t bytes() const { return bbolt_page_header_bytes + count() * bbolt_element_bytes + octets_.size(); }

    void append_element(std::string& file, const Element& element, uint32_t position) const {
        if (kind_ == bbolt_branch_page) {
            append_bbolt(file, position);
            append_bbolt(file, element.key_bytes);
            append_bbolt(file, element.page_or_flags);
        } else {
            append_bbolt(file, static_cast<uint32_t>(element.page_or_flags));
            append_bbolt(file, position);
            append_bbolt(file, element.key_bytes);
            append_bbolt(file, element.value_bytes);
        }
    }

    BboltPageFlag kind_;
    std::vector<Element> elements_;
    std::string octets_;  // Keys and values, in order.
};

Result<void> check_pair(const std::string& bucket, const BboltPair& pair, std::string_view previous_key) {
    const auto refuse = [&](const std::string& why) {
        return fail(Code::Invalid, "bucket " + bucket + ", key " + escaped(pair.key, 32) + ": " + why);
    };
    if (pair.key.empty()) return refuse("a bbolt file holds no empty key");
    if (pair.key.size() > bbolt_key_bytes_max)
        return refuse("longer than " + std::to_string(bbolt_key_bytes_max) + " bytes");
    if (pair.value.size() > bbolt_value_bytes_max) return refuse("value too large for a bbolt file");
    if (pair.key <= previous_key) return refuse("keys do not ascend");
    return {};
}

}  // namespace

uint64_t BboltPlan::file_bytes() const { return pages * page_bytes; }

/// Numbers pages in the order in which they are written, and keeps their octets if they are wanted.
class BboltWriter::Pages {
public:
    explicit Pages(bool wanted) : wanted_(wanted) {}

    BboltPageId write(const PageContent& content) {
        const BboltPageId id = next_;
        if (wanted_) content.append_to(octets_, id);
        next_ += content.pages();
        return id;
    }

    void write_metas(const BboltPlan& plan) {
        // Both name the same root, as in a file that etcd streams: the older one is what is left if the first is
        // damaged.
        constexpr uint64_t transaction = 2;
        for (const BboltPageId id : {BboltPageId{0}, BboltPageId{1}}) {
            append_bbolt(octets_, BboltPageHeader{.id = id, .flags = bbolt_meta_page, .count = 0, .overflow = 0});
            append_bbolt(octets_, BboltMeta{.page_bytes = page_bytes,
                                            .root = plan.root,
                                            .root_sequence = 0,
                                            .freelist = bbolt_no_freelist,
                                            .high_water = plan.pages,
                                            .transaction = transaction - id});
            octets_.resize((id + 1) * page_bytes);
        }
    }

    BboltPageId next() const { return next_; }
    size_t bytes() const { return octets_.size(); }
    std::string take() { return std::exchange(octets_, {}); }

private:
    const bool wanted_;
    BboltPageId next_ = first_data_page;
    std::string octets_;
};

/// Builds one B+ tree from elements in key order, bottom up. A page is written once it is full, and its parent learns
/// its number then, so only one page a level is in memory; the root is written last.
class BboltWriter::TreeWriter {
public:
    explicit TreeWriter(Pages& pages) : pages_(&pages) { levels_.emplace_back(bbolt_leaf_page); }

    void add(uint32_t flags, std::string_view key, std::string_view value) { add_at(0, flags, key, value); }

    /// Writes what is left and returns the root's number. REQUIRES: nothing is added afterwards.
    BboltPageId finish() {
        size_t level = 0;
        while (level + 1 < levels_.size()) write_page(level++);
        return pages_->write(levels_[level]);
    }

private:
    void add_at(size_t level, uint64_t page_or_flags, std::string_view key, std::string_view value) {
        if (level == levels_.size()) levels_.emplace_back(bbolt_branch_page);
        // A branch with one child would not make the tree narrower: keys near the page's size could go on for ever.
        const size_t count_min = level == 0 ? 1 : 2;
        if (levels_[level].count() >= count_min && !levels_[level].has_room(key, value)) write_page(level);
        levels_[level].add(page_or_flags, key, value);
    }

    void write_page(size_t level) {
        const BboltPageId id = pages_->write(levels_[level]);
        const std::string key(levels_[level].first_key());
        levels_[level].clear();
        add_at(level + 1, id, key, {});
    }

    Pages* pages_;
    std::vector<PageContent> levels_;  // From the leaves up; each holds the page that is being filled.
};

/// Goes through all buckets in order and writes their trees, then the root's.
class BboltWriter::Walk {
public:
    Walk(const std::vector<BboltBucket>& buckets, Pages& pages) : buckets_(buckets), pages_(pages), root_(pages) {}

    /// Takes one pair, or ends a bucket. The root's number after the last.
    Result<std::optional<BboltPageId>> step() {
        if (at_ == buckets_.size()) return root_.finish();
        if (!pairs_) TRY(begin_bucket());
        LET(const std::optional<BboltPair> pair, pairs_->next());
        if (!pair) {
            end_bucket();
            return std::optional<BboltPageId>();
        }
        TRY(check_pair(buckets_[at_].name, *pair, key_));
        key_ = pair->key;
        tree_->add(0, pair->key, pair->value);
        return std::optional<BboltPageId>();
    }

private:
    Result<void> begin_bucket() {
        const std::string& name = buckets_[at_].name;
        ENSURE(!name.empty() && name.size() <= bbolt_key_bytes_max);
        ENSURE(at_ == 0 || buckets_[at_ - 1].name < name);
        LET(pairs_, buckets_[at_].open());
        ENSURE(pairs_);
        tree_.emplace(pages_);
        key_.clear();
        return {};
    }

    void end_bucket() {
        std::string value;
        append_bbolt(value, tree_->finish());
        append_bbolt(value, uint64_t{0});  // Sequence: etcd uses none.
        root_.add(bbolt_bucket_element, buckets_[at_].name, value);
        pairs_.reset();
        ++at_;
    }

    const std::vector<BboltBucket>& buckets_;
    Pages& pages_;
    TreeWriter root_;
    size_t at_ = 0;                           // The bucket under way ...
    std::unique_ptr<BboltPairSource> pairs_;  // ... null before its first pair.
    std::optional<TreeWriter> tree_;
    std::string key_;  // The last one of the bucket.
};

Result<BboltPlan> plan_bbolt(const std::vector<BboltBucket>& buckets) {
    BboltWriter::Pages pages(false);
    BboltWriter::Walk walk(buckets, pages);
    for (;;) {
        LET(const std::optional<BboltPageId> root, walk.step());
        if (root) return BboltPlan{.root = *root, .pages = pages.next()};
    }
}

BboltWriter::BboltWriter(std::vector<BboltBucket> buckets, const BboltPlan& plan)
    : plan_(plan), buckets_(std::move(buckets)), pages_(std::make_unique<Pages>(true)) {
    ENSURE(plan_.root >= first_data_page && plan_.root < plan_.pages);
    walk_ = std::make_unique<Walk>(buckets_, *pages_);
    pages_->write_metas(plan_);
}

BboltWriter::~BboltWriter() = default;

Result<std::string> BboltWriter::next(size_t bytes_min) {
    while (!ended_ && pages_->bytes() < std::max<size_t>(bytes_min, 1)) {
        LET(const std::optional<BboltPageId> root, walk_->step());
        const bool too_long = pages_->next() > plan_.pages;
        if (too_long || (root && BboltPlan{.root = *root, .pages = pages_->next()} != plan_)) {
            return fail(Code::Stale, "the pairs changed between planning and writing the bbolt file; start again");
        }
        ended_ = root.has_value();
    }
    return pages_->take();
}

}  // namespace polis::codec
