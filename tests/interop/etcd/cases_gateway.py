"""Cases: the JSON gateway as curl sees it, and the plain HTTP endpoints."""
import http.client
import json
import subprocess
import time

from case import SECONDS_MAX, b64, case
from messages import pb
from prometheus_client.parser import text_string_to_metric_families
from websocket_client import WebsocketClient


@case()
def kv(c):
    """The paths of KV."""
    c.http('/v3/kv/put', {'key': b64('foo'), 'value': b64('bar')})
    c.http('/v3/kv/put', {'key': b64('foo'), 'value': b64('baz'), 'prev_kv': True})
    c.http('/v3/kv/range', {'key': b64('foo')})
    c.http('/v3/kv/range', {'key': b64('a'), 'range_end': b64('z'), 'limit': 1, 'sort_order': 'DESCEND', 'sort_target': 'MOD'})
    c.http('/v3/kv/range', {'key': b64('a'), 'range_end': b64('z'), 'limit': '1', 'sort_order': 2, 'count_only': True})
    c.http('/v3/kv/txn', {'compare': [{'result': 'EQUAL', 'target': 'VALUE', 'key': b64('foo'), 'value': b64('baz')}],
                          'success': [{'request_put': {'key': b64('foo'), 'value': b64('x')}},
                                      {'request_range': {'key': b64('foo')}}],
                          'failure': [{'request_delete_range': {'key': b64('foo')}}]})
    c.http('/v3/kv/txn', {'compare': [{'result': 'GREATER', 'target': 'CREATE', 'key': b64('foo'), 'create_revision': '0'}],
                          'success': [{'requestPut': {'key': b64('foo'), 'value': b64('y')}}]})
    c.http('/v3/kv/deleterange', {'key': b64('foo'), 'prev_kv': True})
    c.http('/v3/kv/deleterange', {'key': b64('foo')})
    c.http('/v3/kv/range', {'key': b64('foo')})
    c.http('/v3/kv/compaction', {'revision': str(int(c.rev(2))), 'physical': True}, record=False)
    c.http('/v3/kv/range', {'key': b64('foo'), 'revision': str(int(c.rev(1)))}, record=False)


@case()
def lease(c):
    """The paths of leases, and their second names below /v3/kv."""
    c.http('/v3/lease/grant', {'TTL': 100, 'ID': 17})
    c.http('/v3/lease/grant', {'TTL': '100', 'ID': '18'})
    c.http('/v3/kv/put', {'key': b64('leased'), 'value': b64('v'), 'lease': 17})
    c.http('/v3/lease/keepalive', {'ID': 17})
    c.http('/v3/lease/leases', {}, record=False)
    for path in ('/v3/lease/timetolive', '/v3/kv/lease/timetolive'):
        status, text = c.http(path, {'ID': 17, 'keys': True}, record=False)
        found = json.loads(text)
        found['TTL'] = '<about 100>' if 97 <= int(found['TTL']) <= 100 else found['TTL']
        c.note_value(path, c.names.tree(found))
    c.http('/v3/lease/revoke', {'ID': 17})
    c.http('/v3/kv/lease/revoke', {'ID': 18})
    c.http('/v3/lease/revoke', {'ID': 17})
    c.http('/v3/lease/timetolive', {'ID': 17})


