#include "codec/bbolt/reader.h"

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "base/ensure.h"
#include "base/hash.h"

namespace polis::codec {
namespace {

std::unexpected<Error> damaged(const std::string& what) {
    return fail(Code::Corrupt, "the bbolt file is damaged: " + what + "; use another copy or an older snapshot");
}

std::unexpected<Error> damaged_page(BboltPageId id, const std::string& what) {
    return damaged("page " + std::to_string(id) + ": " + what);
}

struct MetaPage {
    BboltPageHeader header;
    std::optional<BboltMeta> meta;
};

/// Whatever is at `offset`; no meta if it is none or lies beyond the file.
Result<MetaPage> read_meta(const BboltSource& source, uint64_t offset) {
    if (source.bytes() < offset || source.bytes() - offset < bbolt_page_header_bytes + bbolt_meta_bytes)
        return MetaPage{};
    LET(const std::string octets, source.read(offset, bbolt_page_header_bytes + bbolt_meta_bytes));
    const std::string_view view(octets);
    return MetaPage{.header = load_bbolt_page_header(view),
                    .meta = load_bbolt_meta(view.substr(bbolt_page_header_bytes))};
}

/// The newest valid meta. The second's place depends on the page size, which the first says; if the first is damaged,
/// every size is tried.
Result<BboltMeta> newest_meta(const BboltSource& source) {
    LET(MetaPage first, read_meta(source, 0));
    if (first.header.flags != bbolt_meta_page) first.meta.reset();
    std::optional<BboltMeta> newest = first.meta;
    for (uint32_t page_bytes = 1024; page_bytes <= 65536; page_bytes *= 2) {
        if (first.meta && first.meta->page_bytes != page_bytes) continue;
        LET(const MetaPage second, read_meta(source, page_bytes));
        const bool valid =
            second.meta && second.meta->page_bytes == page_bytes && second.header.flags == bbolt_meta_page;
        if (valid && (!newest || second.meta->transaction > newest->transaction)) newest = second.meta;
    }
    if (!newest) return damaged("neither meta page is valid; is it a bbolt file?");
    return *newest;
}

}  // namespace

/// Which pages a walk has been to.
struct BboltCursor::UsedPages {
    explicit UsedPages(BboltPageId high_water) : used(high_water) {}

    std::vector<bool> used;
    uint64_t count = 0;

    /// REQUIRES: first + pages <= high water.
    bool take(BboltPageId first, uint64_t pages) {
        for (BboltPageId id = first; id < first + pages; ++id) {
            if (used[id]) return false;
            used[id] = true;
        }
        count += pages;
        return true;
    }
};

/// A branch or leaf page that has been read and verified.
struct BboltCursor::Page {
    BboltPageId id = 0;
    BboltPageHeader header;
    std::string octets;

    bool is_leaf() const { return header.flags == bbolt_leaf_page; }

    struct Element {
        uint32_t flags = 0;     // Leaf only.
        BboltPageId child = 0;  // Branch only.
        uint64_t begin = 0;     // Of the key; the value follows.
        uint64_t key_bytes = 0;
        uint64_t value_bytes = 0;
    };

    /// REQUIRES: index < header.count; verify() has passed.
    Element element(size_t index) const {
        const size_t at = bbolt_page_header_bytes + index * bbolt_element_bytes;
        if (is_leaf()) {
            return {.flags = load_bbolt_u32(octets, at),
                    .child = 0,
                    .begin = at + load_bbolt_u32(octets, at + 4),
                    .key_bytes = load_bbolt_u32(octets, at + 8),
                    .value_bytes = load_bbolt_u32(octets, at + 12)};
        }
        return {.flags = 0,
                .child = load_bbolt_u64(octets, at + 8),
                .begin = at + load_bbolt_u32(octets, at),
                .key_bytes = load_bbolt_u32(octets, at + 4),
                .value_bytes = 0};
    }

    std::string_view key(const Element& element) const {
        return std::string_view(octets).substr(element.begin, element.key_bytes);
    }

    std::string_view value(const Element& element) const {
        return std::string_view(octets).substr(element.begin + element.key_bytes, element.value_bytes);
    }

