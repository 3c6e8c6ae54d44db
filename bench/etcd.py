"""Puts the same loads on etcd and on Polis, A B A B, and prints the table of docs/benchmarks.md with a verdict for each aim.

./x bench etcd [--seconds 10] [--rounds 3] [--puts 200000] [--only ROW]: three nodes on this machine, which also runs the load generator (`polis bench`, the
same for both). One system runs at a time, each time with a new cluster. Values are medians over the rounds, with the lowest and the highest.
"""
import argparse
import json
import time

from servers import cpu_seconds, generate, memory_megabytes, new_cluster, print_table, ratio, spread, warn_if_busy

# Row: arguments of `polis bench`. The first makes a fixed number of puts on a new cluster, so that memory can be compared: in a
# fixed time the faster system would have more to remember.
MEMORY = 'put, a fixed number'
ROWS = {
    MEMORY: ['put', '--connections=4', '--inflight=64'],
    'put, 1 client': ['put', '--connections=1'],
    'put, 64 connections': ['put', '--connections=64'],
    'put, 256 connections': ['put', '--connections=256'],
    'put, 4 connections x 64': ['put', '--connections=4', '--inflight=64'],
    'put, 500/s': ['put', '--connections=16', '--rate=500'],
    'put, 2000/s': ['put', '--connections=16', '--rate=2000'],
    'put, 5000/s': ['put', '--connections=16', '--rate=5000'],
    'linearizable get, 1 client': ['get', '--connections=1'],
    'linearizable get, 64 connections': ['get', '--connections=64'],
    'linearizable get, 256 connections': ['get', '--connections=256'],
    'linearizable get, 4 connections x 64': ['get', '--connections=4', '--inflight=64'],
    'serializable get, 64 connections': ['get-serializable', '--connections=64'],
    'range of 1000 keys, 16 connections': ['range', '--connections=16'],
    'watch, 1,000 watchers, as fast as all see it': ['watch', '--connections=100', '--inflight=10'],
    'watch, 1,000 watchers, 20 changes/s': ['watch', '--connections=100', '--inflight=10', '--rate=20'],
    'lease keep-alive, 64 connections': ['lease', '--connections=64'],
    'lease keep-alive, 4 connections x 64': ['lease', '--connections=4', '--inflight=64'],
}
NEEDS_KEYS = ('get', 'get-serializable', 'range')
# Row, figure, what ours may be of etcd's.
AIMS = [
    ('put, 64 connections', 'cpu_us', 1 / 4),
    ('linearizable get, 64 connections', 'cpu_us', 1 / 5),
    ('put, 4 connections x 64', 'cpu_us', 1 / 5),
    ('linearizable get, 4 connections x 64', 'cpu_us', 1 / 10),
    ('put, 1 client', 'p50_us', 0.6),
    ('put, 64 connections', 'p99_us', 1 / 2),
    ('put, 4 connections x 64', 'p99_us', 1 / 2),
    (MEMORY, 'memory_mb', 1 / 3),
    ('put, 500/s', 'cpu_us', 1 / 3),
]
WORDS = {'cpu_us': 'CPU', 'p50_us': 'p50', 'p99_us': 'p99', 'memory_mb': 'memory'}


def measure(cluster, row, options):
    """One load on one cluster: the generator's figures, and the servers' processor time for each answer."""
    arguments = list(ROWS[row])
    if arguments[0] in NEEDS_KEYS:
        # What is to be read is written first, so that only the reads are charged.
        generate(cluster, *arguments, '--seconds=0')
        arguments.append('--prepared')
    arguments += [f'--calls={options.puts}'] if row == MEMORY else [f'--seconds={options.seconds}', '--warmup=1']
    before = cpu_seconds(cluster)
    found = generate(cluster, *arguments)
    found['cpu_us'] = (cpu_seconds(cluster) - before) * 1e6 / found['answered_all']
    time.sleep(1)  # A collector of garbage may give something back.
    found['memory_mb'] = memory_megabytes(cluster)
    return found


def one_round(kind, rows, options):
    """A new cluster, every row on it; {row: figures}."""
    cluster = new_cluster(kind)
    try:
        return {row: measure(cluster, row, options) for row in rows}
    finally:
        cluster.close()


def verdicts(results, row):
    """What became of the aims of a row; empty if it has none."""
    words = []
    for aimed, figure, limit in AIMS:
        if aimed == row:
            share = ratio({kind: [found[row] for found in rounds] for kind, rounds in results.items()}, figure)
            words.append(f'{WORDS[figure]} {"met" if share <= limit else "**missed**"}: {share:.2f}, at most {limit:.2f}')
    return '; '.join(words)


def print_results(results, rows):
    """The table of loads, the generator's own cost, and memory."""
    kinds, compared = list(results), len(results) == 2
    header = ['load']
    for kind in kinds:
        header += [f'{kind}: calls/s', 'p50 µs', 'p99 µs', 'server CPU µs a call']
    table = []
    for row in rows:
        cells = [row] + [spread([found[row][figure] for found in results[kind]], form) for kind in kinds for figure, form in
                         (('per_second', '{:,.0f}'), ('p50_us', '{:,.0f}'), ('p99_us', '{:,.0f}'), ('cpu_us', '{:,.1f}'))]
        if compared:
            by_kind = {kind: [found[row] for found in rounds] for kind, rounds in results.items()}
            cells += [f'{ratio(by_kind, "cpu_us"):.2f}', verdicts(results, row)]
        table.append(cells)
    print()
    print_table(header + (['CPU, ours / etcd\'s', 'aim'] if compared else []), table)
    for number, row in ((0, 'after the first row'), (-1, 'after all rows')):
        memory = ', '.join(f'{kind} {spread([found[rows[number]]["memory_mb"] for found in rounds])} MB'
                           for kind, rounds in results.items())
        print(f'Resident memory of the three nodes {row}: {memory}.')
    for kind, rounds in results.items():
        for row in rows:
            if errors := sum(found[row]['errors'] for found in rounds):
                print(f'{kind} answered {errors:,} calls of "{row}" with an error.')
    print('\nWhat the generator itself cost, CPU µs a call (share of one core); it has one thread:\n')
    print_table(['load', *kinds], [[row] + [
        f'{spread([f[row]["own_cpu_us"] for f in results[kind]], "{:.1f}")} ({spread([100 * f[row]["own_cpu_share"] for f in results[kind]])} %)'
        for kind in kinds] for row in rows])


def main():
    """Runs the rounds and prints the tables."""
    parser = argparse.ArgumentParser('./x bench etcd', description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seconds', type=float, default=10, help='of each row')
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--puts', type=int, default=200_000, help='of the row that makes a fixed number')
    parser.add_argument('--only', default='', help='rows that contain this')
    parser.add_argument('--systems', default='etcd,polis')
    options = parser.parse_args()
    warn_if_busy()
    rows = [row for row in ROWS if options.only in row]
    if not rows:
        raise SystemExit('no row contains that; there are:\n  ' + '\n  '.join(ROWS))
    results = {kind: [] for kind in options.systems.split(',')}
    for number in range(options.rounds):
        for kind, rounds in results.items():
            rounds.append(one_round(kind, rows, options))
            print(f'round {number + 1}, {kind}: ' + json.dumps(rounds[-1]), flush=True)
    print_results(results, rows)


if __name__ == '__main__':
    main()