@case()
def others(c):
    """Cluster, maintenance, locks and elections."""
    c.note(c.http('/v3/maintenance/alarm', {}, record=False)[0])
    c.http('/v3/maintenance/defragment', {})
    c.http('/v3/maintenance/hash', {}, record=False)
    c.http('/v3/maintenance/transfer-leadership', {'targetID': '5'}, record=False)
    c.http('/v3/cluster/member/remove', {'ID': '5'})
    c.http('/v3/cluster/member/promote', {'ID': '5'})
    status, text = c.http('/v3/cluster/member/list', {}, record=False)
    for member in sorted(json.loads(text)['members'], key=lambda m: m['name']):
        c.note_value('member', c.names.tree(member))
    c.http('/v3/lease/grant', {'TTL': 100, 'ID': 19})
    status, text = c.http('/v3/lock/lock', {'name': b64('m'), 'lease': 19})
    c.http('/v3/lock/unlock', {'key': json.loads(text).get('key', '')})
    status, text = c.http('/v3/election/campaign', {'name': b64('e'), 'lease': 19, 'value': b64('v')})
    c.http('/v3/election/leader', {'name': b64('e')})
    c.http('/v3/election/proclaim', {'leader': json.loads(text)['leader'], 'value': b64('w')}, record=False)
    c.http('/v3/election/leader', {'name': b64('e')})
    c.http('/v3/election/resign', {'leader': json.loads(text)['leader']}, record=False)
    c.http('/v3/election/leader', {'name': b64('e')})
    c.http('/v3/election/leader', {'name': b64('nobody')})


@case()
def refused(c):
    """What is no request: wrong methods, paths, JSON, types, base64."""
    for body in (b'', b'{', b'[]', b'null', b'{"key": 5}', b'{"key": "%%%"}', b'{"key": "Zm9v", "unknown": 1}', b'{"limit": "x"}',
                 b'{"key": "Zm9v", "sort_order": "SIDEWAYS"}', b'{"key": ""}', b'{"key":"Zm9v","limit":1.5}', b'{"key":"Zm9v"} x',
                 b'{"key": null}', b'{"key":"Zm9v","serializable":"true"}'):
        status, text = c.http('/v3/kv/range', body, record=False)  # The words of JSON parsers are no contract.
        c.note(f'{body.decode()}: {status} code {json.loads(text).get("code", 0)}')
    for path in ('/v3/kv/nothing', '/v3/', '/nothing', '/', '/v3alpha/kv/range', '/v3beta/kv/range', '/v2/keys'):
        c.http(path, b'{"key":"Zm9v"}')
        c.http(path)
    c.http('/v3/kv/range')
    c.http('/v3/kv/range', b'{"key":"Zm9v"}', method='PUT')
    c.http('/v3/kv/put', {'key': '', 'value': b64('v')})
    c.http('/v3/kv/put', {'key': b64('k'), 'lease': 12345})


@case()
def key_forms(c):
    """Octets that are no text, in base64."""
    for octets in (b'\xff\xfe\xfb', b'foob', b'\0'):
        c.http('/v3/kv/put', {'key': b64(octets), 'value': b64(octets)})
    c.call('KV/Range', key=b'\0', range_end=b'\0')


@case(instead_of_oracle=["200 b'\\xff\\xfe\\xfb'", "200 b'foob'"])
def other_base64(c):
    """The other alphabet, and no padding: refused by etcd 3.4, taken by 3.6, whose JSON is protobuf's."""
    for text in ('__77', 'Zm9vYg'):
        status, _ = c.http('/v3/kv/put', {'key': text}, record=False)
        keys = c.connection().call('KV/Range', key=b'\0', range_end=b'\0', sort_target=3, sort_order=2).kvs
        c.note(f'{status} {keys[0].key if keys else None}')


def watch_lines(c, body, count, then=()):
    """A watch over chunked HTTP: so many lines of its answer, with acts in between."""
    node = c.cluster.nodes[0]
    connection = http.client.HTTPConnection(node.address, c.cluster.client_port, timeout=10)
    connection.request('POST', '/v3/watch', json.dumps(body), {'Content-Type': 'application/json'})
    answer, acts = None, list(then)
    answer = connection.getresponse()
    c.note(f'watch {answer.status} {answer.headers.get("content-type")} {answer.headers.get("transfer-encoding")}')
    for _ in range(count):
        c.note_http(answer.readline().decode())
        if acts:
            acts.pop(0)()
    connection.close()


