"""Clients that write, read and watch while a scenario breaks things, and remember everything."""
import itertools
import math
import queue
import random
import threading
import time

import grpc
from history import Event, Lease, Operation
from messages import Connection, kv, pb

CALL_SECONDS_MAX = 2.0
KEEPERS = 3
LEASE_SECONDS = 3
RENEWAL_SECONDS = 0.4
EXPIRY_SECONDS_MAX = 30.0  # Of the last lease: its term, and again after each change of leaders.
WATCH_SECONDS_MAX = 20.0  # Until a watch has seen what was acknowledged before.
KEYS = [f'key{number}' for number in range(8)]
# These say that nothing was done. Everything else leaves it open.
REFUSALS = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.FAILED_PRECONDITION,
            grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.OUT_OF_RANGE)
RECONNECT = [('grpc.initial_reconnect_backoff_ms', 100), ('grpc.min_reconnect_backoff_ms', 100),
             ('grpc.max_reconnect_backoff_ms', 300)]


class Workload:
    """Writers, readers, keepers of leases and watchers over a cluster's endpoints, from start() to stop_watching()."""

    def __init__(self, endpoints, writers=6, seed=1, stale_reads=False):
        self.endpoints, self.seed, self.stale_reads = endpoints, seed, stale_reads
        self.operations, self.watches, self.leases, self.seen = [], [], [], {}
        self.writing_ends, self.watching_ends = threading.Event(), threading.Event()
        self.values, self.lock = itertools.count(), threading.Lock()
        self.callers = [threading.Thread(target=self.write, args=(number,), daemon=True) for number in range(writers)]
        self.callers += [threading.Thread(target=self.insist, args=(number,), daemon=True) for number in range(len(endpoints))]
        self.callers += [threading.Thread(target=self.keep_leases, args=(number,), daemon=True) for number in range(KEEPERS)]
        self.watchers = [threading.Thread(target=self.watch, args=(number,), daemon=True) for number in range(len(endpoints))]

    def start(self):
        """Begins."""
        for thread in self.callers + self.watchers:
            thread.start()
        return self

    def stop_writing(self):
        """Ends all calls, and waits until the last has ended; watches go on."""
        self.writing_ends.set()
        for thread in self.callers:
            thread.join(30)

    def stop_watching(self):
        """Waits until every watch has seen the last acknowledged change, and ends them; faults, if one has not."""
        last = max((op.revision for op in self.operations if op.kind == 'put' and op.outcome == 'ok'), default=0)
        deadline = time.monotonic() + WATCH_SECONDS_MAX
        while time.monotonic() < deadline and any(not events or events[-1].revision < last for _, events in self.watches):
            time.sleep(0.02)
        self.watching_ends.set()
        for thread in self.watchers:
            thread.join(30)
        return [f'watch {number}: saw {events[-1].revision if events else "nothing"} and not {last} within {WATCH_SECONDS_MAX} s'
                for number, (_, events) in enumerate(self.watches) if not events or events[-1].revision < last]

    def await_expiry(self, endpoint):
        """Waits until no key of a lease is left; whether that came to pass."""
        connection, deadline = Connection(endpoint, options=RECONNECT), time.monotonic() + EXPIRY_SECONDS_MAX
        try:
            while connection.call('KV/Range', key=b'lease', range_end=b'leasf', count_only=True).count:
                if time.monotonic() > deadline:
                    return False
                time.sleep(0.05)
            return True
        finally:
            connection.close()

    def acknowledged(self, since=0.0):
        """How many writes were acknowledged that began after a moment."""
        with self.lock:
            return sum(1 for op in self.operations if op.kind != 'get' and op.outcome == 'ok' and op.start >= since)

    def await_progress(self, seconds, count=20):
        """Waits until so many writes that begin from now on are acknowledged; how long it took. AssertionError if it does not."""
        start = time.monotonic()
        while self.acknowledged(start) < count:
            if time.monotonic() - start > seconds:
                raise AssertionError(f'only {self.acknowledged(start)} writes were acknowledged within {seconds} s')
            time.sleep(0.02)
        return time.monotonic() - start

    def longest_gap(self, since):
        """Seconds of the longest time after a moment in which no write was acknowledged."""
        with self.lock:
            ends = sorted(op.end for op in self.operations if op.kind != 'get' and op.outcome == 'ok' and op.end >= since)
        return max((b - a for a, b in zip([since, *ends], ends)), default=0.0)

    def write(self, number):
        """One writer: its calls go to one node until one fails, then to the next."""
        draw = random.Random(f'{self.seed} {number}')
        connections = [Connection(endpoint, options=RECONNECT) for endpoint in self.endpoints]
        node = number
        while not self.writing_ends.is_set():
            operation = self.perform(self.draw(draw), connections[node % len(connections)])
            if operation.outcome != 'ok':
                node += 1
                time.sleep(0.02)
            time.sleep(0.002)
        for connection in connections:
            connection.close()

    def insist(self, number):
        """A reader that never leaves its node: it is there when a node that was stopped or cut off answers again."""
        draw = random.Random(f'{self.seed} reader {number}')
        connection = Connection(self.endpoints[number], options=RECONNECT)
        while not self.writing_ends.is_set():
            self.perform(Operation('get', draw.choice(KEYS), time.monotonic()), connection)
            time.sleep(0.02)
        connection.close()

    def draw(self, draw):
        """The next operation."""
        kind = draw.choice(['put'] * 6 + ['get'] * 5 + ['delete'])
        value = f'v{next(self.values)}' if kind == 'put' else None
        return Operation(kind, draw.choice(KEYS), time.monotonic(), value=value)

    def perform(self, operation, connection, lease=0):
        """Makes the call, fills in what came of it, and keeps it."""
        key = operation.key.encode()
        try:
            if operation.kind == 'put':
                answer = connection.call('KV/Put', key=key, value=operation.value.encode(), lease=lease, timeout=CALL_SECONDS_MAX)
            elif operation.kind == 'delete':
                answer = connection.call('KV/DeleteRange', key=key, timeout=CALL_SECONDS_MAX)
            else:
                answer = connection.call('KV/Range', key=key, serializable=self.stale_reads, timeout=CALL_SECONDS_MAX)
                operation.value = answer.kvs[0].value.decode() if answer.kvs else None
            operation.outcome, operation.revision = 'ok', answer.header.revision
        except grpc.RpcError as error:
            operation.outcome = 'refused' if error.code() in REFUSALS else 'unknown'
            operation.error = f'{error.code().name}: {error.details()}'
        operation.end = time.monotonic()
        with self.lock:
            self.operations.append(operation)
        return operation

    def keep_leases(self, number):
        """Takes a lease with a key, keeps it alive for a while, then revokes it or lets it expire; again and again."""
        draw = random.Random(f'{self.seed} lease {number}')
        keeper = LeaseKeeper(self, [Connection(endpoint, options=RECONNECT) for endpoint in self.endpoints], number)
        for serial in itertools.count():
            if self.writing_ends.is_set():
                break
            keeper.keep_one(f'lease-{number}-{serial}', renewals=draw.randrange(2, 15), revoke=draw.random() < 0.5)
        keeper.close()

    def watch(self, number):
        """One watcher of everything: it goes on at the next node, from the next revision, when its stream ends."""
        events = []
        self.watches.append((1, events))
        while not self.watching_ends.is_set():
            connection = Connection(self.endpoints[number % len(self.endpoints)], options=RECONNECT)
            first = events[-1].revision + 1 if events else 1
            try:
                for event in changes(connection, first, self.watching_ends):
                    self.seen[event.revision] = min(time.monotonic(), self.seen.get(event.revision, math.inf))
                    events.append(event)
            except grpc.RpcError:
                time.sleep(0.1)
            connection.close()
            number += 1


