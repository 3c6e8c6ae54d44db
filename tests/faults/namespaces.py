"""A network namespace for each node, joined by a bridge, so that packets between two nodes can be dropped in one direction."""
import os
import subprocess

PREFIX = '10.77.0'


def sh(*words):
    """Runs a command that must succeed."""
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        raise AssertionError(f'{" ".join(words)}: {done.stderr.strip()} (the fault tests need root for network namespaces)')


class Namespaces:
    """Namespaces n1, n2 ... at 10.77.0.1, .2 ... REQUIRES: this process is in network and mount namespaces of its own, so that all
    of it goes when the process does."""

    def __init__(self, count):
        os.makedirs('/run/netns', exist_ok=True)
        sh('mount', '-t', 'tmpfs', 'tmpfs', '/run/netns')
        sh('ip', 'link', 'set', 'lo', 'up')
        sh('ip', 'link', 'add', 'hub', 'type', 'bridge')
        sh('ip', 'addr', 'add', f'{PREFIX}.254/24', 'dev', 'hub')
        sh('ip', 'link', 'set', 'hub', 'up')
        for number in range(1, count + 1):
            sh('ip', 'netns', 'add', f'n{number}')
            sh('ip', 'link', 'add', f'v{number}', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', f'n{number}')
            sh('ip', 'link', 'set', f'v{number}', 'master', 'hub', 'up')
            sh('ip', '-n', f'n{number}', 'addr', 'add', f'{PREFIX}.{number}/24', 'dev', 'eth0')
            sh('ip', '-n', f'n{number}', 'link', 'set', 'eth0', 'up')
            sh('ip', '-n', f'n{number}', 'link', 'set', 'lo', 'up')
        self.count = count

    @staticmethod
    def wrapper(index):
        """Words before a command that run it in a node's namespace."""
        return ['ip', 'netns', 'exec', f'n{index + 1}']

    def cut(self, source, target):
        """Drops what `source` sends to `target`."""
        number = target.address.rsplit('.', 1)[1]
        sh('ip', 'netns', 'exec', f'n{number}', 'iptables', '-A', 'INPUT', '-s', source.address, '-j', 'DROP')

    def isolate(self, node, nodes):
        """Drops what passes between a node and all others of `nodes`, either way."""
        for other in nodes:
            if other is not node:
                self.cut(node, other)
                self.cut(other, node)

    def heal(self):
        """Drops nothing any more."""
        for number in range(1, self.count + 1):
            sh('ip', 'netns', 'exec', f'n{number}', 'iptables', '-F', 'INPUT')
