"""Kills and moves leaders of etcd and of Polis under load, and prints how long no write was acknowledged.

./x bench failover [--kills 100] [--transfers 100] [--only SETTING]: for each system with its default timeouts, and with the other's. A kill is
SIGKILL of the leader, which is started again after; a transfer is MoveLeader. Writes are attempted every few milliseconds through each node
without waiting for the last to end, so that one that hangs hides nothing; `polis bench` adds a steady load.
"""
import argparse
import json
import random
import signal
import subprocess
import threading
import time

import grpc
from servers import Connection, generator, new_cluster, percentile, print_table, warn_if_busy

# Setting: (system, heartbeat and election timeout in ms; None: what the system takes by itself).
SETTINGS = {
    'etcd, its defaults (100/1000 ms)': ('etcd', None),
    'polis, its defaults (50/250 ms)': ('polis', None),
    'etcd, 50/250 ms': ('etcd', (50, 250)),
    'polis, 100/1000 ms': ('polis', (100, 1000)),
}
ATTEMPT_SECONDS = 0.005  # Between two attempts through one node: the resolution of what is measured.
BURST = 16  # Attempts through each node just before a kill, so that some are under way.
HUNG_SECONDS = 1.0
OUTCOMES = ('answered', 'failed', 'hung')
ATTEMPT_SECONDS_MAX = 10.0
RECOVERY_SECONDS_MAX = 60.0
RECONNECT = [('grpc.initial_reconnect_backoff_ms', 20), ('grpc.min_reconnect_backoff_ms', 20), ('grpc.max_reconnect_backoff_ms', 50)]


class Attempt:
    """One put through one node. `end` is 0 while it is under way."""

    def __init__(self, node, connection):
        self.node, self.start, self.end, self.ok = node, time.monotonic(), 0.0, False
        request = connection.put_class(key=b'failover', value=b'v')
        self.call = connection.method('KV/Put').future(request, timeout=ATTEMPT_SECONDS_MAX)
        self.call.add_done_callback(self.ended)

    def ended(self, call):
        """Called by gRPC's thread when the call has ended."""
        self.ok = call.code() == grpc.StatusCode.OK
        self.end = time.monotonic()

    def outcome(self, since):
        """One of OUTCOMES, judged a second after `since` or its start, whichever is later."""
        limit = max(since, self.start) + HUNG_SECONDS
        if self.end == 0 or self.end > limit:
            return 'hung'
        return 'answered' if self.ok else 'failed'


class Prober:
    """Attempts through every node at a steady pace, from start() to stop()."""

    def __init__(self, cluster):
        self.nodes, self.attempts = cluster.nodes, []
        self.connections = {}
        for node, endpoint in zip(cluster.nodes, cluster.endpoints):
            self.connections[node] = Connection(endpoint, options=RECONNECT)
            self.connections[node].put_class = type(self).put_class()
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    @staticmethod
    def put_class():
        """The class of a put's request."""
        from messages import request_class
        return request_class('KV/Put')

    def run(self):
        """The steady pace; behind its time it leaves attempts out."""
        due = time.monotonic()
        while not self.ending.is_set():
            for node in self.nodes:
                self.attempt(node)
            due = max(due + ATTEMPT_SECONDS, time.monotonic())
            time.sleep(max(0, due - time.monotonic()))

    def attempt(self, node):
        """One more."""
        self.attempts.append(Attempt(node, self.connections[node]))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        self.thread.join()
        for connection in self.connections.values():
            connection.close()

    def forget(self):
        """Drops what is over, so that memory stays bounded."""
        self.attempts = [attempt for attempt in self.attempts if attempt.end == 0]


def status_of(prober, node):
    """Its Status, or None."""
    try:
        return prober.connections[node].call('Maintenance/Status', timeout=1)
    except grpc.RpcError:
        return None


def leader_of(prober):
    """The node that leads, and all member ids by node; waits until there is one and all agree."""
    deadline = time.monotonic() + RECOVERY_SECONDS_MAX
    while time.monotonic() < deadline:
        states = {node: status_of(prober, node) for node in prober.nodes}
        if all(states.values()) and len({state.leader for state in states.values()}) == 1:
            ids = {node: state.header.member_id for node, state in states.items()}
            for node, state in states.items():
                if state.leader == ids[node]:
                    return node, ids
        time.sleep(0.02)
    raise SystemExit(f'no leader within {RECOVERY_SECONDS_MAX} s')


def kill_once(cluster, prober):
    """One kill: seconds until a write through another node was acknowledged, and how the calls around it ended."""
    leader, _ = leader_of(prober)
    prober.forget()
    for _ in range(BURST):
        for node in prober.nodes:
            prober.attempt(node)
    leader.signal(signal.SIGKILL)
    killed = time.monotonic()
    others = [node for node in prober.nodes if node is not leader]
    first = 0.0
    while not first:
        if time.monotonic() - killed > RECOVERY_SECONDS_MAX:
            raise SystemExit(f'{cluster.kind} acknowledged nothing within {RECOVERY_SECONDS_MAX} s of a kill')
        time.sleep(0.001)
        first = min((a.end for a in list(prober.attempts) if a.node in others and a.start > killed and a.end and a.ok), default=0.0)
    time.sleep(HUNG_SECONDS + 0.1)
    ends = {which: dict.fromkeys(OUTCOMES, 0) for which in ('killed', 'others', 'outage')}
    for attempt in list(prober.attempts):
        if attempt.start <= killed and not 0 < attempt.end <= killed:
            ends['killed' if attempt.node is leader else 'others'][attempt.outcome(killed)] += 1
        elif killed < attempt.start < first and attempt.node is not leader:
            ends['outage'][attempt.outcome(killed)] += 1
    leader.kill()
    leader.start()
    cluster.await_ready()
    return first - killed, ends


