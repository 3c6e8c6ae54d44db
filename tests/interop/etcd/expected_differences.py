"""Where Polis, which is etcd 3.6 to its clients, answers otherwise than Debian's etcd 3.4.23, each with the reason.

The battery rewrites the oracle's transcript by these rules before it compares; anything else that differs fails, and so does a rule
that no longer changes anything.
"""
import dataclasses


@dataclasses.dataclass(frozen=True)
class Difference:
    """In the cases matching `case` (a regular expression over module.name), what the oracle's lines say in `oracle` is
    `ours` (a replacement) with us."""
    case: str
    oracle: str
    ours: str
    reason: str


EVERY = '.*'
VERSION = 'The server is etcd 3.6 to its clients, the oracle is 3.4.'
HEALTH = 'etcd 3.5 gave /health a reason and a content type.'
NOBODY = 'INVALID_ARGUMENT etcdserver: user name is empty'
STRANGER = 'UNAUTHENTICATED etcdserver: invalid auth token'
DENIED = 'PERMISSION_DENIED etcdserver: permission denied'
CHECKED = 'etcd 3.6 asks for identity or the root role where 3.4 asked for nothing (CVE-2026-33413).'
JSON = 'etcd 3.6 reads JSON by the rules of protobuf (both alphabets of base64, unknown names of enumerations are ignored).'
NOT_FOUND = 'etcd 3.6 answers unknown paths and methods of its JSON gateway in JSON, as gRPC\'s Unimplemented and NotFound.'

DIFFERENCES = [
    # What the server says of itself.
    Difference('maintenance.version', r'"etcdcluster": "3\.4\.0", "etcdserver": "3\.4\.23"',
               '"etcdcluster": "3.6.0", "etcdserver": "3.6.14", "storage": "3.6.0"', VERSION),
    Difference('cluster.ctl_endpoint', r'3\.4\.23', '3.6.14', VERSION),
    Difference('cluster.status', r'"dbSizeInUse": "<size>", ',
               '"dbSizeInUse": "<size>", "dbSizeQuota": 2147483648, "downgradeInfo": {}, ', 'Fields of etcd 3.6.'),
    Difference('cluster.status', r'"version": "3\.4\.23"', '"storageVersion": "3.6.0", "version": "3.6.14"', VERSION),
    Difference(EVERY, r'\{"health": "true"\}', '{"health": "true", "reason": ""}', HEALTH),
    Difference(EVERY, r'^HTTP /health  -> 200 text/plain; charset=utf-8', 'HTTP /health  -> 200 application/json', HEALTH),
    Difference('maintenance.alarms', r'\{"health": "false"\}', '{"health": "false", "reason": "ALARM NOSPACE"}', HEALTH),
    Difference('cluster.no_quorum', r'503 \{"health":"false"\}', '503 {"health":"false","reason":"RAFT NO LEADER"}', HEALTH),

    # Answers.
    Difference('maintenance.alarms', r'^(Maintenance/Alarm .*-> \{"alarms": .*\])\}$',
               r'\1, "header": {"cluster_id": "<cluster>", "member_id": "<member 1>", "raft_term": "<term>", "revision": "base+0"}}',
               'Since etcd 3.5 the answers of Alarm have a header.'),
    Difference('maintenance.alarms', r'^(Maintenance/Alarm .*DEACTIVATE.*-> \{)\}$',
               r'\1"header": {"cluster_id": "<cluster>", "member_id": "<member 1>", "raft_term": "<term>", "revision": "base+1"}}',
               'Since etcd 3.5 the answers of Alarm have a header.'),
    Difference('cluster.learner', 'UNAVAILABLE: etcdserver: rpc not supported for learner',
               'FAILED_PRECONDITION: etcdserver: rpc not supported for learner', 'etcd 3.6 changed the code.'),

    # Authorisation.
    Difference('auth.leases_under_auth', r'^(Lease/LeaseGrant \{"ID": 7, "TTL": 100\}) -> .*',
               r'\1 -> INVALID_ARGUMENT: etcdserver: user name is empty', CHECKED),
    Difference('auth.every_call_without_a_token', r"^((?:KV/Compact|Lease/LeaseGrant|Lease/LeaseLeases|Cluster/MemberList|Maintenance/\w+) "
               r"\[.*\] as nobody): .*", rf'\1: {NOBODY}', CHECKED),
    Difference('auth.every_call_without_a_token', r"^((?:Lease/LeaseLeases|Cluster/MemberList|Maintenance/\w+) \[.*\] as nonsense\.1): .*",
               rf'\1: {STRANGER}', CHECKED),
    Difference('auth.every_call_without_a_token', r"^(Maintenance/(?:Defragment \[\]|Hash \[\]|HashKV \[\]|"
               r"MoveLeader \['targetID'\]) as alice): .*", rf'\1: {DENIED}', CHECKED),

    Difference('auth.every_call_without_a_token', r"^(KV/Compact \['revision'\] as alice): OUT_OF_RANGE .*compacted$", r'\1: answered',
               'With 3.4 nobody has compacted before.'),
    Difference('auth.every_call_without_a_token', r"^(Lease/LeaseGrant \['ID', 'TTL'\] as alice): .*already exists$", r'\1: answered',
               'With 3.4 nobody has granted it before.'),

    # JSON and HTTP.
    Difference('gateway.refused', r'^(HTTP /v3/.* -> 404) text/plain; charset=utf-8$', r'\1 application/json', NOT_FOUND),
    Difference('gateway.refused', r'^(HTTP .* -> )405 text/plain; charset=utf-8$', r'\g<1>501 application/json', NOT_FOUND),
    Difference('gateway.refused', r'^  Not Found$', '  {"code": 5, "error": "Not Found", "message": "Not Found"}', NOT_FOUND),
    Difference('gateway.refused', r'^  Method Not Allowed$',
               '  {"code": 12, "error": "Method Not Allowed", "message": "Method Not Allowed"}', NOT_FOUND),
    Difference('gateway.refused', r'^(\{"key": "Zm9v", "sort_order": "SIDEWAYS"\}): 400 code 3', r'\1: 200 code 0', JSON),
    Difference('gateway.refused', r'^(\{"key":"Zm9v"\} x): 200 code 0', r'\1: 400 code 3',
               'What follows a JSON value in a body is an error here, not ignored.'),
    Difference('gateway.refused', r'^(\{"key":"Zm9v","serializable":"true"\}): 400 code 3', r'\1: 200 code 0',
               'The protobuf library takes "true" for true.'),
    Difference('gateway.curl', r'200 1 connects 1', '200 1.1 connects 1',
               'An answer names the highest version that the server speaks (RFC 9110, 2.5); Go repeats the request\'s.'),
    Difference('gateway.auth', r'"perm": \[\{"key": "k", "permType": "READWRITE", "range_end": "bA=="\}\]',
               '"perm": [{"permType": "READWRITE", "range_end": "AA=="}]', 'etcd 3.6 shows what root may do, not what was granted to it.'),
]
