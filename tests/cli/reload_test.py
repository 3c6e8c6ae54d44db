"""Tests of reloads on live nodes: options, certificates of clients and members, and files with mistakes."""
import json
import pathlib
import signal
import socket
import subprocess
import unittest

import world


def openssl(*words, **options):
    """Runs openssl; its output."""
    return subprocess.run(['openssl', *map(str, words)], check=True, capture_output=True, text=True, **options).stdout


def serial(path):
    """The serial number of a certificate file."""
    return openssl('x509', '-noout', '-serial', '-in', path).strip().removeprefix('serial=')


def served_serial(address, port, certificate=None):
    """The serial number of the certificate that is shown there."""
    words = ['s_client', '-connect', f'{address}:{port}']
    if certificate:
        words += ['-cert', certificate[0], '-key', certificate[1]]
    shown = subprocess.run(['openssl', *map(str, words)], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=20).stdout
    return openssl('x509', '-noout', '-serial', input=shown[shown.index('-----BEGIN'):]).strip().removeprefix('serial=')


def make_authority(folder, name):
    """(certificate, key) of a new authority."""
    certificate, key = folder / f'{name}.crt', folder / f'{name}.key'
    openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', 2, '-subj', f'/CN={name}',
            '-keyout', key, '-out', certificate)
    return certificate, key


def renew(certificate, authority, address):
    """Replaces a certificate and its key (beside it) by ones that `authority` (certificate, key) signed."""
    key, request, extensions = certificate.with_suffix('.key'), certificate.with_suffix('.csr'), certificate.with_suffix('.ext')
    extensions.write_text(f'subjectAltName=IP:{address},DNS:localhost\nextendedKeyUsage=serverAuth,clientAuth\n')
    openssl('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', '/CN=renewed', '-keyout', key, '-out', request)
    openssl('x509', '-req', '-in', request, '-CA', authority[0], '-CAkey', authority[1], '-CAcreateserial', '-days', 2,
            '-extfile', extensions, '-out', certificate)


class Certificates(unittest.TestCase):
    """Renewal under a running cluster with mutual TLS."""

    def setUp(self):
        self.cluster = world.Cluster()
        self.addCleanup(self.cluster.close)
        self.cluster.start()

    def reload_all(self):
        """Reloads every node."""
        for node in self.cluster.nodes:
            done = world.polis('reload', '--config', node.config)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn('certificates were read again', done.stdout)

    def test_clients_see_the_new_certificate(self):
        node, certificate = self.cluster.nodes[0], self.cluster.made / 'n1/server.crt'
        authority = self.cluster.made / 'authority/clients-ca.crt', self.cluster.made / 'authority/clients-ca.key'
        before = served_serial(node.address, 2379)
        renew(certificate, authority, node.address)
        self.assertEqual(served_serial(node.address, 2379), before)
        self.reload_all()
        self.assertEqual(served_serial(node.address, 2379), serial(certificate))
        self.assertNotEqual(serial(certificate), before)
        self.assertEqual(self.cluster.etcdctl('put', 'a', 'b').returncode, 0)

    def test_members_change_to_another_authority_without_restart(self):
        old = self.cluster.made / 'authority/peers-ca.crt'
        new = make_authority(self.cluster.folder, 'new-peers')
        for node in self.cluster.nodes:  # First all trust both ...
            (node.config.parent / 'peers-ca.crt').write_text(old.read_text() + new[0].read_text())
        self.reload_all()
        for node in self.cluster.nodes:  # ... then all show the new ...
            renew(node.config.parent / 'peer.crt', new, node.address)
        self.reload_all()
        for node in self.cluster.nodes:  # ... then nobody trusts the old.
            (node.config.parent / 'peers-ca.crt').write_text(new[0].read_text())
        self.reload_all()
        shown = self.cluster.made / 'n2/peer.crt', self.cluster.made / 'n2/peer.key'
        self.assertEqual(served_serial(self.cluster.nodes[0].address, 2380, shown), serial(self.cluster.made / 'n1/peer.crt'))
        # Connections were kept; now all of this node's are made anew, in both directions.
        self.cluster.nodes[2].kill()
        self.cluster.nodes[2].start().await_ready()
        self.assertEqual(self.cluster.etcdctl('put', 'a', 'b', node=self.cluster.nodes[2]).returncode, 0)
        self.assertEqual(self.cluster.etcdctl('get', 'a', node=self.cluster.nodes[0]).stdout, 'a\nb\n')
        found = json.loads(self.cluster.polis('--format', 'json', 'doctor').stdout)['findings']
        self.assertEqual([entry for entry in found if entry['check'] in ('peers', 'leader') and entry['verdict'] != 'ok'], [])

    def test_certificate_that_does_not_fit_its_key_changes_nothing(self):
        node, key = self.cluster.nodes[0], self.cluster.made / 'n1/server.key'
        before = served_serial(node.address, 2379)
        good = key.read_text()
        key.write_text((self.cluster.made / 'n2/server.key').read_text())
        node.config.write_text(node.config.read_text() + '\n[log]\nlevel = "debug"\n')
        done = world.polis('reload', '--config', node.config)
        self.assertEqual(done.returncode, 1)
        self.assertIn('key does not match', done.stderr)
        self.assertIn('the node goes on as it was', done.stderr)
        self.assertEqual(served_serial(node.address, 2379), before)
        key.write_text(good)
        done = world.polis('reload', '--config', node.config)
        self.assertIn('changed: log.level = "debug" (was "info")', done.stdout)


