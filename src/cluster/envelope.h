// The envelope around every replicated command: encoding and decoding.
#pragma once

#include "base/bytes.h"
#include "base/result.h"
#include "cluster/api.h"

namespace polis::cluster {

/// Format 1, all numbers LEB128: format, feature level, tenant, auth revision, leader time (µs since 1970), origin, sequence, lowest
/// outstanding sequence, trace, principal (length and octets); then the command to the end. A reader of
/// format 1 refuses others: formats change only together with the cluster's feature level, which rises when every node can read the new one.
Bytes encode(const Envelope& envelope);

/// The command shares `octets`' block. Errors: Invalid (cut short, unknown format).
Result<Envelope> decode_envelope(const Bytes& octets);

}  // namespace polis::cluster
