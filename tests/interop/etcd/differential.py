"""The differential test: tens of thousands of random operations on a real etcd and on ours; every answer, event and hash must match.

Each server has a process of its own that runs the operations of one seed in order and writes what it got, octet by octet, without ids and
terms. The two files are then compared line by line; a difference names the operation and the seed that replays it.
"""
import itertools
import multiprocessing
import os
import pathlib
import queue
import tempfile
import threading
import time
import traceback

import grpc
from messages import Connection, pb
from nodes import Cluster
from operations import EVERYTHING, Operations

OPERATIONS = 20000
WATCH_EVERY = 250  # After so many operations the past is watched.
MARK = b'\xff' * 8  # A key above all others.
NETWORKS = {'oracle': '127.0.1.21', 'subject': '127.0.2.21'}
# What the server chooses by itself.
HEADER_FIELDS = ('cluster_id', 'member_id', 'raft_term')


def canonical(answer):
    """An answer's octets without what each cluster chooses by itself."""
    for field in HEADER_FIELDS:
        answer.header.ClearField(field)
    if isinstance(answer, pb.LeaseTimeToLiveResponse):
        answer.TTL = 1 if answer.TTL > 0 else answer.TTL
        answer.keys[:] = sorted(answer.keys)
    if isinstance(answer, pb.LeaseLeasesResponse):
        ids = sorted(lease.ID for lease in answer.leases)
        del answer.leases[:]
        answer.leases.extend(pb.LeaseStatus(ID=lease) for lease in ids)
    if isinstance(answer, pb.HashKVResponse):
        answer.ClearField('hash_revision')  # New in etcd 3.6.
    return answer.SerializeToString(deterministic=True).hex()


class Watcher:
    """One watch on a stream of its own. What it gets is collected in the background, so that it never counts as slow."""

    def __init__(self, connection, **request):
        self.closing, self.lines, self.arrived = threading.Event(), [], queue.Queue()
        create = pb.WatchRequest(create_request=pb.WatchCreateRequest(**request))
        self.answers = connection.method('Watch/Watch')(itertools.chain([create], self.forever()))
        threading.Thread(target=self.collect, daemon=True).start()

    def forever(self):
        """Keeps the sending side of the stream open."""
        self.closing.wait()
        yield from ()

    def collect(self):
        """Queues the events, and why the watch ended."""
        try:
            for answer in self.answers:
                if answer.canceled:
                    self.arrived.put((0, f'canceled {answer.compact_revision} {answer.cancel_reason}'))
                for event in answer.events:
                    self.arrived.put((event.kv.mod_revision, f'event {event.SerializeToString(deterministic=True).hex()}'))
        except grpc.RpcError:
            pass  # Closed by us.

    def read(self, until):
        """What came, up to an event of revision `until` or the end of the watch."""
        revision = -1
        while 0 != revision < until:
            try:
                revision, text = self.arrived.get(timeout=20)
            except queue.Empty:
                yield 'nothing for 20 s'
                break
            yield text
        self.closing.set()
        self.answers.cancel()