class Options(unittest.TestCase):
    """One plain node."""

    def setUp(self):
        self.cluster = world.Cluster(count=1, secure=False)
        self.addCleanup(self.cluster.close)
        self.cluster.start()
        self.node = self.cluster.nodes[0]

    def rewrite(self, old, new):
        """Changes the node's file."""
        text = self.node.config.read_text()
        self.assertIn(old, text)
        self.node.config.write_text(text.replace(old, new))

    def reload(self):
        """The report of a reload, and what the command ended with."""
        done = world.polis('--format', 'json', 'reload', '--config', self.node.config)
        return (json.loads(done.stdout) if done.stdout else None), done

    def test_nothing_changed_says_so(self):
        done = world.polis('reload', '--config', self.node.config)
        self.assertEqual((done.returncode, done.stdout), (0, 'no option differs from what the node runs with\n'))

    def test_what_can_change_does_and_the_rest_waits_for_a_restart(self):
        self.rewrite('level = "info"', 'level = "debug"\n[runtime]\nspin_us = 20\n[etcd]\nbcrypt_cost = 4')
        report, done = self.reload()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(report['applied'], [{'option': 'log.level', 'before': '"info"', 'after': '"debug"'}])
        self.assertEqual([entry['option'] for entry in report['at_restart']], ['etcd.bcrypt_cost', 'runtime.spin_us'])
        found = json.loads(self.cluster.polis('--format', 'json', 'doctor').stdout)['findings']
        self.assertIn('n1 runs with older values of etcd.bcrypt_cost, runtime.spin_us', [entry['what'] for entry in found])
        self.node.stop()
        self.node.start().await_ready()
        self.assertEqual(self.reload()[0]['at_restart'], [])

    def test_log_level_holds_at_once(self):
        self.rewrite('level = "info"', 'level = "error"')
        self.assertEqual(self.reload()[1].returncode, 0)
        self.node.log.write_text('')
        self.assertEqual(self.reload()[1].returncode, 0)
        self.assertEqual(self.node.log.read_text(), '')

    def test_file_with_a_mistake_is_refused_as_a_whole(self):
        self.rewrite('level = "info"', 'level = "error"\nlevle = "x"')
        done = world.polis('reload', '--config', self.node.config)
        self.assertEqual(done.returncode, 1)
        self.assertIn('log.levle is no option: did you mean log.level?', done.stderr)
        # The node itself says the same when it is signalled past the command's own check.
        self.node.signal(signal.SIGHUP)
        self.assertTrue(self.node.logged('reload_refused'))
        self.assertEqual(self.cluster.polis('kv', 'put', 'a', 'b').returncode, 0)
        self.rewrite('levle = "x"', '')
        self.assertEqual([entry['option'] for entry in self.reload()[0]['applied']], ['log.level'])

    def test_flags_and_environment_hold_over_the_file_at_reload_too(self):
        self.node.stop()
        self.node.start('--log.level', 'warn', POLIS_RUNTIME_SPIN_US='5').await_ready()
        self.rewrite('level = "info"', 'level = "debug"\n[runtime]\nspin_us = 20')
        report, done = self.reload()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual((report['applied'], report['at_restart']), ([], []))

    def test_node_is_found_by_its_folder_and_must_run(self):
        folder = pathlib.Path(self.node.config.parent / 'data')
        self.assertEqual(world.polis('reload', '--data-dir', folder).returncode, 0)
        self.node.stop()
        done = world.polis('reload', '--data-dir', folder)
        self.assertEqual((done.returncode, done.stderr), (3, f'Error: no node runs in {folder}\n'))
        self.assertEqual(world.polis('reload', '--data-dir', folder / 'absent').returncode, 1)