@case()
def watch(c):
    """Watches as newline-separated JSON, past and live."""
    c.alone(b'k', b'1')
    c.alone(b'k', b'2')
    watch_lines(c, {'create_request': {'key': b64('k'), 'start_revision': str(int(c.rev(1)))}}, 2)
    watch_lines(c, {'create_request': {'key': b64('k'), 'prev_kv': True}}, 3,
                [lambda: c.alone(b'k', b'3'), lambda: c.connection().call('KV/DeleteRange', key=b'k')])
    watch_lines(c, {'create_request': {'key': b64('b'), 'range_end': b64('a')}}, 1)
    c.connection().call('KV/Compact', revision=c.rev(3), physical=True)
    watch_lines(c, {'create_request': {'key': b64('k'), 'start_revision': str(int(c.rev(1)))}}, 2)


@case('single')
def auth(c):
    """Logging in by JSON; the token goes into the header Authorization."""
    c.http('/v3/auth/status', {}, record=False)
    c.http('/v3/auth/user/add', {'name': 'root', 'password': 'pw'})
    c.http('/v3/auth/role/add', {'name': 'root'})
    c.http('/v3/auth/user/grant', {'user': 'root', 'role': 'root'})
    c.http('/v3/auth/user/list', {})
    c.http('/v3/auth/role/grant', {'name': 'root', 'perm': {'permType': 'READWRITE', 'key': b64('k'), 'range_end': b64('l')}})
    c.http('/v3/auth/role/get', {'role': 'root'})
    c.http('/v3/auth/enable', {})
    c.http('/v3/kv/range', {'key': b64('k')})
    status, text = c.http('/v3/auth/authenticate', {'name': 'root', 'password': 'pw'})
    c.http('/v3/auth/authenticate', {'name': 'root', 'password': 'wrong'})
    token = json.loads(text)['token']
    c.http('/v3/kv/range', {'key': b64('k')}, headers={'Authorization': token})
    c.http('/v3/kv/range', {'key': b64('k')}, headers={'Authorization': 'nonsense'})
    c.http('/v3/auth/user/changepw', {'name': 'root', 'password': 'new'}, headers={'Authorization': token})
    c.http('/v3/auth/disable', {}, headers={'Authorization': token}, record=False)


@case()
def curl(c):
    """curl itself: keep-alive, HTTP/1.0, a body in chunks, and that a HEAD has none."""
    url = c.cluster.client_url(c.cluster.nodes[0])
    body = json.dumps({'key': b64('k'), 'value': b64('v')})
    for words in (['-d', body, f'{url}/v3/kv/put'], ['--http1.0', '-d', body, f'{url}/v3/kv/put'],
                  ['-H', 'Transfer-Encoding: chunked', '-d', body, f'{url}/v3/kv/put'], ['-I', f'{url}/version'],
                  ['-H', 'Content-Type: text/plain', '-d', body, f'{url}/v3/kv/put'], [f'{url}/health', f'{url}/health'],
                  ['-H', 'Expect: 100-continue', '-d', body, f'{url}/v3/kv/put']):
        done = subprocess.run(['curl', '-s', '-m', '10', '-w', r'\n%{http_code} %{http_version} connects %{num_connects}\n', *words],
                              capture_output=True, text=True)
        c.note(f'curl {[word for word in words if not word.startswith("http")]}: exit {done.returncode}')
        for text in done.stdout.splitlines():
            if text.lower().startswith('http/') or not text[:1].isalpha():
                c.note_http(text)


@case()
def websocket(c):
    """A watch over a websocket: created, told of changes, cancelled, all on one connection."""
    client = WebsocketClient(c.cluster.endpoints[0].removeprefix('http://'), '/v3/watch', SECONDS_MAX)
    c.note(f'upgraded: {client.status}')
    client.send({'create_request': {'key': b64('ws'), 'range_end': b64('wt'), 'prev_kv': True}})
    c.note_value('created', c.names.tree(client.receive()))
    c.alone(b'ws1', b'one')
    c.note_value('put', c.names.tree(client.receive()))
    c.connection().call('KV/DeleteRange', key=b'ws1')
    c.note_value('deleted', c.names.tree(client.receive()))
    client.send({'create_request': {'key': b64('other'), 'watch_id': 7}})
    c.note_value('second', c.names.tree(client.receive()))
    client.send({'cancel_request': {'watch_id': 7}})
    c.note_value('cancelled', c.names.tree(client.receive()))
    client.close()


