"""Runs the fault tests: python3 tests/faults/run.py [--short] [--subject etcd|polis] [--seed N] [--old BINARY] [SCENARIO]."""
import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / 'harness'), str(HERE)]

import history  # noqa: E402
from clocks import Clocks  # noqa: E402
from messages import Connection  # noqa: E402
from namespaces import PREFIX, Namespaces  # noqa: E402
from nodes import Cluster  # noqa: E402
from scenarios import SCENARIOS, World  # noqa: E402
from workload import Workload, whole_log  # noqa: E402

SECONDS_MAX = 600  # One scenario, whatever happens.
ACKNOWLEDGED_MIN = 100  # A run in which less was written has shown nothing.


def test_checker():
    """The checker's own tests; (passed, [failures])."""
    suite = unittest.defaultTestLoader.discover(str(HERE), pattern='*_test.py')
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=0).run(suite)
    bad = [str(test) for test, _ in result.failures + result.errors]
    return result.testsRun - len(bad), [f'faults/checker {name}' for name in bad]


class NoWrapper:
    """Nodes are started as they are."""

    @staticmethod
    def wrapper(_):
        """No words before a node's command."""
        return []


def make_cluster(function, options):
    """The cluster that a scenario asks for, started."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix=f'polis-test-{function.__name__}-'))
    namespaces = Namespaces(function.nodes) if function.network == 'namespaces' else None
    first = f'{PREFIX}.1' if namespaces else '127.0.4.1'
    clocks = Clocks(folder, function.nodes) if function.clocks else None
    cluster = Cluster(options.subject, first, function.nodes, folder=folder, wrapper=(namespaces or clocks or NoWrapper).wrapper,
                      **function.flags)
    cluster.namespaces, cluster.clocks = namespaces, clocks
    for node in cluster.nodes:
        node.program = options.old
    if function.disk_bytes:
        for node in cluster.nodes:
            node.data.mkdir(mode=0o700)
            subprocess.run(['mount', '-t', 'tmpfs', '-o', f'size={function.disk_bytes}', 'tmpfs', node.data], check=True)
    try:
        return cluster.start()
    except BaseException:
        close(cluster)
        raise


def close(cluster):
    """Ends the cluster and removes what it left."""
    for node in cluster.nodes:
        node.kill()
        if os.path.ismount(node.data):
            subprocess.run(['umount', node.data], check=True)
    shutil.rmtree(cluster.folder, ignore_errors=True)


def judge(cluster, workload):
    """After everything is healed: the faults of the history, and what else must hold at the end."""
    workload.stop_writing()
    cluster.await_ready(seconds=60)
    workload.await_expiry(cluster.endpoints[0])
    late = workload.stop_watching()
    connection = Connection(cluster.endpoints[0])
    last = connection.call('KV/Range', key=b'key0').header.revision
    logs = [whole_log(endpoint, last) for endpoint in cluster.endpoints]
    faults = late + history.check(workload.operations, logs[0], workload.watches, workload.leases, workload.seen)
    faults += [f'{node.name} has another history than {cluster.nodes[0].name}' for node, log in zip(cluster.nodes[1:], logs[1:])
               if log != logs[0]]
    hashes = [Connection(endpoint).call('Maintenance/HashKV', revision=last).hash for endpoint in cluster.endpoints]
    if len(set(hashes)) != 1:
        faults.append(f'the nodes\' stores differ: HashKV {hashes}')
    if workload.acknowledged() < ACKNOWLEDGED_MIN:
        faults.append(f'only {workload.acknowledged()} writes were acknowledged: that shows nothing')
    if not workload.leases:
        faults.append('no lease was granted: that shows nothing')
    return faults


def run_scenario(function, options):
    """One scenario in this process; its faults."""
    cluster = make_cluster(function, options)
    workload = Workload(cluster.endpoints, seed=options.seed, stale_reads=bool(function.canary))
    try:
        workload.start()
        world = World(cluster, workload, options.short)
        workload.await_progress(20)
        function(world)
        faults = judge(cluster, workload)
        if function.canary:
            found = [fault for fault in faults if function.canary in fault]
            world.notes.append(f'{len(found)} faults found, as there must be')
            faults = [fault for fault in faults if fault not in found] if found else ['the checker found no fault']
        outcomes = [operation.outcome for operation in workload.operations]
        print(f'    {len(outcomes)} operations, {outcomes.count("unknown")} of unknown outcome, {workload.acknowledged()} writes '
              f'acknowledged, {len(workload.leases)} leases; recovery '
              + ', '.join(f'{note:.2f} s' if isinstance(note, float) else note for note in world.notes))
    except Exception:
        faults = [traceback.format_exc()]
        for node in cluster.nodes:
            print(f'---- end of the log of {node.name}:\n{node.log_tail(15)}')
    finally:
        workload.writing_ends.set()
        workload.watching_ends.set()
        close(cluster)
    return faults


def run_apart(function, options):
    """One scenario in a process, and network and mount namespaces, of its own; whether it passed."""
    command = ['unshare', '--mount', '--net', '--pid', '--fork', '--kill-child', '--mount-proc', sys.executable, '-sB', __file__,
               '--inside', f'--subject={options.subject}', f'--seed={options.seed}', function.__name__]
    if options.short:
        command.append('--short')
    if options.old:
        command.append(f'--old={options.old}')
    print(f'  {function.__name__}: {function.__doc__.splitlines()[0]}', flush=True)
    start = time.monotonic()
    try:
        status = subprocess.run(command, timeout=SECONDS_MAX).returncode
    except subprocess.TimeoutExpired:
        print(f'    no end within {SECONDS_MAX} s')
        status = 1
    print(f'    {"passed" if status == 0 else "FAILED"} in {time.monotonic() - start:.0f} s', flush=True)
    return status == 0


def inside(options):
    """In the namespaces of its own: runs the named scenario."""
    subprocess.run(['ip', 'link', 'set', 'lo', 'up'], check=True)
    function = next(function for function in SCENARIOS if function.__name__ == options.scenario)
    faults = run_scenario(function, options)
    for fault in faults[:20]:
        print(f'    {fault}')
    if len(faults) > 20:
        print(f'    and {len(faults) - 20} more')
    sys.stdout.flush()
    os._exit(1 if faults else 0)  # gRPC's threads may still wait for nodes that are gone.


def main():
    """Runs the scenarios; closes with the count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--short', action='store_true', help='fewer rounds, for every landing')
    parser.add_argument('--subject', default='polis', choices=['polis', 'etcd'])
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--old', help='an earlier build of polis, with which nodes are started first: rolling_restart upgrades them')
    parser.add_argument('--inside', action='store_true', help=argparse.SUPPRESS)
    parser.add_argument('scenario', nargs='?', default='')
    options = parser.parse_args()
    if options.inside:
        inside(options)
    passed, failed = test_checker() if not options.scenario else (0, [])
    for function in SCENARIOS:
        if options.scenario in function.__name__:
            if run_apart(function, options):
                passed += 1
            else:
                failed.append(f'faults/{function.__name__}')
    for name in failed:
        print(f'FAILED {name}')
    if not passed and not failed:
        failed.append('nothing ran')
    print(f'{passed} passed, {len(failed)} failed')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
