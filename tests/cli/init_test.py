"""Tests of `polis init`: the cluster it makes starts, is closed to strangers, and takes a further node."""
import json
import pathlib
import socket
import ssl
import stat
import tempfile
import unittest

import world


def handshake(address, port, authority, certificate=None):
    """Connects with TLS and reads; SSLError or ConnectionError if the server does not want us."""
    context = ssl.create_default_context(cafile=authority)
    if certificate:
        context.load_cert_chain(*certificate)
    with socket.create_connection((address, port), timeout=10) as plain:
        with context.wrap_socket(plain, server_hostname=address) as stream:
            stream.settimeout(2)
            try:
                stream.recv(1)  # In TLS 1.3 a server's refusal comes after the client's handshake is done.
            except TimeoutError:
                pass


class Init(unittest.TestCase):
    """One cluster for all cases."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = world.Cluster()
        cls.addClassCleanup(cls.cluster.close)
        cls.cluster.start()

    def test_cluster_serves_etcdctl_with_the_made_certificate(self):
        put = self.cluster.etcdctl('put', 'greeting', 'hello', node=self.cluster.nodes[1])
        self.assertEqual((put.returncode, put.stdout), (0, 'OK\n'), put.stderr)
        for node in self.cluster.nodes:
            self.assertEqual(self.cluster.etcdctl('get', 'greeting', node=node).stdout, 'greeting\nhello\n')

    def test_client_without_certificate_is_refused(self):
        node = self.cluster.nodes[0]
        with self.assertRaises((ssl.SSLError, ConnectionError)):
            handshake(node.address, 2379, self.cluster.client[0])
        done = world.polis('--endpoints', self.cluster.url(node), '--cacert', self.cluster.client[0], 'kv', 'get', 'a')
        self.assertIn(done.returncode, (1, 3), done.stderr)

    def test_client_certificate_opens_no_peer_port(self):
        node, peers = self.cluster.nodes[0], self.cluster.made / 'n2/peers-ca.crt'
        with self.assertRaises((ssl.SSLError, ConnectionError)):
            handshake(node.address, 2380, peers, self.cluster.client[1:])
        handshake(node.address, 2380, peers, (self.cluster.made / 'n2/peer.crt', self.cluster.made / 'n2/peer.key'))

    def test_keys_are_for_their_owner_only(self):
        keys = [key for key in self.cluster.made.rglob('*.key') if key.parent.name != 'n4']  # Which another case adds.
        self.assertEqual(len(keys), 2 + 3 * 2 + 1)
        for key in keys:
            self.assertEqual(stat.S_IMODE(key.stat().st_mode), 0o600, key)

    def test_second_init_changes_nothing(self):
        before = {path: path.read_bytes() for path in self.cluster.made.rglob('*.crt')}
        done = world.polis('init', self.cluster.made)
        self.assertEqual(done.returncode, 1)
        self.assertIn('has been made already', done.stderr)
        self.assertEqual(before, {path: path.read_bytes() for path in self.cluster.made.rglob('*.crt')})

    def test_commands_that_are_printed_are_those_that_work(self):
        self.assertIn(f'polis start --config {self.cluster.made}/n1/node.toml', self.cluster.init.stdout)
        self.assertIn(f'--cacert={self.cluster.client[0]}', self.cluster.init.stdout)

    def test_further_node_joins(self):
        address = world.free_addresses(1)[0]
        made = world.polis('init', self.cluster.made, '--join', '--nodes', f'n4={address}')
        self.assertEqual(made.returncode, 0, made.stderr)
        self.assertIn(f'polis member add https://{address}:2380 --learner', made.stdout)
        added = self.cluster.polis('member', 'add', f'https://{address}:2380', '--learner')
        self.assertEqual(added.returncode, 0, added.stderr)
        node = world.Node('n4', address, self.cluster.folder, self.cluster.made / 'n4/node.toml')
        self.addCleanup(node.kill)
        node.start().await_ready()
        self.assertEqual(self.cluster.etcdctl('put', 'joined', 'yes').returncode, 0)
        status = self.cluster.polis('status')
        self.assertRegex(status.stdout + status.stderr, rf'n4 +https://{address}:2379 +(learner|follower)')


class Renewal(unittest.TestCase):
    """Certificates that are about to end, under a running cluster of three."""

    def setUp(self):
        self.cluster = world.Cluster()
        self.addCleanup(self.cluster.close)

    def doctor(self, node):
        """What doctor says of a node's certificates, by file: (verdict, what)."""
        done = self.cluster.polis('--format', 'json', 'doctor', '--config', node.config)
        return [(entry['verdict'], entry['what']) for entry in json.loads(done.stdout)['findings'] if entry['check'] == 'certificates']

    def test_nodes_go_on_with_renewed_certificates(self):
        soon = world.polis('init', self.cluster.made, '--renew', '--days', 5)
        self.assertEqual(soon.returncode, 0, soon.stderr)
        self.cluster.start()
        node = self.cluster.nodes[0]
        warned = [what for verdict, what in self.doctor(node) if verdict == 'warning']
        self.assertEqual(len(warned), 2, warned)
        self.assertRegex(warned[0], 'expires in [45] days')

        done = world.polis('init', self.cluster.made, '--renew', '--days', 400)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.count(' until '), 3 * 2 + 1)
        for line in done.stdout.splitlines():
            if line.startswith('  polis '):  # As it is printed.
                self.assertEqual(world.polis(*line.split()[1:]).returncode, 0, line)
        for node in self.cluster.nodes:
            self.assertEqual([entry for entry in self.doctor(node) if entry[0] != 'ok'], [])
            handshake(node.address, 2379, self.cluster.client[0], self.cluster.client[1:])
        self.assertEqual(self.cluster.etcdctl('put', 'after', 'renewal').returncode, 0)
        # And all of them know each other after a restart.
        for node in self.cluster.nodes:
            node.stop()
        for node in self.cluster.nodes:
            node.start()
        for node in self.cluster.nodes:
            node.await_ready()
        self.assertEqual(self.cluster.etcdctl('get', 'after').stdout, 'after\nrenewal\n')

    def test_only_those_that_are_named(self):
        files = sorted(self.cluster.made.rglob('*.crt'))
        before = {path: path.read_bytes() for path in files}
        done = world.polis('init', self.cluster.made, '--renew', '--nodes', 'n2')
        self.assertEqual(done.returncode, 0, done.stderr)
        changed = [path.relative_to(self.cluster.made).as_posix() for path in files if path.read_bytes() != before[path]]
        self.assertEqual(changed, ['n2/peer.crt', 'n2/server.crt'])
        self.assertEqual(stat.S_IMODE((self.cluster.made / 'n2/peer.key').stat().st_mode), 0o600)
        done = world.polis('init', self.cluster.made, '--renew', '--nodes', 'n9')
        self.assertEqual((done.returncode, done.stderr), (1, 'Error: there is no node n9 to renew\n'))


class Refusals(unittest.TestCase):
    """What init does not do."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix='polis-test-cli-')
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def test_name_that_is_no_folder_makes_nothing(self):
        done = world.polis('init', self.folder / 'x', '--nodes', '../up')
        self.assertEqual(done.returncode, 2)
        self.assertFalse((self.folder / 'x').exists())

    def test_join_needs_a_cluster(self):
        done = world.polis('init', self.folder, '--join', '--nodes', 'd')
        self.assertEqual(done.returncode, 1)
        self.assertIn('leave --join out', done.stderr)


if __name__ == '__main__':
    unittest.main()
