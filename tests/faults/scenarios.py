"""What is done to a running cluster. Each scenario breaks things while clients work, and says what must hold meanwhile."""
import pathlib
import random
import re
import signal
import subprocess
import time

import grpc
from messages import Connection

SCENARIOS = []
# A write must be acknowledged again within this time of any fault that leaves a majority.
RECOVERY_SECONDS_MAX = 10


def scenario(nodes=3, network='loopback', disk_bytes=None, clocks=False, canary='', flags=None):
    """Registers a scenario. network: `loopback`, or `namespaces` (each node in its own); disk_bytes: each node's data
    folder is a small disk of its own; clocks: each node's wall clock can be set; canary: reads may be stale,
    and the checker must find faults that have this word."""
    def register(function):
        function.nodes, function.network, function.disk_bytes = nodes, network, disk_bytes
        function.clocks, function.canary, function.flags = clocks, canary, flags or {}
        SCENARIOS.append(function)
        return function
    return register


class World:
    """What a scenario has at hand."""

    def __init__(self, cluster, workload, short):
        self.cluster, self.workload, self.short = cluster, workload, short
        self.notes = []

    def status(self, node):
        """The node's Status, or None."""
        connection = Connection(f'{node.address}:{self.cluster.client_port}')
        try:
            return connection.call('Maintenance/Status', timeout=2)
        except grpc.RpcError:
            return None
        finally:
            connection.close()

    def leader(self):
        """The node that leads; waits until one does."""
        deadline = time.monotonic() + RECOVERY_SECONDS_MAX
        while time.monotonic() < deadline:
            for node in self.cluster.nodes:
                if node.process and node.process.poll() is None:
                    status = self.status(node)
                    if status and status.leader == status.header.member_id:
                        return node
            time.sleep(0.1)
        raise AssertionError(f'no leader within {RECOVERY_SECONDS_MAX} s')

    def follower(self):
        """A node that does not lead."""
        leader = self.leader()
        return next(node for node in self.cluster.nodes if node is not leader)

    def progress(self):
        """Clients must get on; notes how long that took."""
        self.notes.append(self.workload.await_progress(RECOVERY_SECONDS_MAX))

    def replace(self, node):
        """Gives a node that is down an empty disk and a new identity in the cluster, and waits until it serves."""
        node.wipe()
        connection = Connection(next(e for n, e in zip(self.cluster.nodes, self.cluster.endpoints) if n is not node))
        members = connection.call('Cluster/MemberList', timeout=5).members
        old = next(member.ID for member in members if member.name == node.name)
        changes = [('Cluster/MemberRemove', {'ID': old}), ('Cluster/MemberAdd', {'peerURLs': [self.cluster.peer_url(node)]})]
        deadline = time.monotonic() + 30
        while changes:
            method, fields = changes[0]
            try:
                connection.call(method, timeout=10, **fields)
                changes.pop(0)
            except grpc.RpcError as error:  # etcd refuses changes until its members have been connected for 5 s.
                assert time.monotonic() < deadline, f'{method}: {error.details()}'
                time.sleep(0.3)
        connection.close()
        node.flags['initial-cluster-state'] = 'existing'
        node.start()
        self.cluster.await_ready([node], seconds=60)

    def restart(self, *nodes):
        """Starts nodes again and waits until they serve."""
        for node in nodes:
            node.start()
        self.cluster.await_ready(nodes, seconds=60)


@scenario()
def leader_killed(world):
    """SIGKILL of the leader, again and again."""
    for _ in range(4 if world.short else 20):
        leader = world.leader()
        leader.kill()
        world.progress()
        world.restart(leader)


@scenario()
def all_killed(world):
    """SIGKILL of all nodes at once: what was acknowledged is on disk."""
    for _ in range(2 if world.short else 8):
        world.progress()
        for node in world.cluster.nodes:
            node.signal(signal.SIGKILL)
        for node in world.cluster.nodes:
            node.kill()
        world.restart(*world.cluster.nodes)
        world.progress()


@scenario()
def leader_stopped(world):
    """SIGSTOP of the leader for longer than its lease; when it goes on it must not answer from the past."""
    for _ in range(1 if world.short else 4):
        leader = world.leader()
        leader.signal(signal.SIGSTOP)
        try:
            world.progress()
            time.sleep(5 if world.short else 10)
        finally:
            leader.signal(signal.SIGCONT)
        world.progress()


@scenario()
def followers_stopped_in_turn(world):
    """Each node is stopped for a moment, shorter and longer than an election takes."""
    draw = random.Random(7)
    for _ in range(6 if world.short else 30):
        node = draw.choice(world.cluster.nodes)
        node.signal(signal.SIGSTOP)
        try:
            time.sleep(draw.choice([0.05, 0.2, 0.6, 1.5]))
        finally:
            node.signal(signal.SIGCONT)
    world.workload.await_progress(30, count=100)


@scenario()
def disk_wiped(world):
    """A follower loses its disk; it is removed, added again, and catches up."""
    node = world.follower()
    node.kill()
    world.progress()
    world.replace(node)
    world.progress()


