// Feeds the bbolt reader with hostile files. Metas are given right checksums, or nearly every input would end there.
#include <cstdint>
#include <string>

#include "base/ensure.h"
#include "codec/bbolt/reader.h"

namespace polis::codec {
namespace {

void repair_meta(std::string& file, size_t page_begin) {
    if (file.size() < page_begin + bbolt_page_header_bytes + bbolt_meta_bytes) return;
    const size_t begin = page_begin + bbolt_page_header_bytes;
    std::string checksum;
    append_bbolt(checksum, bbolt_meta_checksum(std::string_view(file).substr(begin)));
    file.replace(begin + bbolt_meta_bytes - checksum.size(), checksum.size(), checksum);
}

/// Walks all there is. What comes out must not be more than the file could hold.
void walk(const BboltReader& reader, size_t file_bytes) {
    auto root = reader.root();
    uint64_t bytes = 0;
    while (root) {
        const auto entry = root->next();
        if (!entry || !*entry) break;
        if (!(*entry)->is_bucket) continue;
        auto bucket = root->bucket(**entry);
        while (bucket) {
            const auto pair = bucket->next();
            if (!pair || !*pair) break;
            bytes += (*pair)->key.size() + (*pair)->value.size();
        }
    }
    ENSURE(bytes <= file_bytes);
}

}  // namespace
}  // namespace polis::codec

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    namespace codec = polis::codec;
    std::string file(reinterpret_cast<const char*>(data), size);
    codec::repair_meta(file, 0);
    for (size_t page_bytes = 1024; page_bytes <= 65536; page_bytes *= 2) codec::repair_meta(file, page_bytes);
    const codec::BboltMemorySource source(file);
    const auto reader = codec::BboltReader::open(source);
    if (!reader) return 0;
    codec::walk(*reader, file.size());
    const auto summary = codec::summarize(*reader);
    if (summary) ENSURE(summary->pages_used + summary->pages_free + summary->pages_lost == reader->meta().high_water);
    return 0;
}