class LeaseKeeper:
    """One client that keeps leases alive, at one node until a call fails, then at the next."""

    def __init__(self, workload, connections, node):
        self.workload, self.connections, self.node = workload, connections, node

    def connection(self):
        """Of the node it uses now."""
        return self.connections[self.node % len(self.connections)]

    def close(self):
        """Ends its connections."""
        for connection in self.connections:
            connection.close()

    def keep_one(self, key, renewals, revoke):
        """The life of one lease, kept in the workload's list if it was granted."""
        start = time.monotonic()
        try:
            granted = self.connection().call('Lease/LeaseGrant', TTL=LEASE_SECONDS, timeout=CALL_SECONDS_MAX)
        except grpc.RpcError:
            return self.move_on()
        lease = Lease(key, float(granted.TTL), confirmed=start)
        with self.workload.lock:
            self.workload.leases.append(lease)
        put = Operation('put', key, time.monotonic(), value=f'v{next(self.workload.values)}')
        if self.workload.perform(put, self.connection(), lease=granted.ID).outcome != 'ok':
            self.move_on()
        for _ in range(renewals):
            if lease.gone is not None or self.workload.writing_ends.wait(RENEWAL_SECONDS):
                return
            self.renew(lease, granted.ID)
        if revoke and lease.gone is None:
            lease.revocation = 'asked'
            try:
                self.connection().call('Lease/LeaseRevoke', ID=granted.ID, timeout=CALL_SECONDS_MAX)
                lease.revocation = 'ok'
            except grpc.RpcError:
                self.move_on()

    def renew(self, lease, number):
        """One renewal over a stream of its own."""
        start, request = time.monotonic(), pb.LeaseKeepAliveRequest(ID=number)
        try:
            answer = next(self.connection().method('Lease/LeaseKeepAlive')(iter([request]), timeout=CALL_SECONDS_MAX))
        except (grpc.RpcError, StopIteration):
            return self.move_on()
        if answer.TTL > 0:
            lease.confirmed = start
        else:
            lease.gone = time.monotonic()

    def move_on(self):
        """The next call goes to the next node."""
        self.node += 1
        time.sleep(0.02)