    /// Checks that elements lie within the page, one after the other: were they to overlap, a small file could stand
    /// for more octets than any disk holds.
    Result<void> verify() const {
        if (header.flags != bbolt_leaf_page && header.flags != bbolt_branch_page)
            return damaged_page(id, "is no part of a tree");
        if (!is_leaf() && header.count == 0) return damaged_page(id, "a branch without children");
        uint64_t end = bbolt_page_header_bytes + header.count * bbolt_element_bytes;
        if (end > octets.size()) return damaged_page(id, "more elements than it has room for");
        for (size_t i = 0; i < header.count; ++i) {
            const Element at = element(i);
            if (at.key_bytes == 0 || at.key_bytes > bbolt_key_bytes_max)
                return damaged_page(id, "a key's length is impossible");
            if (at.begin < end) return damaged_page(id, "elements overlap");
            end = at.begin + at.key_bytes + at.value_bytes;
            if (end > octets.size()) return damaged_page(id, "an element lies outside");
        }
        return {};
    }
};

struct BboltCursor::Place {
    Page page;
    size_t next = 0;  // The element to go to.
};

BboltCursor::BboltCursor(const BboltReader& reader, std::shared_ptr<UsedPages> used, uint32_t nesting)
    : reader_(&reader), used_(std::move(used)), nesting_(nesting) {}
BboltCursor::BboltCursor(BboltCursor&&) noexcept = default;
BboltCursor& BboltCursor::operator=(BboltCursor&&) noexcept = default;
BboltCursor::~BboltCursor() = default;

Result<std::optional<BboltEntry>> BboltCursor::next() {
    while (!path_.empty()) {
        Place& place = path_.back();
        if (place.next == place.page.header.count) {
            path_.pop_back();
            continue;
        }
        const Page::Element element = place.page.element(place.next++);
        const std::string_view key = place.page.key(element);
        TRY(check_key(key));
        if (place.page.is_leaf()) {
            floor_taken_ = true;
            return BboltEntry{.key = key,
                              .value = place.page.value(element),
                              .is_bucket = (element.flags & bbolt_bucket_element) != 0};
        }
        TRY(enter(element.child));
    }
    return std::optional<BboltEntry>();
}

Result<BboltCursor> BboltCursor::bucket(const BboltEntry& entry) const {
    ENSURE(entry.is_bucket);
    if (nesting_ + 1 > reader_->limits_.nesting_max) {
        return fail(Code::Invalid,
                    "buckets are nested more than " + std::to_string(reader_->limits_.nesting_max) + " deep");
    }
    if (entry.value.size() < bbolt_bucket_header_bytes)
        return damaged("bucket " + escaped(entry.key) + " has no header");
    BboltCursor cursor(*reader_, used_, nesting_ + 1);
    if (const BboltPageId id = load_bbolt_u64(entry.value, 0); id != 0) {
        TRY(cursor.enter(id));
        return cursor;
    }
    // Inline: a page without a number follows the header.
    Page page;
    page.octets = entry.value.substr(bbolt_bucket_header_bytes);
    if (page.octets.size() < bbolt_page_header_bytes) return damaged("inline bucket " + escaped(entry.key) + " is cut");
    page.header = load_bbolt_page_header(page.octets);
    if (!page.is_leaf()) return damaged("inline bucket " + escaped(entry.key) + " is no leaf");
    TRY(cursor.enter(std::move(page)));
    return cursor;
}

/// Keys never fall, and a leaf's keys never repeat. A branch's key may equal the first key below it.
Result<void> BboltCursor::check_key(std::string_view key) {
    if (key < floor_ || (floor_taken_ && key == floor_)) return damaged("keys do not ascend at " + escaped(key));
    floor_ = key;
    floor_taken_ = false;
    return {};
}

Result<void> BboltCursor::enter(BboltPageId id) {
    const BboltMeta& meta = reader_->meta_;
    if (path_.size() >= reader_->limits_.depth_max) return damaged_page(id, "the tree is too deep");
    if (id < 2 || id >= meta.high_water) return damaged_page(id, "does not exist");
    const uint64_t offset = id * meta.page_bytes;
    LET(const std::string head, reader_->source_->read(offset, bbolt_page_header_bytes));
    Page page;
    page.id = id;
    page.header = load_bbolt_page_header(head);
    if (page.header.id != id) return damaged_page(id, "carries number " + std::to_string(page.header.id));
    const uint64_t pages = uint64_t{page.header.overflow} + 1;
    if (pages > meta.high_water - id) return damaged_page(id, "goes on beyond the file");
    const uint64_t bytes = pages * meta.page_bytes;
    if (bytes > reader_->limits_.page_bytes_max) {
        return fail(Code::Invalid, "page " + std::to_string(id) + " of the bbolt file has " + std::to_string(bytes) +
                                       " bytes, the limit is " + std::to_string(reader_->limits_.page_bytes_max));
    }
    if (!used_->take(id, pages)) return damaged_page(id, "is used twice");
    LET(page.octets, reader_->source_->read(offset, bytes));
    return enter(std::move(page));
}

Result<void> BboltCursor::enter(Page page) {
    TRY(page.verify());
    path_.push_back({std::move(page), 0});
    return {};
}

Result<BboltReader> BboltReader::open(const BboltSource& source, BboltLimits limits) {
    LET(const BboltMeta meta, newest_meta(source));
    const uint64_t pages_there = source.bytes() / meta.page_bytes;
    if (meta.high_water > pages_there) {
        return damaged("it should have " + std::to_string(meta.high_water) + " pages but has " +
                       std::to_string(pages_there));
    }
    if (meta.root < 2 || meta.root >= meta.high_water) return damaged("its root does not exist");
    return BboltReader(source, meta, limits);
}

Result<BboltCursor> BboltReader::root() const {
    auto used = std::make_shared<BboltCursor::UsedPages>(meta_.high_water);
    ENSURE(used->take(0, 2));  // The metas.
    BboltCursor cursor(*this, std::move(used), 0);
    TRY(cursor.enter(meta_.root));
    return cursor;
}

/// One walk over everything, and the figures of it so far.
class BboltSumming {
public:
    explicit BboltSumming(const BboltReader& reader) : reader_(reader) {}