def fill_disk(node):
    """Writes a file until the node's disk is full; its path."""
    ballast = node.data / 'ballast'
    with open(ballast, 'wb', buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    file.write(b'\0' * size)
            except OSError:
                continue
    return ballast


@scenario(disk_bytes=256 << 20)
def disk_full(world):
    """A follower's disk is full for a while: the others go on, and it comes back when there is room."""
    node = world.follower()
    ballast = fill_disk(node)
    world.progress()
    time.sleep(3)
    world.progress()
    ballast.unlink()
    if node.process.poll() is not None:
        world.restart(node)
    world.cluster.await_ready([node], seconds=60)
    world.progress()


@scenario(disk_bytes=256 << 20)
def leaders_disk_full(world):
    """The leader's disk is full: somebody leads on or takes over, nothing acknowledged is lost, and it recovers with room."""
    node = world.leader()
    ballast = fill_disk(node)
    time.sleep(1)
    world.progress()
    ballast.unlink()
    if node.process.poll() is not None:
        world.restart(node)
    world.cluster.await_ready([node], seconds=60)
    world.progress()


@scenario()
def sync_fails(world):
    """fdatasync, fsync and synchronous writes of the leader answer EIO: it must end, and not acknowledge anything after."""
    leader = world.leader()
    tracer = subprocess.Popen(['strace', '-f', '-qq', '-o', '/dev/null', '-e', 'trace=fdatasync,fsync,pwritev2', '-e',
                               'inject=fdatasync,fsync,pwritev2:error=EIO', '-p', str(leader.process.pid)], stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True)
    try:
        leader.process.wait(20)
    except subprocess.TimeoutExpired:
        why = tracer.poll() is not None and tracer.stderr.read()
        raise AssertionError(f'the leader goes on though its syncs fail (strace: {why or "attached"})')
    finally:
        tracer.kill()
        tracer.wait()
    world.progress()
    world.restart(leader)
    world.progress()


def log_files(node):
    """The files of a node's log on disk, oldest first."""
    found = [path for path in pathlib.Path(node.data).rglob('*') if re.search(r'wal/.*\.(log|wal)$', str(path))]
    return sorted(found)


@scenario()
def bit_flipped(world):
    """One bit of a follower's log on disk changes while it is down. It may repair itself or refuse to start; never serve it."""
    node = world.follower()
    node.kill()
    world.progress()
    files = log_files(node)
    assert files, f'no log files below {node.data}'
    octets = bytearray(files[-1].read_bytes())
    used = len(bytes(octets).rstrip(b'\0'))
    assert used > 2000, f'the log has only {used} octets'
    octets[used // 2] ^= 0x10
    files[-1].write_bytes(octets)
    node.start()
    try:
        world.cluster.await_ready([node], seconds=15)
        world.notes.append('repaired itself')
    except AssertionError:
        assert node.process.poll() is not None, 'the node neither serves nor ends'
        world.notes.append('refused to start')
        world.replace(node)
    world.progress()


@scenario(network='namespaces')
def one_way_cut(world):
    """Packets from the leader to one follower are lost, then to both; those in the other direction arrive."""
    network = world.cluster.namespaces
    leader = world.leader()
    others = [node for node in world.cluster.nodes if node is not leader]
    network.cut(leader, others[0])
    time.sleep(3)
    world.progress()
    network.cut(leader, others[1])
    time.sleep(3)
    world.progress()
    network.heal()
    world.progress()


@scenario(network='namespaces')
def minority_cut_off(world):
    """The leader is cut off from both others, with clients on either side; then each node in turn."""
    network = world.cluster.namespaces
    for round_number in range(2 if world.short else 6):
        node = world.leader() if round_number % 2 == 0 else world.follower()
        network.isolate(node, world.cluster.nodes)
        time.sleep(3)
        world.progress()
        network.heal()
        world.progress()


@scenario(nodes=5)
def two_of_five(world):
    """Five nodes lose two, the leader among them, and go on; three are too many; all come back."""
    leader = world.leader()
    lost = [leader, next(node for node in world.cluster.nodes if node is not leader)]
    for node in lost:
        node.kill()
    world.progress()
    third = next(node for node in world.cluster.nodes if node not in lost)
    third.kill()
    time.sleep(3)
    start = time.monotonic()
    time.sleep(2)
    assert world.workload.acknowledged(start) == 0, 'two nodes of five acknowledged a write'
    world.restart(third)
    world.progress()
    world.restart(*lost)
    world.progress()


@scenario(clocks=True)
def clocks_jump(world):
    """The wall clocks of the nodes jump by hours and years, one and all: no lease ends early, nothing stops."""
    clocks = world.cluster.clocks
    for jump in (3600, -7200, 0) if world.short else (3600, -7200, 10 * 365 * 86400, -40 * 365 * 86400, 0):
        for node in [world.leader(), world.follower(), *world.cluster.nodes]:
            clocks.set(world.cluster.nodes.index(node), jump)
            time.sleep(0.3)
            world.progress()


@scenario()
def rolling_restart(world):
    """Each node in turn gets SIGTERM and is started again: who calls another node, or again, notices nothing worse than UNAVAILABLE.

    With --old the nodes run another build before than after, and both at once meanwhile."""
    begin, served = time.monotonic(), []
    for _ in range(1 if world.short else 3):
        for node in world.cluster.nodes:
            start = time.monotonic()
            status = node.stop()
            assert status in (0, -signal.SIGTERM), f'{node.name} ended with status {status} after SIGTERM'  # etcd dies of it at last.
            world.progress()
            node.program = None
            world.restart(node)
            world.progress()
            served.append(world.workload.longest_gap(start))
    with world.workload.lock:
        errors = {operation.error for operation in world.workload.operations if operation.end >= begin and operation.error}
    assert all(error.startswith('UNAVAILABLE') for error in errors), f'other errors than UNAVAILABLE: {errors}'
    world.notes.append(f'without an acknowledged write for {max(served) * 1e3:.0f} ms at most')


@scenario(network='namespaces', canary='order: get')
def canary_of_stale_reads(world):
    """Clients read without asking the leader while it is cut off: the checker must find what is stale, or its silence means nothing."""
    network = world.cluster.namespaces
    network.isolate(world.leader(), world.cluster.nodes)
    time.sleep(2)
    world.progress()
    network.heal()
    world.progress()