def changes(connection, first, ending=None, until=None, quiet=3.0):
    """Changes from a revision on: until `ending` is set, or until revision `until` has come. Moves on from a silent node."""
    closing, arrived = threading.Event(), queue.Queue()

    def requests():
        yield pb.WatchRequest(create_request=pb.WatchCreateRequest(key=b'\0', range_end=b'\0', start_revision=first))
        closing.wait()

    stream = connection.method('Watch/Watch')(requests())

    def read():
        try:
            for answer in stream:
                arrived.put(answer)
        except grpc.RpcError as error:
            arrived.put(error)

    threading.Thread(target=read, daemon=True).start()
    try:
        last = time.monotonic()
        while not (ending and ending.is_set()):
            try:
                answer = arrived.get(timeout=0.1)
            except queue.Empty:
                if time.monotonic() - last > quiet:
                    return
                continue
            last = time.monotonic()
            if isinstance(answer, grpc.RpcError):
                raise answer
            if answer.canceled:
                raise AssertionError(f'a watch from {first} was canceled: {answer.compact_revision} {answer.cancel_reason}')
            for event in answer.events:
                deleted = event.type == kv.Event.DELETE
                yield Event(event.kv.mod_revision, event.kv.key.decode(), None if deleted else event.kv.value.decode())
            if until and answer.events and answer.events[-1].kv.mod_revision >= until:
                return
    finally:
        closing.set()
        stream.cancel()


def whole_log(endpoint, until):
    """Every change from the first on, as one node tells it at the end."""
    connection = Connection(endpoint, options=RECONNECT)
    try:
        return list(changes(connection, 1, until=until, quiet=10.0))
    finally:
        connection.close()
