"""Puts the same loads on etcd and on Polis, alternating, and prints the table of docs/benchmarks.md.

python3 bench/compare.py [--seconds 10] [--rounds 3] [--only ROW]: three nodes of each on this machine, which also runs the load generator
(`polis bench`). One of the two runs at a time. Values are medians over the rounds, with the lowest and the highest.
"""
import argparse
import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / 'tests/harness')]

import grpc  # noqa: E402
from messages import Connection  # noqa: E402
from nodes import Cluster  # noqa: E402

SYSTEMS = {'etcd': '127.0.1.51', 'polis': '127.0.2.51'}
# Row: arguments of `polis bench`.
ROWS = {
    'put, 1 client': ['put', '--connections=1'],
    'put, 64 connections': ['put', '--connections=64'],
    'put, 4 connections x 64': ['put', '--connections=4', '--inflight=64'],
    'put, 500/s': ['put', '--connections=16', '--rate=500'],
    'put, 2000/s': ['put', '--connections=16', '--rate=2000'],
    'put, 5000/s': ['put', '--connections=16', '--rate=5000'],
    'linearizable get, 1 client': ['get', '--connections=1'],
    'linearizable get, 64 connections': ['get', '--connections=64'],
    'linearizable get, 4 connections x 64': ['get', '--connections=4', '--inflight=64'],
    'serializable get, 64 connections': ['get-serializable', '--connections=64'],
    'range of 1000 keys, 16 connections': ['range', '--connections=16'],
}


def binary():
    """The load generator, and the server under test."""
    return os.environ.get('POLIS_BINARY', str(ROOT / 'build/release/polis'))


def cpu_seconds(cluster):
    """Processor time of all server processes so far."""
    ticks = 0
    for node in cluster.nodes:
        fields = pathlib.Path(f'/proc/{node.process.pid}/stat').read_text().rpartition(')')[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf('SC_CLK_TCK')


def memory_megabytes(cluster):
    """Resident memory of all server processes."""
    pages = sum(int(pathlib.Path(f'/proc/{node.process.pid}/statm').read_text().split()[1]) for node in cluster.nodes)
    return pages * os.sysconf('SC_PAGE_SIZE') / 1e6


def measure(cluster, arguments, seconds):
    """One load on one cluster: the generator's figures, and the servers' processor time for each call."""
    if not arguments[0].startswith('put'):
        # What is to be read is written first, so that only the reads are charged.
        subprocess.run([binary(), '--endpoints', ','.join(cluster.endpoints), 'bench', *arguments, '--seconds=0'],
                       check=True, timeout=120)
        arguments = [*arguments, '--prepared']
    before = cpu_seconds(cluster)
    done = subprocess.run([binary(), '--endpoints', ','.join(cluster.endpoints), '--format=json', 'bench', *arguments,
                           f'--seconds={seconds}', '--warmup=1'], capture_output=True, text=True, timeout=seconds + 60)
    if done.returncode:
        raise SystemExit(f'polis bench failed on {cluster.kind}: {done.stdout} {done.stderr}')
    found = json.loads(done.stdout.splitlines()[-1])
    # The generator also loads during its second of warming up.
    found['cpu_us'] = (cpu_seconds(cluster) - before) * 1e6 / (found['calls'] * (seconds + 1) / seconds)
    found['memory_mb'] = memory_megabytes(cluster)
    return found


def longest_gap(cluster):
    """Milliseconds without an acknowledged write after SIGKILL of the leader. A client a node, each with a short deadline."""
    acknowledged, ending = [], threading.Event()

    def write(endpoint):
        connection = Connection(endpoint)
        while not ending.is_set():
            try:
                connection.call('KV/Put', key=b'gap', value=b'v', timeout=0.3)
                acknowledged.append(time.monotonic())
            except grpc.RpcError:
                time.sleep(0.002)
        connection.close()

    threads = [threading.Thread(target=write, args=(endpoint,)) for endpoint in cluster.endpoints]
    for thread in threads:
        thread.start()
    time.sleep(2)
    for node, endpoint in zip(cluster.nodes, cluster.endpoints):
        connection = Connection(endpoint)
        status = connection.call('Maintenance/Status')
        connection.close()
        if status.leader == status.header.member_id:
            killed = time.monotonic()
            node.signal(signal.SIGKILL)
            break
    time.sleep(5)
    ending.set()
    for thread in threads:
        thread.join()
    times = [moment for moment in acknowledged if moment > killed - 0.5]
    return max(b - a for a, b in zip(times, times[1:])) * 1e3


def one_round(kind, rows, seconds, gap):
    """A new cluster, every row on it; {row: figures}."""
    cluster = Cluster(kind, SYSTEMS[kind])
    try:
        cluster.start()
        found = {row: measure(cluster, ROWS[row], seconds) for row in rows}
        if gap:
            found['leader killed'] = {'gap_ms': longest_gap(cluster)}
        return found
    finally:
        cluster.close()


def spread(rounds, row, figure, form='{:.0f}'):
    """median [lowest..highest] of a figure."""
    values = sorted(found[row][figure] for found in rounds)
    text = [form.format(value) for value in (statistics.median(values), values[0], values[-1])]
    return f'{text[0]} [{text[1]}..{text[2]}]'


def table(results, rows, gap):
    """The table in Markdown."""
    print(f'\n| load | {" | ".join(f"{kind}: calls/s | p50 µs | p99 µs | server CPU µs a call" for kind in results)} |')
    print('| --- |' + ' --- |' * 4 * len(results))
    for row in rows:
        cells = [spread(rounds, row, figure) for rounds in results.values() for figure in ('per_second', 'p50_us', 'p99_us', 'cpu_us')]
        print(f'| {row} | {" | ".join(cells)} |')
    if gap:
        gaps = ', '.join(f'{kind} {spread(rounds, "leader killed", "gap_ms")} ms' for kind, rounds in results.items())
        print(f'\nLongest time without an acknowledged write after SIGKILL of the leader: {gaps}.')
    memory = ', '.join(f'{kind} {spread(rounds, rows[-1], "memory_mb")} MB' for kind, rounds in results.items() if rows)
    print(f'Resident memory of the three nodes after all loads: {memory}.')


def main():
    """Runs the rounds and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seconds', type=int, default=10)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--only', default='', help='rows that contain this')
    parser.add_argument('--systems', default='etcd,polis')
    options = parser.parse_args()
    rows = [row for row in ROWS if options.only in row]
    gap = options.only in 'leader killed'
    results = {kind: [] for kind in options.systems.split(',')}
    for number in range(options.rounds):
        for kind, rounds in results.items():
            rounds.append(one_round(kind, rows, options.seconds, gap))
            print(f'round {number + 1}, {kind}: ' + json.dumps(rounds[-1]), flush=True)
    table(results, rows, gap)


if __name__ == '__main__':
    main()