    Result<BboltSummary> run() {
        LET(BboltCursor root, reader_.root());
        for (;;) {
            LET(const std::optional<BboltEntry> entry, root.next());
            if (!entry) break;
            summary_.hash = crc32c(entry->key, summary_.hash);
            if (!entry->is_bucket) continue;
            LET(BboltCursor pairs, root.bucket(*entry));
            TRY(add_pairs(pairs));
        }
        TRY(count_pages(*root.used_));
        return summary_;
    }

private:
    Result<void> add_pairs(BboltCursor& pairs) {
        for (;;) {
            LET(const std::optional<BboltEntry> entry, pairs.next());
            if (!entry) return {};
            ++summary_.keys;
            summary_.hash = crc32c(entry->key, summary_.hash);
            if (!entry->is_bucket) {
                summary_.hash = crc32c(entry->value, summary_.hash);
            } else {
                LET(BboltCursor inner, pairs.bucket(*entry));
                TRY(visit_only(inner));
            }
        }
    }

    /// For the pages that are used; bounded by nesting_max.
    static Result<void> visit_only(BboltCursor& pairs) {
        for (;;) {
            LET(const std::optional<BboltEntry> entry, pairs.next());
            if (!entry) return {};
            if (!entry->is_bucket) continue;
            LET(BboltCursor inner, pairs.bucket(*entry));
            TRY(visit_only(inner));
        }
    }

    Result<void> count_pages(BboltCursor::UsedPages& used) {
        const BboltMeta& meta = reader_.meta_;
        if (meta.freelist == bbolt_no_freelist) {
            summary_.pages_used = used.count;
            summary_.pages_free = meta.high_water - used.count;
            return {};
        }
        LET(const std::vector<BboltPageId> ids, free_pages(used));
        summary_.pages_used = used.count;
        for (const BboltPageId id : ids) {
            if (id < 2 || id >= meta.high_water) return damaged_page(id, "is listed as free but does not exist");
            if (!used.take(id, 1)) return damaged_page(id, "is listed as free but used, or listed twice");
        }
        summary_.pages_free = ids.size();
        summary_.pages_lost = meta.high_water - used.count;
        return {};
    }

    Result<std::vector<BboltPageId>> free_pages(BboltCursor::UsedPages& used) {
        const BboltMeta& meta = reader_.meta_;
        const BboltPageId id = meta.freelist;
        if (id < 2 || id >= meta.high_water) return damaged_page(id, "should be the freelist but does not exist");
        const uint64_t offset = id * meta.page_bytes;
        LET(const std::string head, reader_.source_->read(offset, bbolt_page_header_bytes + 8));
        const BboltPageHeader header = load_bbolt_page_header(head);
        const uint64_t pages = uint64_t{header.overflow} + 1;
        if (header.id != id || header.flags != bbolt_freelist_page || pages > meta.high_water - id) {
            return damaged_page(id, "is no freelist");
        }
        if (pages * meta.page_bytes > reader_.limits_.page_bytes_max) {
            return fail(Code::Invalid, "the freelist of the bbolt file has " + std::to_string(pages * meta.page_bytes) +
                                           " bytes, the limit is " + std::to_string(reader_.limits_.page_bytes_max));
        }
        if (!used.take(id, pages)) return damaged_page(id, "is used twice");
        // A count that does not fit its 16 bits stands before the ids.
        const bool counted_apart = header.count == 0xffff;
        const uint64_t count = counted_apart ? load_bbolt_u64(head, bbolt_page_header_bytes) : header.count;
        const uint64_t begin = bbolt_page_header_bytes + (counted_apart ? 8 : 0);
        if (count > (pages * meta.page_bytes - begin) / 8) return damaged_page(id, "a freelist longer than its page");
        LET(const std::string octets, reader_.source_->read(offset + begin, count * 8));
        std::vector<BboltPageId> ids(count);
        for (size_t i = 0; i < count; ++i) ids[i] = load_bbolt_u64(octets, i * 8);
        return ids;
    }

    const BboltReader& reader_;
    BboltSummary summary_;
};

Result<BboltSummary> summarize(const BboltReader& reader) { return BboltSumming(reader).run(); }

}  // namespace polis::codec
