"""Real nodes of the real binary for the tests of the command line, on free addresses of 127.0.5.0/24."""
import itertools
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import threading
import time

import processes

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get('POLIS_BINARY', ROOT / 'build/release/polis'))
READY_SECONDS_MAX = 60
ENVIRONMENT = {'PATH': os.environ['PATH'], 'HOME': '/', 'TZ': 'UTC'}


def polis(*words, timeout=60, **variables):
    """Runs a command to its end; what subprocess.run gives."""
    return subprocess.run([BINARY, *map(str, words)], capture_output=True, text=True, timeout=timeout, errors='surrogateescape',
                          stdin=subprocess.DEVNULL, env={**ENVIRONMENT, **variables})


CLAIMED = []  # Sockets that keep other runs of these tests away from the addresses of this one, for the life of the process.


def claim(address):
    """Whether the address is this process's from now on: nobody has claimed it, and nobody listens on the two ports of a node there."""
    taken = socket.socket()
    try:
        taken.bind((address, 2378))
        for port in (2379, 2380):
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((address, port))
    except OSError:
        taken.close()
        return False
    CLAIMED.append(taken)
    return True


def free_addresses(count):
    """So many addresses on which no node runs and no other run of these tests will start one."""
    candidates = (f'127.0.5.{number}' for number in range(1, 251))
    found = list(itertools.islice(filter(claim, candidates), count))
    assert len(found) == count, 'no free addresses in 127.0.5.0/24'
    return found


class Node(processes.Process):
    """One `polis start`."""

    def __init__(self, name, address, folder, config):
        super().__init__(name, folder / f'{name}.log')
        self.address, self.folder, self.config = address, folder, config
        self.ready = threading.Event()

    def start(self, *flags, **variables):
        """Starts the process; await_ready waits for it."""
        self.ready.clear()
        with open(self.log, 'ab') as log:
            self.process = subprocess.Popen([BINARY, 'start', '--config', self.config, *flags], stdout=subprocess.PIPE, stderr=log,
                                            stdin=subprocess.DEVNULL, env={**ENVIRONMENT, **variables})
        threading.Thread(target=self.read_output, args=(self.process,), daemon=True).start()
        return self

    def read_output(self, process):
        """Notes when the node says that it is ready."""
        for line in process.stdout:
            if line.startswith(b'ready'):
                self.ready.set()
        process.stdout.close()

    def await_ready(self):
        """Waits until it serves and knows a leader."""
        deadline = time.monotonic() + READY_SECONDS_MAX
        while not self.ready.wait(0.1):
            if not self.is_running or time.monotonic() > deadline:
                raise AssertionError(f'{self.name} is not ready; its log ends:\n{self.log_tail()}')
        return self

    def logged(self, text, seconds=10):
        """Whether its log comes to hold the text."""
        deadline = time.monotonic() + seconds
        while text not in self.log.read_text(errors='replace'):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True


class Cluster:
    """Nodes that `polis init` made, or plain ones, in a folder of their own."""

    def __init__(self, count=3, secure=True):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='polis-test-cli-'))
        self.secure, self.made = secure, self.folder / 'made'
        self.nodes = [Node(f'n{i + 1}', address, self.folder, self.made / f'n{i + 1}/node.toml')
                      for i, address in enumerate(free_addresses(count))]
        if secure:
            self.init = polis('init', self.made, '--nodes', ','.join(f'{node.name}={node.address}' for node in self.nodes))
            assert self.init.returncode == 0, self.init.stderr
        else:
            for node in self.nodes:
                self.write_plain(node)

    def write_plain(self, node):
        """A configuration without certificates."""
        node.config.parent.mkdir(parents=True)
        initial = ', '.join(f'{other.name} = "http://{other.address}:2380"' for other in self.nodes)
        node.config.write_text(f'[node]\nname = "{node.name}"\ndata_dir = "{node.config.parent}/data"\n'
                               f'[cluster]\ntoken = "{self.folder}"\ninitial = {{ {initial} }}\n[listen]\n'
                               f'client = "http://{node.address}:2379"\npeer = "http://{node.address}:2380"\n'
                               '[log]\nlevel = "info"\n')

    def start(self):
        """Starts all nodes and waits until each serves."""
        for node in self.nodes:
            node.start()
        for node in self.nodes:
            node.await_ready()
        return self

    def close(self):
        """Ends all nodes and removes their folder."""
        for node in self.nodes:
            node.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, node):
        """Where clients reach it."""
        return f'http{"s" if self.secure else ""}://{node.address}:2379'

    @property
    def client(self):
        """(authority, certificate, key) of the client that init made."""
        return self.made / 'clients/ca.crt', self.made / 'clients/root.crt', self.made / 'clients/root.key'

    def flags(self, nodes=None):
        """polis' flags for talking to these nodes."""
        words = ['--endpoints', ','.join(self.url(node) for node in nodes or self.nodes)]
        if self.secure:
            words += [word for name, path in zip(('--cacert', '--cert', '--key'), self.client) for word in (name, path)]
        return words

    def polis(self, *words, nodes=None, **options):
        """Runs a command against the cluster."""
        return polis(*self.flags(nodes), *words, **options)

    def etcdctl(self, *words, node=None):
        """Runs Debian's etcdctl against one node; what subprocess.run gives."""
        command = ['etcdctl', f'--endpoints={self.url(node or self.nodes[0])}', '--dial-timeout=5s', '--command-timeout=20s']
        if self.secure:
            command += [f'--{name}={path}' for name, path in zip(('cacert', 'cert', 'key'), self.client)]
        return subprocess.run([*command, *words], capture_output=True, text=True, timeout=60,
                              env={**ENVIRONMENT, 'ETCDCTL_API': '3'})
