"""What the comparisons share: the two systems, what their processes use, the load generator, and medians with their spread."""
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / 'tests/harness')]

from messages import Connection  # noqa: E402
from nodes import Cluster  # noqa: E402

NETWORKS = {'etcd': '127.0.1.51', 'polis': '127.0.2.51'}


def new_cluster(kind, **flags):
    """Three nodes of one kind on this machine, started and healthy."""
    cluster = Cluster(kind, NETWORKS[kind], **flags)
    try:
        return cluster.start()
    except BaseException:
        cluster.close()
        raise


def generator(cluster, *arguments):
    """The command line of `polis bench` against a cluster; the same for both systems."""
    binary = os.environ.get('POLIS_BINARY', str(ROOT / 'build/release/polis'))
    return [binary, '--endpoints', ','.join(cluster.endpoints), '--format=json', 'bench', *map(str, arguments)]


def generate(cluster, *arguments, seconds_max=600):
    """Runs `polis bench` to its end; its figures, with their count of errors, or None if it printed none and all was well."""
    done = subprocess.run(generator(cluster, *arguments), capture_output=True, text=True, timeout=seconds_max)
    if done.returncode and not done.stdout.strip():
        raise SystemExit(f'polis bench {" ".join(map(str, arguments))} failed on {cluster.kind}: {done.stdout} {done.stderr}')
    return json.loads(done.stdout.splitlines()[-1]) if done.stdout.strip() else None


def warn_if_busy():
    """Says so if others use the machine: the figures would be theirs, too."""
    load = os.getloadavg()[0]
    if load > 0.3 * len(os.sched_getaffinity(0)):
        print(f'warning: the load average is {load:.1f} before anything was started; the figures are worth little', flush=True)


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


def disk_megabytes(cluster):
    """What the data folders of all nodes take on disk: allocated blocks, not lengths."""
    return sum(path.lstat().st_blocks for node in cluster.nodes for path in node.data.rglob('*')) * 512 / 1e6


def percentile(values, share):
    """The smallest value that at least this share of all are not above."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, math.ceil(share * len(ordered)) - 1))]


def spread(values, form='{:,.0f}'):
    """median [lowest..highest], or the value alone if there is one."""
    texts = [form.format(value) for value in (statistics.median(values), min(values), max(values))]
    return texts[0] if len(values) == 1 else f'{texts[0]} [{texts[1]}..{texts[2]}]'


def ratio(rounds, figure):
    """Median of ours divided by median of etcd's; rounds: {kind: [figures of one round]}."""
    ours, theirs = (statistics.median(found[figure] for found in rounds[kind]) for kind in ('polis', 'etcd'))
    return ours / theirs if theirs else math.inf


def print_table(header, rows):
    """A table in Markdown."""
    print('| ' + ' | '.join(header) + ' |')
    print('|' + ' --- |' * len(header))
    for row in rows:
        print('| ' + ' | '.join(row) + ' |')
    print(flush=True)
