"""Cases: leases, locks and elections."""
import re
import time

from case import case
from messages import lock_pb


@case()
def ctl_lease(c):
    """The lease commands one after the other."""
    out = c.ctl('lease', 'grant', '100')
    lease = re.search(r'lease (\w+) granted', out)
    lease = lease[1] if lease else '1'
    c.ctl('put', 'k1', 'v', f'--lease={lease}')
    c.ctl('put', 'k2', 'v', f'--lease={lease}')
    c.ctl('lease', 'list')
    c.ctl('lease', 'list', '-w', 'json')
    text = c.ctl('lease', 'timetolive', lease, '--keys', record=False)
    c.note(re.sub(r'remaining\(\d+s\)', 'remaining(<time>)', text))
    c.ctl('lease', 'keep-alive', lease, '--once')
    c.ctl('lease', 'keep-alive', lease, '--once', '-w', 'json')
    c.ctl('get', 'k', '--prefix', '-w', 'json')
    c.ctl('lease', 'revoke', lease)
    c.ctl('lease', 'revoke', lease)
    c.ctl('lease', 'timetolive', lease)
    c.ctl('lease', 'keep-alive', lease, '--once')
    c.ctl('get', 'k', '--prefix')
    c.ctl('lease', 'list')
    for words in (['grant'], ['grant', 'long'], ['grant', '-1'], ['grant', '0'], ['revoke'], ['revoke', 'xyz'], ['timetolive'],
                  ['grant', '9000000001'], ['keep-alive'], ['timetolive', 'ffff']):
        c.ctl('lease', *words)


@case()
def grant(c):
    """Chosen ids, ids taken, times to live at their limits."""
    for fields in (dict(TTL=100, ID=1000), dict(TTL=100, ID=1000), dict(TTL=1, ID=1001), dict(TTL=0, ID=1002), dict(TTL=-5, ID=1003),
                   dict(TTL=9000000000, ID=1004), dict(TTL=9000000001, ID=1005), dict(TTL=2, ID=1006), dict(TTL=3, ID=1007),
                   dict(TTL=50, ID=-7), dict(TTL=50, ID=0)):
        c.call('Lease/LeaseGrant', **fields)
    answer = c.call('Lease/LeaseLeases', record=False)
    c.note(sorted(lease.ID for lease in answer.leases if 0 < lease.ID < 10 ** 9 and lease.ID not in (1001, 1002, 1003, 1006)))


@case()
def time_to_live(c):
    """Granted and remaining time, keys, unknown leases."""
    c.call('Lease/LeaseGrant', TTL=100, ID=5)
    for key in (b'b', b'a', b'c'):
        c.alone(key, lease=5)
    for fields in (dict(ID=5), dict(ID=5, keys=True), dict(ID=6), dict(ID=6, keys=True), dict(ID=0)):
        answer = c.call('Lease/LeaseTimeToLive', record=False, **fields)
        if answer is None:
            c.call('Lease/LeaseTimeToLive', **fields)
            continue
        c.note(f'{fields}: about {round(answer.TTL / 10) * 10} of {answer.grantedTTL}, keys {sorted(answer.keys)}')
    c.alone(b'a')
    c.connection().call('KV/DeleteRange', key=b'b')
    answer = c.call('Lease/LeaseTimeToLive', ID=5, keys=True, record=False)
    c.note(f'keys {sorted(answer.keys)}')


@case()
def keep_alive(c):
    """A stream of renewals: each answered with its time to live, or 0 for what is not there."""
    c.call('Lease/LeaseGrant', TTL=100, ID=8)
    stream = c.open_stream('Lease/LeaseKeepAlive')
    for lease in (8, 9, 8, 0):
        stream.send(ID=lease)
        stream.take(1)
    c.call('Lease/LeaseRevoke', ID=8)
    stream.send(ID=8)
    stream.take(1)


@case()
def expiry(c):
    """A lease that is not renewed ends, with its keys; one that is renewed lives."""
    for lease, ttl in ((21, 2), (22, 2)):
        c.call('Lease/LeaseGrant', TTL=ttl, ID=lease)
        c.alone(b'k%d' % lease, lease=lease)
    stream = c.open_stream('Lease/LeaseKeepAlive')
    deadline = time.monotonic() + 12
    while time.monotonic() < deadline:
        stream.send(ID=22)
        stream.take(1, record=False)
        c.lines.pop()
        keys = [pair.key for pair in c.connection().call('KV/Range', key=b'k', range_end=b'l').kvs]
        if keys == [b'k22']:
            break
        time.sleep(0.4)
    c.note(f'left: {keys}')
    c.call('KV/Range', key=b'k', range_end=b'l')
    c.call('Lease/LeaseRevoke', ID=21)
    c.call('Lease/LeaseRevoke', ID=22)
    c.call('Lease/LeaseRevoke', ID=0)