class Limits(unittest.TestCase):
    """What clients of another project may do before and after a reload of one plain node."""

    def setUp(self):
        self.cluster = world.Cluster(count=1, secure=False)
        self.addCleanup(self.cluster.close)
        self.cluster.start()
        self.node = self.cluster.nodes[0]
        self.file = self.node.config.read_text()

    def set_limits(self, *lines):
        """Gives the node these limits, and no others; all of them must hold at once."""
        self.node.config.write_text(self.file + '[etcd]\n' + '\n'.join(lines) + '\n')
        done = world.polis('--format', 'json', 'reload', '--config', self.node.config)
        self.assertEqual(done.returncode, 0, done.stderr)
        report = json.loads(done.stdout)
        self.assertEqual(report['at_restart'], [])
        return [change['option'] for change in report['applied']]

    def refused(self, *words, text):
        """Whether etcdctl is refused with that text; if not, it must have succeeded."""
        done = self.cluster.etcdctl(*words)
        self.assertTrue(done.returncode == 0 or text in done.stderr, done.stderr)
        return done.returncode != 0

    def test_size_of_requests(self):
        put, text = ('put', 'a', 'x' * 5000), 'request is too large'
        self.assertFalse(self.refused(*put, text=text))
        self.assertEqual(self.set_limits('request_bytes_max = 4096'), ['etcd.request_bytes_max'])
        self.assertTrue(self.refused(*put, text=text))
        self.set_limits('request_bytes_max = 8192')
        self.assertFalse(self.refused(*put, text=text))

    def test_operations_of_a_txn(self):
        def over():
            done = subprocess.run(['etcdctl', f'--endpoints={self.cluster.url(self.node)}', 'txn'], capture_output=True, text=True, timeout=60,
                                  input='\n' + ''.join(f'put key{i} x\n' for i in range(6)) + '\n\n',
                                  env={**world.ENVIRONMENT, 'ETCDCTL_API': '3'})
            self.assertTrue(done.returncode == 0 or 'too many operations in txn request' in done.stderr, done.stderr)
            return done.returncode != 0
        self.assertFalse(over())
        self.set_limits('operations_per_txn_max = 5')
        self.assertTrue(over())
        self.set_limits('operations_per_txn_max = 6')
        self.assertFalse(over())

    def test_rate_of_users(self):
        text = 'too many requests'
        self.set_limits('user_requests_per_s = 1', 'user_burst = 1')
        refusals = [self.refused('put', 'a', str(i), text=text) for i in range(10)]
        self.assertIn(True, refusals)
        self.assertEqual(sorted(self.set_limits()), ['etcd.user_burst', 'etcd.user_requests_per_s'])
        for i in range(10):
            self.assertFalse(self.refused('put', 'a', str(i), text=text))

    def test_quota(self):
        text = 'database space exceeded'
        self.set_limits('quota_bytes = 10000')
        self.assertTrue(self.refused('put', 'a', 'x' * 20000, text=text))
        self.set_limits()
        self.assertTrue(self.refused('put', 'a', 'b', text=text))  # The alarm is taken back by whoever has made room.
        self.assertEqual(self.cluster.etcdctl('alarm', 'disarm').returncode, 0)
        self.assertFalse(self.refused('put', 'a', 'x' * 20000, text=text))

    def test_connections(self):
        self.set_limits('connections_max = 1')
        with socket.create_connection((self.node.address, 2379), 10) as kept:
            kept.sendall(b'GET /version HTTP/1.1\r\nHost: x\r\n\r\n')
            self.assertTrue(kept.recv(4096).startswith(b'HTTP/1.1 200'))
            self.assertFalse(self.answers())
            self.set_limits('connections_max = 2')
            self.assertTrue(self.answers())

    def answers(self):
        """Whether a new connection is served."""
        with socket.create_connection((self.node.address, 2379), 10) as probe:
            try:
                probe.sendall(b'GET /version HTTP/1.1\r\nHost: x\r\n\r\n')
                return probe.recv(4096).startswith(b'HTTP/1.1 200')
            except ConnectionError:
                return False

    def test_slow_requests(self):
        self.set_limits('slow_request_ms = 0')
        self.cluster.etcdctl('put', 'a', 'b')
        self.assertNotIn('request_slow', self.node.log.read_text())
        # Some of very many requests take longer than a millisecond: each is a write to the disk.
        self.set_limits('slow_request_ms = 1')
        for _ in range(50):
            self.cluster.etcdctl('put', 'a', 'x' * 100_000)
            if 'request_slow' in self.node.log.read_text():
                return
        self.fail('no request took longer than a millisecond')


if __name__ == '__main__':
    unittest.main()
