"""Cases: alarms, quota, defragmentation, hashes, snapshots, mirrors."""
import re

import grpc

from case import case, pb


@case()
def version(c):
    """What the server says it is."""
    c.http('/version')
    status, text = c.http('/health')
    c.http('/health', method='POST', body=b'')
    c.http('/metrics', record=False)
    c.ctl('version')


@case()
def metrics(c):
    """The series that dashboards for etcd draw are there, with their types."""
    c.alone(b'k', b'v')
    c.connection().call('KV/Range', key=b'k')
    wanted = ('etcd_server_has_leader', 'etcd_server_is_leader', 'etcd_server_leader_changes_seen_total',
              'etcd_server_proposals_committed_total', 'etcd_server_proposals_applied_total', 'etcd_server_proposals_pending',
              'etcd_server_proposals_failed_total', 'etcd_server_quota_backend_bytes', 'etcd_server_id',
              'etcd_disk_wal_fsync_duration_seconds', 'etcd_disk_backend_commit_duration_seconds',
              'etcd_mvcc_db_total_size_in_bytes', 'etcd_mvcc_db_total_size_in_use_in_bytes',
              'etcd_network_client_grpc_received_bytes_total', 'etcd_network_client_grpc_sent_bytes_total',
              'etcd_network_peer_sent_bytes_total', 'grpc_server_started_total',
              'grpc_server_handled_total', 'process_resident_memory_bytes', 'process_open_fds',
              'etcd_debugging_mvcc_keys_total', 'etcd_debugging_mvcc_watcher_total', 'etcd_server_version',
              'etcd_cluster_version', 'process_start_time_seconds')
    status, text = c.http('/metrics', record=False)
    types = dict(re.findall(r'^# TYPE (\S+) (\S+)', text, re.M))
    c.note(f'status {status}')
    for name in wanted:
        c.note(f'{name} {types.get(name)}')


@case()
def defragment(c):
    """Defragmentation of each node, while the data stays."""
    c.alone(b'k', b'v')
    c.ctl('defrag')
    c.ctl('defrag', '--cluster', sort=True)
    c.call('Maintenance/Defragment', node=2)
    c.call('KV/Range', key=b'k', node=2)


@case()
def hash_kv(c):
    """HashKV at the current, past, compacted and future revisions; the same on every node."""
    for index in range(10):
        c.alone(b'k%d' % (index % 3), b'%d' % index)
    c.connection().call('KV/DeleteRange', key=b'k1')
    for revision in (0, c.rev(4), c.rev(11)):
        answers = [c.connection(node).call('Maintenance/HashKV', revision=revision) for node in (1, 2, 3)]
        c.note(f'distinct: {len({answer.hash for answer in answers})}')
    c.call('Maintenance/HashKV', revision=c.rev(100))
    c.connection().call('KV/Compact', revision=c.rev(6), physical=True)
    c.call('Maintenance/HashKV', revision=c.rev(3))
    answer = c.call('Maintenance/HashKV', revision=c.rev(8), record=False)
    c.note(f'compacted at {c.names.revision(answer.compact_revision)}')
    c.call('Maintenance/Hash', record=False)


@case('single', nodes=1)
def hash_kv_is_the_same_number(c):
    """The same history from the first revision on has the very same hash on both servers."""
    for index in range(100):
        c.alone(b'k%d' % (index % 7), b'%d' % index)
        if index % 10 == 9:
            c.connection().call('KV/DeleteRange', key=b'k%d' % (index % 7))
    for revision in (0, 2, 50, 111):
        c.note(f'{revision}: {c.connection().call("Maintenance/HashKV", revision=revision).hash}')
    c.connection().call('KV/Compact', revision=60, physical=True)
    for revision in (0, 61, 90, 111):
        c.note(f'{revision}: {c.connection().call("Maintenance/HashKV", revision=revision).hash}')