@case()
def revoke(c):
    """Revoking deletes the keys in one revision; a lease without keys spends none."""
    c.call('Lease/LeaseGrant', TTL=100, ID=31)
    for key in (b'z', b'a', b'm'):
        c.alone(key, b'v', lease=31)
    c.call('Lease/LeaseRevoke', ID=31)
    c.call('KV/Range', key=b'\0', range_end=b'\0')
    c.call('Lease/LeaseGrant', TTL=100, ID=32)
    c.call('Lease/LeaseRevoke', ID=32)
    c.call('KV/Put', key=b'k', lease=31)
    c.call('KV/Range', key=b'k')


@case()
def on_every_node(c):
    """Leases are granted, renewed, asked for and revoked through any node."""
    for node in (1, 2, 3):
        c.call('Lease/LeaseGrant', TTL=100, ID=40 + node, node=node)
        other = node % 3 + 1
        stream = c.open_stream('Lease/LeaseKeepAlive', node=other)
        stream.send(ID=40 + node)
        stream.take(1)
        answer = c.call('Lease/LeaseTimeToLive', ID=40 + node, node=other, record=False)
        c.note(f'{answer.grantedTTL} granted, {answer.TTL >= 98} left')
        c.call('Lease/LeaseRevoke', ID=40 + node, node=other)


def in_line(c, name):
    """The keys of those who hold a lock or wait for it."""
    return c.connection().call('KV/Range', key=name + b'/', range_end=name + b'0').kvs


@case()
def ctl_lock(c):
    """etcdctl lock: holds, waits in line, runs a command, gives up."""
    c.ctl('lock', 'mutex', 'echo', 'held')
    c.ctl('lock', 'mutex', 'sh', '-c', 'exit 7')
    holder = c.start_ctl('lock', 'mutex')
    holder.expect(1)
    waiter = c.start_ctl('lock', 'mutex')
    c.until(lambda: len(in_line(c, b'mutex')) == 2)
    c.note(f'the waiter has printed {len(waiter.lines)} lines')
    holder.process.terminate()
    holder.finish(1, wait=True)
    waiter.finish(1)
    c.ctl('lock')
    c.ctl('lock', 'mutex2', '--ttl=3', 'echo', 'with ttl')


@case()
def ctl_elect(c):
    """etcdctl elect: campaigns, is observed, hands over."""
    first = c.start_ctl('elect', 'office', 'first')
    first.expect(2)
    second = c.start_ctl('elect', 'office', 'second')
    listener = c.start_ctl('elect', '-l', 'office')
    listener.expect(2)
    first.process.terminate()
    second.expect(2)
    listener.finish(4)
    first.finish(2)
    second.finish(2)
    c.ctl('elect')
    c.ctl('elect', '-l', 'a', 'b')


@case()
def lock_service(c):
    """v3lockpb: lock, wait, unlock, unknown leases."""
    for lease in (51, 52):
        c.call('Lease/LeaseGrant', TTL=100, ID=lease)
    first = c.call('Lock/Lock', name=b'm', lease=51)
    c.call('Lock/Lock', name=b'm', lease=51)
    waiting = c.connection(2).method('Lock/Lock').future(
        lock_pb.LockRequest(name=b'm', lease=52), timeout=15)
    c.until(lambda: len(in_line(c, b'm')) == 2)
    c.note(f'waiting: {not waiting.done()}')
    c.call('Lock/Unlock', key=first.key)
    c.note_value('second ->', c.names.message(waiting.result()))
    c.call('Lock/Unlock', key=b'no such key')
    c.call('Lock/Unlock', key=b'')
    c.call('Lock/Lock', name=b'm2', lease=999)
    c.call('Lock/Lock', name=b'', lease=51)
    c.call('Lease/LeaseRevoke', ID=52)
    c.call('KV/Range', key=b'm', range_end=b'n')


@case()
def election_service(c):
    """v3electionpb: campaign, proclaim, leader, observe, resign."""
    c.call('Lease/LeaseGrant', TTL=100, ID=61)
    c.call('Lease/LeaseGrant', TTL=100, ID=62)
    c.call('Election/Leader', name=b'e')
    won = c.call('Election/Campaign', name=b'e', lease=61, value=b'one')
    observed = c.open_stream('Election/Observe', node=2)
    observed.send(name=b'e')
    observed.take(1)
    c.call('Election/Leader', name=b'e')
    c.call('Election/Campaign', name=b'e', lease=61, value=b'one again')
    observed.take(1)
    c.call('Election/Proclaim', leader=won.leader, value=b'one proclaims')
    observed.take(1)
    c.call('Election/Resign', leader=won.leader)
    c.call('Election/Proclaim', leader=won.leader, value=b'too late')
    c.call('Election/Resign', leader=won.leader)
    c.call('Election/Campaign', name=b'e', lease=62, value=b'two')
    observed.take(1)
    c.call('Election/Campaign', name=b'e', lease=999, value=b'nobody')
    c.call('Election/Proclaim', value=b'no leader given')
    c.call('Election/Resign')
    c.call('KV/Range', key=b'e', range_end=b'f')