class Run:
    """The operations of one seed on one server, and what it answered."""

    def __init__(self, target, seed, count, out):
        self.connection, self.operations = Connection(target), Operations(seed)
        self.count, self.out = count, out

    def step(self, number):
        """One operation."""
        method, request = self.operations.next()
        try:
            answer = self.connection.method(method)(request, timeout=30)
            self.operations.saw(method, request, answer)
            result = canonical(answer)
        except grpc.RpcError as error:
            result = f'{error.code().name} {error.details()}'
        self.out.write(f'{number} {method} {request.SerializeToString(deterministic=True).hex()} -> {result}\n')

    def watch(self, number):
        """A watch from somewhere in the past to now, with options; ends at a mark that every watch sees."""
        draw, last = self.operations.random, self.operations.revision
        self.connection.call('KV/Put', key=MARK)
        marked = self.connection.call('KV/DeleteRange', key=MARK).header.revision
        self.operations.revision = marked
        filters = draw.choice([[], [], [0], [1]])
        watcher = Watcher(self.connection, key=draw.choice([EVERYTHING[0], self.operations.key()]), range_end=b'\0',
                          start_revision=draw.randint(self.operations.compacted + 1, last + 1), prev_kv=draw.random() < 0.5,
                          filters=filters)
        for text in watcher.read(marked - 1 if filters == [1] else marked):
            self.out.write(f'watch at {number}: {text}\n')

    def history(self, live):
        """At the end: what the live watch got, every key at revisions that are not compacted, and the whole hash."""
        last = self.operations.revision
        for text in live.read(last):
            self.out.write(f'live: {text}\n')
        step = max(1, (last - self.operations.compacted) // 500)
        for revision in range(max(1, self.operations.compacted), last + 1, step):
            answer = self.connection.call('KV/Range', key=EVERYTHING[0], range_end=EVERYTHING[1], revision=revision)
            self.out.write(f'at {revision}: {canonical(answer)}\n')
        self.out.write(f'hash: {canonical(self.connection.call("Maintenance/HashKV"))}\n')

    def all(self):
        """Everything, the last write being one that the live watch is sure to see."""
        live = Watcher(self.connection, key=EVERYTHING[0], range_end=EVERYTHING[1], start_revision=1)
        for number in range(self.count):
            self.step(number)
            if number % WATCH_EVERY == 0:
                self.watch(number)
        self.operations.revision = self.connection.call('KV/Put', key=b'last', value=b'of all').header.revision
        self.history(live)


def work(kind, network, seed, count, path):
    """In a process of its own: starts a one-node cluster, runs, ends it."""
    cluster = Cluster(kind, network, 1)
    with open(path, 'w') as out:
        try:
            cluster.start()
            Run(cluster.endpoints[0], seed, count, out).all()
        except Exception:
            out.write(f'the run broke off: {traceback.format_exc()}\n{cluster.nodes[0].log_tail()}\n')
    cluster.close()
    os._exit(0)  # Watch streams may have threads left that wait for the server that is gone.


def first_difference(paths):
    """(line number, oracle's line, subject's line) of the first difference, or None."""
    with open(paths['oracle']) as oracle, open(paths['subject']) as subject:
        for number, (a, b) in enumerate(itertools.zip_longest(oracle, subject, fillvalue='(ended)\n'), 1):
            if a != b or 'broke off' in a:
                return number, a.strip(), b.strip()
    return None


def run(subject='polis', seed=None, count=OPERATIONS):
    """Runs one seed on both; (passed, [failures])."""
    seed = seed or 1
    folder = pathlib.Path(tempfile.mkdtemp(prefix='polis-test-differential-'))
    kinds = {'oracle': 'etcd', 'subject': subject}
    paths = {role: folder / role for role in kinds}
    start = time.monotonic()
    processes = [multiprocessing.Process(target=work, args=(kinds[role], NETWORKS[role], seed, count, paths[role])) for role in kinds]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    lines = {role: sum(1 for _ in open(path)) if path.exists() else 0 for role, path in paths.items()}
    print(f'  differential: {count} operations with seed {seed}, {lines["oracle"]} lines, {time.monotonic() - start:.0f} s')
    if not all(lines.values()):
        return 0, [f'etcd/differential: a side wrote nothing ({lines})']
    found = first_difference(paths)
    if found or lines['oracle'] < count:
        number, oracle, ours = found or (0, 'too few lines', '')
        print(f'---- etcd/differential: line {number} (both transcripts are in {folder})\n  oracle  {oracle[:2000]}\n  subject {ours[:2000]}')
        return 0, [f'etcd/differential seed {seed}, line {number}']
    for path in paths.values():
        path.unlink()
    folder.rmdir()
    return 1, []
