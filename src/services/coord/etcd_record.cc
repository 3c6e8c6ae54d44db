#include "services/coord/etcd_record.h"

namespace polis::services {

std::string etcd_revision_key(Revision revision, bool deleted) {
    std::string octets;
    append_big_endian(octets, static_cast<uint64_t>(revision.main));
    octets.push_back('_');
    append_big_endian(octets, static_cast<uint64_t>(revision.sub));
    if (deleted) octets.push_back('t');
    return octets;
}

Result<EtcdRevision> parse_etcd_revision_key(std::string_view octets) {
    const bool deleted = octets.size() == 18 && octets.back() == 't';
    if ((octets.size() != 17 && !deleted) || octets[8] != '_')
        return fail(Code::Corrupt, "a key of etcd's bucket \"key\" is no revision");
    const Revision revision{static_cast<int64_t>(read_big_endian(octets)),
                            static_cast<int64_t>(read_big_endian(octets.substr(9)))};
    if (revision.main < 0 || revision.sub < 0) return fail(Code::Corrupt, "a revision in etcd's database is negative");
    return EtcdRevision{revision, deleted};
}

Result<std::string> etcd_value(const StateReader& reader, Revision revision, const RevisionRecord& record) {
    mvccpb::KeyValue message;
    if (record.deleted) {
        message.set_key(record.key.data(), record.key.size());
        return message.SerializeAsString();
    }
    LET(const std::optional<std::string> stored, reader.get(version_key(record.key, revision)));
    if (!stored) return fail(Code::Corrupt, "a change is listed whose version is not there");
    LET(const Version version, parse_record(revision, *stored));
    fill(message, record.key, version);
    return message.SerializeAsString();
}

}  // namespace polis::services