@case()
def alarms(c):
    """Alarms are raised, listed and disarmed by hand; NOSPACE refuses writes."""
    member = c.connection().call('Maintenance/Status').header.member_id
    c.ctl('alarm', 'list')
    c.call('Maintenance/Alarm', action=pb.AlarmRequest.ACTIVATE, memberID=member, alarm=pb.NOSPACE)
    c.ctl('alarm', 'list')
    c.call('Maintenance/Alarm', action=pb.AlarmRequest.ACTIVATE, memberID=member, alarm=pb.NOSPACE)
    c.call('KV/Put', key=b'k', value=b'v')
    c.call('KV/Txn', success=[pb.RequestOp(request_put=pb.PutRequest(key=b'k'))])
    c.call('KV/Txn', success=[pb.RequestOp(request_range=pb.RangeRequest(key=b'k'))])
    c.call('Lease/LeaseGrant', TTL=10, ID=9)
    c.call('KV/DeleteRange', key=b'k')
    c.call('KV/Range', key=b'k')
    c.call('KV/Put', key=b'k', node=2)
    c.http('/health')
    c.ctl('endpoint', 'health')
    c.ctl('put', 'k', 'v')
    c.ctl('alarm', 'disarm')
    c.ctl('alarm', 'list')
    c.ctl('alarm', 'disarm')
    c.call('KV/Put', key=b'k', value=b'v')
    c.call('Maintenance/Alarm', action=pb.AlarmRequest.DEACTIVATE, memberID=member, alarm=pb.NOSPACE)
    c.http('/health')


@case('single', quota_backend_bytes=4 << 20)
def quota(c):
    """Writing until the quota is reached raises the alarm; compaction, defragmentation and disarming end it."""
    value, refused = b'v' * 200000, None
    for index in range(60):
        try:
            c.connection().call('KV/Put', key=b'k', value=value)
        except grpc.RpcError as error:
            refused = f'{error.code().name} {error.details()}'
            break
    c.note(f'refused: {refused}')
    c.ctl('alarm', 'list')
    answer = c.call('KV/DeleteRange', key=b'k', record=False)
    c.note(f'a deletion goes through: {answer is not None}')
    revision = c.connection().call('KV/Range', key=b'k').header.revision
    c.connection().call('KV/Compact', revision=revision, physical=True)
    c.connection().call('Maintenance/Defragment')
    c.ctl('alarm', 'disarm')
    c.ctl('put', 'k', 'v')
    status = c.connection().call('Maintenance/Status')
    c.note(f'errors: {list(status.errors)}')


@case('single')
def snapshot(c):
    """Saved, described, restored into a new cluster that has the same data."""
    for index in range(40):
        c.alone(b'k%02d' % index, b'%d' % index)
    c.call('Lease/LeaseGrant', TTL=1000, ID=99)
    c.alone(b'leased', b'v', lease=99)
    out = c.ctl('snapshot', 'save', 'saved.db', record=False)
    c.note(f'{out.splitlines()[-1:]}')
    out = c.ctl('snapshot', 'status', 'saved.db', record=False)
    c.note(f'revision {out.split(", ")[1:2]}, no hash of zero: {not out.startswith("0,")}')
    c.ctl('snapshot', 'status', 'absent.db', record=False)
    c.ctl('snapshot', 'save')
    address = '127.0.3.98' if c.cluster.network.startswith('127.0.1') else '127.0.3.99'  # The two sides run at once.
    c.ctl('snapshot', 'restore', 'saved.db', '--name=restored', f'--data-dir={c.cluster.folder}/restored',
                f'--initial-cluster=restored=http://{address}:2380',
          f'--initial-advertise-peer-urls=http://{address}:2380', record=False)
    restored = start_restored(c, address, f'{c.cluster.folder}/restored')
    try:
        answer = restored.call('KV/Range', key=b'\0', range_end=b'\0')
        c.note(f'{answer.count} keys, revision {answer.header.revision}, last {answer.kvs[-1].key} lease {answer.kvs[-1].lease}')
        c.note(f'HashKV is the same: {restored.call("Maintenance/HashKV").hash == c.connection().call("Maintenance/HashKV").hash}')
    finally:
        restored.close()
        restored.node.stop()


def start_restored(c, address, folder):
    """An etcd on a restored folder: a snapshot of ours must be one that etcd itself can run from."""
    from messages import Connection
    from nodes import Cluster
    cluster = Cluster('etcd', address, 1, folder=c.cluster.folder)
    node = cluster.nodes[0]
    node.name = 'restored'
    node.flags.update({'name': 'restored', 'data-dir': folder, 'initial-cluster': f'restored=http://{address}:2380',
                       'initial-cluster-token': 'etcd-cluster'})
    node.start()
    cluster.await_ready()
    connection = Connection(f'{address}:2379')
    connection.node = node
    return connection


