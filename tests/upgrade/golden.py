"""Data directories written by a release, kept in tests/golden, and what was in them: makes them, and opens copies of them.

/usr/bin/python3 tests/upgrade/golden.py make: writes tests/golden/cluster-VERSION.tar.xz and .json with the binary of this tree. Done once
for each release that changes what is on disk; what exists is never made again.
"""
import base64
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / 'harness')]

import grpc  # noqa: E402
from messages import Connection, auth_pb, kv, pb  # noqa: E402
from nodes import ROOT, Cluster  # noqa: E402

GOLDEN = ROOT / 'tests/golden'
NETWORK = '127.0.6.1'  # Part of the data: members know each other by address.
LEASE_SECONDS = 100_000_000


def text(octets):
    """Octets as text that JSON holds."""
    return base64.b64encode(octets).decode()


class History:
    """Writes of every kind, by chance but always the same, and what must be there after them."""

    def __init__(self, connection):
        self.connection, self.draw, self.leases = connection, random.Random(1), []
        self.pairs = {}  # key: (value, lease)

    def put(self, key, lease=0):
        """A value that looks like nothing."""
        value = self.draw.randbytes(self.draw.randrange(0, 40))
        self.connection.call('KV/Put', key=key, value=value, lease=lease)
        self.pairs[key] = (value, lease)

    def delete(self, key):
        """One key."""
        self.connection.call('KV/DeleteRange', key=key)
        self.pairs.pop(key, None)

    def transact(self, keys):
        """Several keys in one revision."""
        values = {key: self.draw.randbytes(8) for key in keys}
        self.connection.call('KV/Txn', success=[
            pb.RequestOp(request_put=pb.PutRequest(key=key, value=value)) for key, value in values.items()])
        self.pairs.update({key: (value, 0) for key, value in values.items()})

    def write(self, count):
        """So many operations."""
        for number in range(count):
            key = f'/golden/{self.draw.randrange(120):04}'.encode()
            kind = self.draw.choice(['put'] * 6 + ['delete', 'transact', 'lease'])
            if kind == 'put':
                self.put(key)
            elif kind == 'delete':
                self.delete(key)
            elif kind == 'transact':
                self.transact([key, b'\x00\xff binary', f'/golden/txn/{number}'.encode()])
            else:
                if not self.leases or self.draw.random() < 0.2:
                    self.leases.append(self.connection.call('Lease/LeaseGrant', TTL=LEASE_SECONDS).ID)
                self.put(key, self.draw.choice(self.leases))


def wait_for(action, seconds=30):
    """Calls until the cluster takes it: changes of members wait until the members are in touch."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return action()
        except grpc.RpcError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.3)


def replace_member(cluster, connection):
    """The third node leaves and comes back with an empty disk: a history of members, not only of keys."""
    node = cluster.nodes[2]
    member = next(m.ID for m in connection.call('Cluster/MemberList').members if m.name == node.name)
    node.stop()
    wait_for(lambda: connection.call('Cluster/MemberRemove', ID=member))
    node.wipe()
    wait_for(lambda: connection.call('Cluster/MemberAdd', peerURLs=[cluster.peer_url(node)]))
    node.flags['initial-cluster-state'] = 'existing'
    node.start()
    cluster.await_ready(seconds=60)


def make_users(connection):
    """A role and a user; authentication stays off."""
    connection.call('Auth/RoleAdd', name='reader')
    connection.call('Auth/RoleGrantPermission', name='reader',
                    perm=auth_pb.Permission(permType=auth_pb.Permission.READ, key=b'/golden/', range_end=b'/golden0'))
    connection.call('Auth/UserAdd', name='alice', password='correct horse')
    connection.call('Auth/UserGrantRole', user='alice', role='reader')


def look(connection, history, compacted, early):
    """What there is, as the node tells it; AssertionError if that is not what was written."""
    answer = connection.call('KV/Range', key=b'\0', range_end=b'\0')
    assert {pair.key: (pair.value, pair.lease) for pair in answer.kvs} == history.pairs, 'the maker read back something else'
    row = lambda pair: [text(pair.key), text(pair.value), pair.create_revision, pair.mod_revision, pair.version, pair.lease]
    before = connection.call('KV/Range', key=b'\0', range_end=b'\0', revision=early)
    return {'revision': answer.header.revision, 'compacted': compacted, 'early': early, 'keys': [row(pair) for pair in answer.kvs],
            'early_keys': [row(pair) for pair in before.kvs], 'leases': sorted(history.leases),
            'hash': connection.call('Maintenance/HashKV', revision=answer.header.revision).hash,
            'members': sorted(member.name for member in connection.call('Cluster/MemberList').members)}


def make(version):
    """Writes the archive and the description of what is in it."""
    archive = GOLDEN / f'cluster-{version}.tar.xz'
    if archive.exists():
        raise SystemExit(f'{archive} exists: what a release has written is not written again')
    cluster = Cluster('polis', NETWORK).start()
    try:
        connection = Connection(cluster.endpoints[0])
        history = History(connection)
        history.write(150)
        replace_member(cluster, connection)
        make_users(connection)
        history.write(100)
        compacted = connection.call('KV/Range', key=b'x').header.revision - 60
        connection.call('KV/Compact', revision=compacted, physical=True)
        for node in cluster.nodes:  # Part of what follows is in the store, part only in the log.
            node.stop()
            node.start()
            cluster.await_ready([node])
        wait_for(lambda: history.write(1))
        history.write(80)
        time.sleep(1)
        found = look(connection, history, compacted, compacted + 30)
        for node in cluster.nodes:
            node.kill()
        subprocess.run(['tar', '--sparse', '--hole-detection=raw', '--sort=name', '--owner=0', '--group=0', '--mtime=2000-01-01', '-cJf', archive,
                        *(node.name for node in cluster.nodes)], cwd=cluster.folder, check=True,
                       env={**os.environ, 'XZ_OPT': '-9'})
        (GOLDEN / f'cluster-{version}.json').write_text(json.dumps(found, separators=(',', ':')) + '\n')
        print(f'{archive}: {archive.stat().st_size} octets, {len(found["keys"])} keys at revision {found["revision"]}')
    finally:
        cluster.close()


def archives():
    """All that were ever made, oldest first."""
    return sorted(GOLDEN.glob('cluster-*.tar.xz'))


def opened(archive):
    """(a cluster that has been started on a copy, what must be in it)."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix='polis-test-golden-'))
    subprocess.run(['tar', '--no-same-owner', '-xJf', archive, '-C', folder], check=True)
    cluster = Cluster('polis', NETWORK, folder=folder)
    try:
        return cluster.start(), json.loads(archive.with_name(archive.name.replace('.tar.xz', '.json')).read_text())
    except BaseException:
        cluster.close()
        raise


if __name__ == '__main__':
    if sys.argv[1:] != ['make']:
        raise SystemExit(__doc__)
    make(subprocess.run([os.environ.get('POLIS_BINARY', str(ROOT / 'build/release/polis')), '--version'], capture_output=True, text=True,
                        check=True).stdout.split()[1])
