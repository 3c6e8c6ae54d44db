"""Runs the upgrade tests: python3 tests/upgrade/run.py. Data written by every release is opened by this binary, read whole, written on."""
import base64
import json
import os
import subprocess
import sys
import traceback

import golden

os.environ['ETCDCTL_API'] = '3'


def etcdctl(cluster, *words, endpoint=None):
    """etcdctl's JSON about a cluster; AssertionError with what it said if it fails."""
    done = subprocess.run(['etcdctl', '--endpoints', endpoint or ','.join(cluster.endpoints), '-w', 'json', *map(str, words)],
                          capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, f'etcdctl {" ".join(map(str, words))}: {done.stderr.strip()}'
    return json.loads(done.stdout) if done.stdout.strip() else None


def rows(answer):
    """Keys as golden.py describes them."""
    return [[pair['key'], pair.get('value', ''), pair['create_revision'], pair['mod_revision'], pair['version'], pair.get('lease', 0)]
            for pair in answer.get('kvs', [])]


def read_whole(cluster, expected):
    """Every key, now and in the past, from every node, and everything beside keys."""
    for endpoint in cluster.endpoints:
        answer = etcdctl(cluster, 'get', '', '--prefix', f'--rev={expected["revision"]}', endpoint=endpoint)
        assert rows(answer) == expected['keys'], f'{endpoint} has other keys than were written'
        before = etcdctl(cluster, 'get', '', '--prefix', f'--rev={expected["early"]}', endpoint=endpoint)
        assert rows(before) == expected['early_keys'], f'{endpoint} has another past at revision {expected["early"]}'
        connection = golden.Connection(endpoint)
        found = connection.call('Maintenance/HashKV', revision=expected['revision']).hash
        connection.close()
        assert found == expected['hash'], f'{endpoint}: HashKV is {found} and was {expected["hash"]}'
    gone = subprocess.run(['etcdctl', '--endpoints', cluster.endpoints[0], 'get', 'x', f'--rev={expected["compacted"] - 1}'],
                          capture_output=True, text=True)
    assert 'compacted' in gone.stderr, f'what was compacted is back: {gone}'
    leases = sorted(lease['id'] for lease in etcdctl(cluster, 'lease', 'list')['leases'])
    assert leases == expected['leases'], f'leases {leases}'
    for lease in leases:
        told = etcdctl(cluster, 'lease', 'timetolive', f'{lease:x}')
        assert golden.LEASE_SECONDS * 0.9 < told['ttl'] <= golden.LEASE_SECONDS, f'lease {lease:x} has {told["ttl"]} s left'
    members = sorted(member['name'] for member in etcdctl(cluster, 'member', 'list')['members'])
    assert members == expected['members'], f'members {members}'
    assert etcdctl(cluster, 'user', 'get', 'alice')['roles'] == ['reader'], 'user alice has other roles'
    permission = etcdctl(cluster, 'role', 'get', 'reader')['perm'][0]
    assert base64.b64decode(permission['key']) == b'/golden/', f'role reader may read {permission}'


def write_on(cluster, expected):
    """Writes of each kind; the revision goes on where it was."""
    revision = etcdctl(cluster, 'put', '/after/one', 'first')['header']['revision']
    assert revision == expected['revision'] + 1, f'the first write after the upgrade has revision {revision}'
    key = base64.b64decode(expected['keys'][-1][0]).decode()
    assert etcdctl(cluster, 'del', key)['deleted'] == 1, f'{key} could not be deleted'
    lease = etcdctl(cluster, 'lease', 'grant', 1000)['ID']
    etcdctl(cluster, 'put', '/after/two', 'second', f'--lease={lease:x}')
    held = next(row for row in expected['keys'] if row[5])
    held_count = sum(1 for row in expected['keys'] if row[5] == held[5] and row is not expected['keys'][-1])
    before = len(rows(etcdctl(cluster, 'get', '', '--prefix')))
    etcdctl(cluster, 'lease', 'revoke', f'{held[5]:x}')
    after = len(rows(etcdctl(cluster, 'get', '', '--prefix')))
    assert before - after == held_count, f'revoking a lease of before took {before - after} keys instead of {held_count}'


def same_on_all(cluster):
    """All nodes have the same keys and hash."""
    connections = [golden.Connection(endpoint) for endpoint in cluster.endpoints]
    last = connections[0].call('KV/Range', key=b'x').header.revision
    for connection in connections:
        connection.call('KV/Range', key=b'x')
    hashes = {connection.call('Maintenance/HashKV', revision=last).hash for connection in connections}
    assert len(hashes) == 1, f'hashes at revision {last}: {hashes}'


def opens(archive):
    """One release's data: opened, read, written on, restarted node by node, read again."""
    cluster, expected = golden.opened(archive)
    try:
        read_whole(cluster, expected)
        write_on(cluster, expected)
        for node in cluster.nodes:
            assert node.stop() == 0, f'{node.name} did not end well'
            node.start()
            cluster.await_ready([node])
        assert rows(etcdctl(cluster, 'get', '/after/', '--prefix'))[0][1] == golden.text(b'first')
        same_on_all(cluster)
    finally:
        cluster.close()


def main():
    """In a network of its own: opens every archive; closes with the count."""
    if '--inside' not in sys.argv:
        return subprocess.run(['unshare', '--net', '--pid', '--fork', '--kill-child', '--mount-proc', sys.executable, '-sB', __file__,
                               '--inside'], timeout=600).returncode
    subprocess.run(['ip', 'link', 'set', 'lo', 'up'], check=True)
    passed, failed = 0, []
    for archive in golden.archives():
        try:
            opens(archive)
            passed += 1
        except Exception:
            traceback.print_exc(file=sys.stdout)
            failed.append(f'upgrade/{archive.name}')
    for name in failed:
        print(f'FAILED {name}')
    if not passed and not failed:
        failed.append('nothing ran')
    print(f'{passed} passed, {len(failed)} failed', flush=True)
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