@case()
def snapshot_stream(c):
    """The raw stream: 32 KiB blobs that count down, then a checksum that fits."""
    import hashlib
    c.alone(b'k', b'v' * 100000)
    stream = c.open_stream('Maintenance/Snapshot')
    stream.send()
    blobs, left = [], None
    while left != 0 or len(blobs) < 2 or len(blobs[-1]) != 32:
        answer = stream.take(1, record=False)
        if not answer:
            break
        left = answer[0].remaining_bytes
        blobs.append(answer[0].blob)
    c.lines = [text for text in c.lines if not text.endswith('end')]
    c.note(f'sizes of blobs: {sorted({len(blob) for blob in blobs[:-2]})}, {len(blobs[-1])}')
    c.note(f'checksum fits: {hashlib.sha256(b"".join(blobs[:-1])).digest() == blobs[-1]}')


def everything(c, cluster):
    """All keys and values of another cluster."""
    return c.ctl('get', '', '--prefix', endpoints=cluster.endpoints[:1], record=False)


@case()
def make_mirror(c):
    """etcdctl make-mirror copies what is there and what comes."""
    from nodes import Cluster
    for key in (b'a/1', b'a/2', b'b/1'):
        c.alone(key, b'v')
    target = Cluster('etcd', f'127.0.3.{41 if c.cluster.network.startswith("127.0.1") else 42}', 1, folder=f'{c.cluster.folder}/mirror')
    target.folder.mkdir(exist_ok=True)
    target.start()
    try:
        mirror = c.start_ctl('make-mirror', '--prefix=a/', '--dest-prefix=copy/', target.endpoints[0])
        c.until(lambda: 'copy/1' in everything(c, target))
        c.alone(b'a/3', b'later')
        c.connection().call('KV/DeleteRange', key=b'a/1')
        c.until(lambda: 'copy/3' in everything(c, target) and 'copy/1' not in everything(c, target))
        mirror.close()
        c.note(everything(c, target))
    finally:
        target.close()


@case('single')
def restart(c):
    """A node that is stopped and started has keys, history, leases and its identity."""
    for index in range(20):
        c.alone(b'k', b'%d' % index)
    c.call('Lease/LeaseGrant', TTL=500, ID=9)
    c.alone(b'leased', b'v', lease=9)
    c.connection().call('KV/Compact', revision=c.rev(10), physical=True)
    before = c.connection().call('Maintenance/HashKV').hash
    node = c.cluster.nodes[0]
    for end in (node.stop, node.kill):
        end()
        node.start()
        c.cluster.await_ready()
        c.connections.clear()
        c.call('KV/Range', key=b'\0', range_end=b'\0')
        c.call('KV/Range', key=b'k', revision=c.rev(15))
        c.call('KV/Range', key=b'k', revision=c.rev(5))
        answer = c.call('Lease/LeaseTimeToLive', ID=9, keys=True, record=False)
        c.note(f'{answer.grantedTTL} {list(answer.keys)} {answer.TTL > 400}')
        c.note(f'the same hash: {c.connection().call("Maintenance/HashKV").hash == before}')


@case('single', auto_compaction_mode='revision', auto_compaction_retention='10')
def auto_compaction_starts(c):
    """A node takes the auto-compaction flags and serves."""
    c.call('KV/Put', key=b'k', value=b'v')


@case('single', max_txn_ops=4, max_request_bytes=10000)
def limits_by_flag(c):
    """--max-txn-ops and --max-request-bytes."""
    puts = [pb.RequestOp(request_put=pb.PutRequest(key=b'k%d' % index)) for index in range(5)]
    c.call('KV/Txn', success=puts[:4])
    c.call('KV/Txn', success=puts)
    c.call('KV/Put', key=b'k', value=b'v' * 9000, record=False)
    for octets in (9900, 12000):
        try:
            c.connection().call('KV/Put', key=b'k', value=b'v' * octets)
            c.note(f'{octets}: accepted')
        except grpc.RpcError as error:
            c.note(f'{octets}: {error.code().name} {error.details()}')