# What dashboards draw (Grafana's "Etcd by Prometheus" and etcd's own mixin): name -> what to do for its value to rise, if it must.
DASHBOARD = {
    'etcd_server_has_leader': None, 'etcd_server_is_leader': None, 'etcd_server_leader_changes_seen_total': None,
    'etcd_server_proposals_committed_total': 'write', 'etcd_server_proposals_applied_total': 'write',
    'etcd_server_proposals_pending': None, 'etcd_server_proposals_failed_total': None,
    'etcd_server_quota_backend_bytes': None, 'etcd_server_id': None,
    'etcd_disk_wal_fsync_duration_seconds_bucket': 'write', 'etcd_disk_wal_fsync_duration_seconds_count': 'write',
    'etcd_disk_wal_fsync_duration_seconds_sum': 'write', 'etcd_disk_backend_commit_duration_seconds_bucket': 'write',
    'etcd_mvcc_db_total_size_in_bytes': None, 'etcd_mvcc_db_total_size_in_use_in_bytes': None,
    'etcd_network_client_grpc_received_bytes_total': 'write', 'etcd_network_client_grpc_sent_bytes_total': 'write',
    'etcd_network_peer_sent_bytes_total': 'write', 'etcd_network_peer_received_bytes_total': 'write',
    'etcd_debugging_mvcc_keys_total': None,
    'etcd_debugging_mvcc_watcher_total': 'watch', 'etcd_debugging_mvcc_watch_stream_total': 'watch',
    'grpc_server_started_total': 'write', 'grpc_server_handled_total': 'write', 'grpc_server_msg_received_total': 'write',
    'grpc_server_msg_sent_total': 'write', 'process_resident_memory_bytes': None, 'process_open_fds': None,
    'process_max_fds': None, 'process_cpu_seconds_total': 'write', 'process_start_time_seconds': None,
}


def scrape(c, node=1):
    """{name: (sum of its values, its labels but `le`, type of its family)}, by Prometheus' own parser."""
    status, text = c.http('/metrics', node=node, record=False)
    assert status == 200, status
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            total, labels, _ = found.get(sample.name, (0, set(), None))
            found[sample.name] = total + sample.value, labels | set(sample.labels), family.type
    return found


@case()
def metrics(c):
    """What dashboards draw is there, under its name, with its type and labels, and moves."""
    before = [scrape(c, node) for node in (1, 2, 3)]
    stream = c.open_stream('Watch/Watch')
    stream.send(create_request=pb.WatchCreateRequest(key=b'watched'))
    stream.take(1, record=False)
    for number in range(200):
        c.alone(b'metrics%d' % number, b'x' * 1000)
    puts = before[0]['etcd_mvcc_put_total'][0] + 200
    c.until(lambda: all(scrape(c, node)['etcd_mvcc_put_total'][0] >= puts for node in (1, 2, 3)))
    time.sleep(0.5)  # Both systems write some of these a moment later.
    after = [scrape(c, node) for node in (1, 2, 3)]
    for name, by in DASHBOARD.items():
        there = [name in side for side in after]
        if not all(there):
            c.note(f'{name}: on {there.count(True)} of 3 nodes')
            continue
        _, labels, kind = after[0][name]
        moved = sum(a[name][0] for a in after) > sum(b.get(name, (0,))[0] for b in before)
        c.note(f'{name} {kind} {sorted(labels - {"le"})}' + (f' rises by {by}: {moved}' if by else ''))
    c.note(f'leaders {sum(side["etcd_server_is_leader"][0] for side in after):.0f}, '
           f'has leader {[side["etcd_server_has_leader"][0] for side in after]}')
    puts = [side['etcd_mvcc_put_total'][0] for side in after]
    c.note(f'puts counted alike on all: {len(set(puts)) == 1}')
