"""Clients that write, read and watch while a scenario breaks things, and remember everything."""
import itertools
import queue
import random
import threading
import time

import grpc
from history import Event, Operation
from messages import Connection, kv, pb

CALL_SECONDS_MAX = 2.0
KEYS = [f'key{number}' for number in range(8)]
# These say that nothing was done. Everything else leaves it open.
REFUSALS = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.FAILED_PRECONDITION,
            grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.OUT_OF_RANGE)
RECONNECT = [('grpc.initial_reconnect_backoff_ms', 100), ('grpc.min_reconnect_backoff_ms', 100),
             ('grpc.max_reconnect_backoff_ms', 300)]


class Workload:
    """Writers and watchers over a cluster's endpoints, from start() to stop()."""

    def __init__(self, endpoints, writers=6, seed=1):
        self.endpoints, self.seed = endpoints, seed
        self.operations, self.watches = [], []
        self.ending, self.values, self.lock = threading.Event(), itertools.count(), threading.Lock()
        self.threads = [threading.Thread(target=self.write, args=(number,), daemon=True) for number in range(writers)]
        self.threads += [threading.Thread(target=self.watch, args=(number,), daemon=True) for number in range(len(endpoints))]

    def start(self):
        """Begins."""
        for thread in self.threads:
            thread.start()
        return self

    def stop(self):
        """Ends, and waits until the last call has."""
        self.ending.set()
        for thread in self.threads:
            thread.join(30)

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

    def write(self, number):
        """One writer: its calls go to one node until one fails, then to the next."""
        draw = random.Random(f'{self.seed} {number}')
        connections = [Connection(endpoint, options=RECONNECT) for endpoint in self.endpoints]
        node = number
        while not self.ending.is_set():
            operation = self.draw(draw)
            self.perform(operation, connections[node % len(connections)])
            with self.lock:
                self.operations.append(operation)
            if operation.outcome != 'ok':
                node += 1
                time.sleep(0.02)
            time.sleep(0.002)
        for connection in connections:
            connection.close()

    def draw(self, draw):
        """The next operation."""
        kind = draw.choice(['put'] * 6 + ['get'] * 5 + ['delete'])
        value = f'v{next(self.values)}' if kind == 'put' else None
        return Operation(kind, draw.choice(KEYS), time.monotonic(), value=value)

    def perform(self, operation, connection):
        """Makes the call and fills in what came of it."""
        key = operation.key.encode()
        try:
            if operation.kind == 'put':
                answer = connection.call('KV/Put', key=key, value=operation.value.encode(), timeout=CALL_SECONDS_MAX)
            elif operation.kind == 'delete':
                answer = connection.call('KV/DeleteRange', key=key, timeout=CALL_SECONDS_MAX)
            else:
                answer = connection.call('KV/Range', key=key, timeout=CALL_SECONDS_MAX)
                operation.value = answer.kvs[0].value.decode() if answer.kvs else None
            operation.outcome, operation.revision = 'ok', answer.header.revision
        except grpc.RpcError as error:
            operation.outcome = 'refused' if error.code() in REFUSALS else 'unknown'
        operation.end = time.monotonic()

    def watch(self, number):
        """One watcher of everything: it goes on at the next node, from the next revision, when its stream ends."""
        events = []
        self.watches.append((1, events))
        while not self.ending.is_set():
            connection = Connection(self.endpoints[number % len(self.endpoints)], options=RECONNECT)
            first = events[-1].revision + 1 if events else 1
            try:
                for event in changes(connection, first, self.ending):
                    events.append(event)
            except grpc.RpcError:
                time.sleep(0.1)
            connection.close()
            number += 1


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