def transfer_once(prober):
    """One MoveLeader: the longest time between two acknowledgements around it, the same before it, and failures meanwhile."""
    leader, ids = leader_of(prober)
    prober.forget()
    target = random.choice([node for node in prober.nodes if node is not leader])
    time.sleep(0.5)
    asked = time.monotonic()
    prober.connections[leader].call('Maintenance/MoveLeader', targetID=ids[target], timeout=10)
    took = time.monotonic() - asked
    time.sleep(max(0.0, 0.5 - took))
    over = time.monotonic()
    time.sleep(0.1)  # The last of them are answered.
    attempts = list(prober.attempts)
    acknowledged = sorted(attempt.end for attempt in attempts if attempt.ok)
    gaps = [(b, b - a) for a, b in zip(acknowledged, acknowledged[1:])]
    failed = sum(1 for attempt in attempts if attempt.end and not attempt.ok)
    return {'took': took, 'gap': max((gap for end, gap in gaps if asked <= end <= over), default=over - asked),
            'gap_before': max((gap for end, gap in gaps if end < asked), default=0.0), 'failed': failed}


def one_setting(kind, timeouts, options):
    """All kills and transfers on one cluster."""
    flags = dict(zip(('heartbeat_interval', 'election_timeout'), timeouts)) if timeouts else {}
    cluster = new_cluster(kind, **flags)
    load = subprocess.Popen(generator(cluster, 'put', '--connections=12', f'--rate={options.rate}', '--seconds=1000000'),
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    found = {'kills': [], 'transfers': []}
    try:
        with Prober(cluster) as prober:
            for number in range(options.kills):
                time.sleep(random.uniform(0.5, 1.0))
                found['kills'].append(kill_once(cluster, prober))
                report(kind, 'kill', number, options.kills, f'{found["kills"][-1][0] * 1e3:.0f} ms')
            for number in range(options.transfers):
                found['transfers'].append(transfer_once(prober))
                report(kind, 'transfer', number, options.transfers, f'{found["transfers"][-1]["gap"] * 1e3:.0f} ms')
        if load.poll() is not None:
            raise SystemExit(f'polis bench ended by itself with status {load.returncode}')
        return found
    finally:
        load.kill()
        load.wait()
        cluster.close()


def report(kind, what, number, count, result):
    """A line for each tenth of the work."""
    if (number + 1) % max(1, count // 10) == 0:
        print(f'{kind}: {what} {number + 1} of {count}: {result}', flush=True)


def shares(kills, which):
    """answered / failed / hung of the calls of one sort, in percent of how many there were."""
    counts = [sum(ends[which][outcome] for _, ends in kills) for outcome in OUTCOMES]
    if not sum(counts):
        return 'none'
    return ' / '.join(f'{100 * count / sum(counts):.1f}' for count in counts) + f' % of {sum(counts):,}'


def milliseconds(values):
    """p50, p99 and maximum as cells."""
    return [f'{value * 1e3:,.0f}' for value in (percentile(values, 0.5), percentile(values, 0.99), max(values))]


def print_results(results):
    """One table for kills, one for transfers."""
    if any(found['kills'] for found in results.values()):
        print('\nFrom SIGKILL of the leader to the first write acknowledged through another node; and how calls ended: answered / '
              f'failed within {HUNG_SECONDS:.0f} s / hung for longer.\n')
        print_table(['setting', 'kills', 'p50 ms', 'p99 ms', 'maximum ms', 'under way through the killed node',
                     'under way through the others', 'begun in the outage through the others'],
                    [[name, str(len(found['kills'])), *milliseconds([gap for gap, _ in found['kills']]),
                      *(shares(found['kills'], which) for which in ('killed', 'others', 'outage'))]
                     for name, found in results.items() if found['kills']])
    if any(found['transfers'] for found in results.values()):
        print('Longest time between two acknowledged writes around a MoveLeader; the same in the half second before; the call itself.\n')
        print_table(['setting', 'transfers', 'p50 ms', 'p99 ms', 'maximum ms', 'before: p50', 'p99', 'maximum', 'MoveLeader: p50', 'p99',
                     'maximum', 'writes that failed'],
                    [[name, str(len(found['transfers'])), *(cell for figure in ('gap', 'gap_before', 'took')
                                                            for cell in milliseconds([t[figure] for t in found['transfers']])),
                      str(sum(t['failed'] for t in found['transfers']))]
                     for name, found in results.items() if found['transfers']])


def main():
    """Runs the settings and prints the tables."""
    parser = argparse.ArgumentParser('./x bench failover', description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--kills', type=int, default=100)
    parser.add_argument('--transfers', type=int, default=100)
    parser.add_argument('--rate', type=int, default=1000, help='puts a second of the load beside the attempts')
    parser.add_argument('--only', default='', help='settings that contain this')
    options = parser.parse_args()
    warn_if_busy()
    results = {}
    for name, (kind, timeouts) in SETTINGS.items():
        if options.only in name:
            results[name] = one_setting(kind, timeouts, options)
            print(f'{name}: ' + json.dumps(results[name]), flush=True)
    if not results:
        raise SystemExit('no setting contains that; there are:\n  ' + '\n  '.join(SETTINGS))
    print_results(results)


if __name__ == '__main__':
    main()
