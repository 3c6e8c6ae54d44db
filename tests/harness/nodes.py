"""Starts and ends server processes for tests: etcd as the oracle, and Polis by its etcd launcher, with the same flags."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import processes

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'tools/dev'))

READY_SECONDS_MAX = 30


def binary_of(kind):
    """The program to start: Debian's etcd, unpacked below build/peers, or the launcher in front of our own."""
    if kind == 'polis':
        return [str(ROOT / 'tools/dropin/etcd')]
    import packages
    return [str(packages.peer('etcd') / 'usr/bin/etcd')]


class Node(processes.Process):
    """One server process with its own address and data folder."""

    def __init__(self, kind, name, address, folder, flags, wrapper=()):
        super().__init__(name, folder / f'{name}.log')
        self.kind, self.address, self.data = kind, address, folder / name
        self.flags, self.wrapper = flags, list(wrapper)
        self.program = None  # Another build of Polis than POLIS_BINARY or the one of this tree.

    def start(self, **changed):
        """Starts the process; `changed` replaces flags, by name with underscores, or adds them."""
        flags = {**self.flags, **{key.replace('_', '-'): value for key, value in changed.items()}}
        command = [*self.wrapper, *binary_of(self.kind), *(f'--{key}={value}' for key, value in flags.items())]
        environment = {'PATH': os.environ['PATH'], 'HOME': '/', 'TZ': 'UTC'}
        environment.update({k: v for k, v in os.environ.items() if k == 'POLIS_BINARY' or k.endswith('SAN_OPTIONS')})
        if self.program:
            environment['POLIS_BINARY'] = str(self.program)
        with open(self.log, 'ab') as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment)

    def wipe(self):
        """Forgets the data folder. REQUIRES: not running."""
        shutil.rmtree(self.data, ignore_errors=True)


class Cluster:
    """Nodes of one kind at network.1, network.2 ... on etcd's standard ports, and their folders."""

    def __init__(self, kind, network, count=3, tls=None, wrapper=None, folder=None, client_port=2379, **flags):
        """tls: a certificates.Authority; flags: for all nodes, names with underscores; wrapper(index): words before
        the program."""
        self.kind, self.network, self.tls = kind, network, tls
        self.folder = pathlib.Path(folder or tempfile.mkdtemp(prefix=f'polis-test-{kind}-'))
        self.scheme = 'https' if tls else 'http'
        self.flags, self.wrapper, self.client_port = flags, wrapper, client_port
        first, addresses = int(network.rsplit('.', 1)[1]), []
        for index in range(count):
            addresses.append(network.rsplit('.', 1)[0] + f'.{first + index}')
        self.nodes = [self.make_node(index + 1, address) for index, address in enumerate(addresses)]
        initial = ','.join(f'{node.name}={self.peer_url(node)}' for node in self.nodes)
        for node in self.nodes:
            node.flags['initial-cluster'] = initial

    def make_node(self, number, address):
        """A node that is not started yet; it belongs to the cluster only once it is in `nodes`."""
        flags = {'name': f'node{number}', 'data-dir': self.folder / f'node{number}',
                 'listen-client-urls': f'{self.scheme}://{address}:{self.client_port}',
                 'advertise-client-urls': f'{self.scheme}://{address}:{self.client_port}',
                 'listen-peer-urls': f'{self.scheme}://{address}:2380',
                 'initial-advertise-peer-urls': f'{self.scheme}://{address}:2380',
                 'initial-cluster-token': f'{self.kind}-{self.network}', 'logger': 'zap', 'log-outputs': 'stderr',
                 'log-level': 'warn'}
        if self.tls:
            flags.update(self.tls.server_flags(address))
        flags.update({key.replace('_', '-'): value for key, value in self.flags.items()})
        wrapper = self.wrapper(number - 1) if self.wrapper else ()
        return Node(self.kind, flags['name'], address, self.folder, flags, wrapper)

    def peer_url(self, node):
        """Where other members reach it."""
        return f'{self.scheme}://{node.address}:2380'

    def client_url(self, node):
        """Where clients reach it."""
        return f'{self.scheme}://{node.address}:{self.client_port}'

    @property
    def endpoints(self):
        """host:port of all nodes."""
        return [f'{node.address}:{self.client_port}' for node in self.nodes]

    def start(self):
        """Starts all nodes and waits until each serves."""
        for node in self.nodes:
            node.start()
        self.await_ready()
        return self

    def await_ready(self, nodes=None, seconds=READY_SECONDS_MAX):
        """Waits until the nodes are healthy; AssertionError with the log's end if one is not."""
        deadline = time.monotonic() + seconds
        for node in nodes or self.nodes:
            while not self.is_healthy(node):
                ended = not node.is_running
                if ended or time.monotonic() > deadline:
                    raise AssertionError(f'{self.kind} {node.name} {"ended" if ended else "is not ready"}; '
                                         f'its log ends:\n{node.log_tail()}')
                time.sleep(0.05)

    def is_healthy(self, node):
        """Whether /health says so: the node has a leader and can read through it."""
        context = self.tls.client_context() if self.tls else None
        try:
            with urllib.request.urlopen(f'{self.client_url(node)}/health', timeout=2, context=context) as answer:
                return json.load(answer).get('health') == 'true'
        except (OSError, ValueError):
            return False

    def close(self, keep=False):
        """Ends all nodes and removes their folders; keep: leaves the folders."""
        for node in self.nodes:
            node.kill()
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)
