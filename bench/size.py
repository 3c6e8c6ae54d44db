"""Fills etcd and Polis with a million keys: memory, disk, time to serve again after a restart, memory of idle watches.

./x bench size [--keys 1000000] [--watches 100000] [--rounds 1]: three nodes on this machine, one system at a time.
"""
import argparse
import json
import subprocess
import time

import grpc
from servers import Connection, disk_megabytes, generate, generator, memory_megabytes, new_cluster, print_table, ratio, spread, warn_if_busy

VALUE_BYTES = 256
SERVING_SECONDS_MAX = 120.0
QUOTA_BYTES = 8 << 30
STREAMS, CONNECTIONS = 10, 100  # Streams on each connection; the watches are spread over them.
ROWS = {
    'fill_s': ('filling, s', '{:,.0f}', None),
    'memory_mb': ('resident memory of three nodes, MB', '{:,.0f}', 1 / 3),
    'disk_mb': ('disk of three nodes, MB', '{:,.0f}', None),
    'restart_s': ('SIGTERM of all, start: every node serves a linearizable get after, s', '{:,.2f}', None),
    'crash_s': ('the same after SIGKILL of all, s', '{:,.2f}', None),
    'one_s': ('SIGTERM of one, start: it serves a linearizable get after, s', '{:,.2f}', None),
    'memory_restarted_mb': ('resident memory of three nodes after the restarts, MB', '{:,.0f}', None),
    'watch_bytes': ('memory of an idle watch, octets', '{:,.0f}', None),
    'watch_s': ('making all watches, s', '{:,.1f}', None),
}
SERVING_SECONDS_AIM = 3.0  # Of ours: restart_s, crash_s and one_s.


def seconds_to_serve(cluster, nodes, begin):
    """Seconds from `begin` until each of the nodes has answered a linearizable get."""
    for node in nodes:
        while True:
            connection = Connection(f'{node.address}:{cluster.client_port}')
            try:
                connection.call('KV/Range', key=b'bench/00000000', timeout=2)
                break
            except grpc.RpcError as error:
                if time.monotonic() - begin > SERVING_SECONDS_MAX:
                    raise SystemExit(f'{cluster.kind} {node.name} does not serve: {error.details()}\n{node.log_tail()}')
                time.sleep(0.01)
            finally:
                connection.close()
    return time.monotonic() - begin


def restart(cluster, nodes, end):
    """Ends the nodes with `end(node)`, starts them all; seconds until they serve."""
    for node in nodes:
        end(node)
    begin = time.monotonic()
    for node in nodes:
        node.start()
    return seconds_to_serve(cluster, nodes, begin)


def count_keys(cluster):
    """How many keys there are."""
    connection = Connection(cluster.endpoints[0])
    try:
        return connection.call('KV/Range', key=b'\0', range_end=b'\0', count_only=True, timeout=60).count
    finally:
        connection.close()


def idle_watches(cluster, watches):
    """(octets of the servers' memory for each idle watch, seconds to make them)."""
    each = max(1, watches // (STREAMS * CONNECTIONS))
    connections = max(1, watches // (STREAMS * each))
    before, begin = memory_megabytes(cluster), time.monotonic()
    holder = subprocess.Popen(generator(cluster, 'watch-idle', f'--connections={connections}', f'--inflight={STREAMS}',
                                        f'--watches-per-stream={each}', '--seconds=600'), stdout=subprocess.PIPE, text=True)
    try:
        line = holder.stdout.readline()
        if not line.startswith('holding '):
            raise SystemExit(f'polis bench watch-idle failed on {cluster.kind}')
        took = time.monotonic() - begin
        time.sleep(2)
        return (memory_megabytes(cluster) - before) * 1e6 / int(line.split()[1]), took
    finally:
        holder.kill()
        holder.wait()


def one_round(kind, keys, watches):
    """All figures of one system with a new cluster."""
    cluster = new_cluster(kind, quota_backend_bytes=QUOTA_BYTES)
    try:
        found = {'fill_s': generate(cluster, 'put', '--connections=4', '--inflight=64', f'--calls={keys}', f'--keys={keys}',
                                    '--sequential', f'--value-bytes={VALUE_BYTES}', seconds_max=3600)['seconds']}
        if (count := count_keys(cluster)) != keys:
            raise SystemExit(f'{kind} has {count} keys of {keys}')
        time.sleep(5)
        found['memory_mb'], found['disk_mb'] = memory_megabytes(cluster), disk_megabytes(cluster)
        found['restart_s'] = restart(cluster, cluster.nodes, lambda node: node.stop())
        found['crash_s'] = restart(cluster, cluster.nodes, lambda node: node.kill())
        cluster.await_ready()
        found['one_s'] = restart(cluster, cluster.nodes[:1], lambda node: node.stop())
        if (count := count_keys(cluster)) != keys:
            raise SystemExit(f'{kind} has {count} keys of {keys} after the restarts')
        found['memory_restarted_mb'] = memory_megabytes(cluster)
        found['watch_bytes'], found['watch_s'] = idle_watches(cluster, watches)
        return found
    finally:
        cluster.close()


def verdict(results, figure, limit):
    """What became of the aim of a row."""
    if figure in ('restart_s', 'crash_s', 'one_s') and 'polis' in results:
        worst = max(found[figure] for found in results['polis'])
        return f'{"met" if worst < SERVING_SECONDS_AIM else "**missed**"}: {worst:.2f} s, less than {SERVING_SECONDS_AIM:.0f}'
    if limit and len(results) == 2:
        share = ratio(results, figure)
        return f'{"met" if share <= limit else "**missed**"}: {share:.2f}, at most {limit:.2f}'
    return ''


def main():
    """Runs the rounds and prints the table."""
    parser = argparse.ArgumentParser('./x bench size', description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--keys', type=int, default=1_000_000)
    parser.add_argument('--watches', type=int, default=100_000)
    parser.add_argument('--rounds', type=int, default=1)
    parser.add_argument('--systems', default='etcd,polis')
    options = parser.parse_args()
    warn_if_busy()
    results = {kind: [] for kind in options.systems.split(',')}
    for number in range(options.rounds):
        for kind, rounds in results.items():
            rounds.append(one_round(kind, options.keys, options.watches))
            print(f'round {number + 1}, {kind}: ' + json.dumps(rounds[-1]), flush=True)
    print(f'\n{options.keys:,} keys with values of {VALUE_BYTES} octets; {options.watches:,} watches.\n')
    print_table(['figure', *results, 'aim'], [
        [words, *(spread([found[figure] for found in rounds], form) for rounds in results.values()), verdict(results, figure, limit)]
        for figure, (words, form, limit) in ROWS.items()])


if __name__ == '__main__':
    main()
