"""Tests of `polis doctor` and `polis top` against live nodes."""
import json
import signal
import threading
import time
import unittest

import world


class Healthy(unittest.TestCase):
    """A cluster with certificates in which nothing is wrong."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = world.Cluster()
        cls.addClassCleanup(cls.cluster.close)
        cls.cluster.start()

    def test_doctor_is_content(self):
        done = self.cluster.polis('doctor')
        self.assertEqual(done.returncode, 0, done.stdout)
        for check in ('reachable', 'leader', 'peers', 'lag', 'alarms', 'clocks', 'disk', 'open files'):
            self.assertRegex(done.stdout, rf'(?m)^(ok|warning) +{check} ')

    def test_doctor_looks_at_a_node_of_this_machine(self):
        node = self.cluster.nodes[0]
        done = world.polis('doctor', '--config', node.config, *self.cluster.flags()[2:])
        self.assertEqual(done.returncode, 0, done.stdout)
        for what in (f'{node.config} is valid', 'belongs to this user alone', 'is of format 1', f'process {node.process.pid} runs this node',
                     'a small durable write takes', 'tls.client.cert_file (n1) is good for 364 days',
                     f"n2's peer port can be reached at https://{self.cluster.nodes[1].address}:2380"):
            self.assertIn(what, done.stdout)

    def test_doctor_prints_json(self):
        tree = json.loads(self.cluster.polis('--format', 'json', 'doctor').stdout)
        self.assertIs(tree['ok'], True)
        self.assertTrue(all(entry['next'] == '' for entry in tree['findings'] if entry['verdict'] == 'ok'))

    def test_doctor_says_that_certificates_may_be_wrong(self):
        done = world.polis('--endpoints', self.cluster.url(self.cluster.nodes[0]), 'doctor')
        self.assertEqual(done.returncode, 1)
        self.assertIn('whether --cacert, --cert and --key are right', done.stdout)

    def test_top_shows_every_member_under_load(self):
        ending = threading.Event()

        def load():
            while not ending.is_set():
                self.cluster.polis('kv', 'put', 'a', 'b', nodes=self.cluster.nodes[:1])

        thread = threading.Thread(target=load)
        thread.start()
        try:
            done = self.cluster.polis('--format', 'json', 'top', '--once', '--interval', '3')
        finally:
            ending.set()
            thread.join()
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = json.loads(done.stdout)['members']
        self.assertEqual(sorted(row['name'] for row in rows), ['n1', 'n2', 'n3'])
        self.assertEqual(sorted(row['role'] for row in rows), ['follower', 'follower', 'leader'])
        self.assertGreater(next(row for row in rows if row['name'] == 'n1')['requests_per_second'], 0)
        for row in rows:
            self.assertGreater(row['memory_bytes'], 1 << 20)
            self.assertGreater(row['store_bytes'], 0)
            self.assertGreater(row['term'], 0)
            self.assertLess(row['lag'], 1000)
            self.assertEqual((row['watchers'], row['leases'], row['error']), (0, 0, ''))

    def test_top_prints_a_table(self):
        done = self.cluster.polis('top', '--once', '--interval', '0.2')
        self.assertEqual([line.split()[0] for line in done.stdout.splitlines()], ['NAME', 'n1', 'n2', 'n3'])
        self.assertNotIn('\033', done.stdout)


class Ailing(unittest.TestCase):
    """What is wrong is found, and told."""

    def setUp(self):
        self.cluster = world.Cluster(secure=False)
        self.addCleanup(self.cluster.close)
        self.cluster.start()

    def findings(self, nodes, *words):
        """What doctor finds wrong, by check; it must end with 1."""
        done = self.cluster.polis('--format', 'json', '--timeout', '2', 'doctor', *words, nodes=nodes)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        return {entry['check']: entry['what'] for entry in json.loads(done.stdout)['findings'] if entry['verdict'] == 'failed'}

    def test_killed_member_is_named_by_all(self):
        self.cluster.nodes[2].kill()
        time.sleep(4)  # Longer than members may be silent.
        found = self.findings(self.cluster.nodes[:2])
        self.assertTrue(found['reachable'].startswith('n3 does not answer: '))
        self.assertRegex(found['peers'], r'^n[12] suspects n3: silent for \d+ ms, phi [\d.]+$')

    def test_majority_that_hangs_leaves_no_leader(self):
        for node in self.cluster.nodes[1:]:
            node.signal(signal.SIGSTOP)
        time.sleep(2)
        found = self.findings(self.cluster.nodes[:1])
        self.assertEqual(found['leader'], 'there is no leader: nothing can be written')

    def test_alarm_is_told(self):
        node = self.cluster.nodes[0]
        connection = self.cluster.etcdctl('alarm', 'list')
        self.assertEqual(connection.stdout, '')
        for each in self.cluster.nodes:
            each.stop()
            each.start('--etcd.quota_bytes', '1000000')
        for each in self.cluster.nodes:
            each.await_ready()
        for number in range(20):
            self.cluster.etcdctl('put', f'key{number}', 'x' * 100_000)
        self.assertIn('NOSPACE', self.cluster.etcdctl('alarm', 'list').stdout)
        self.assertRegex(self.findings([node])['alarms'], r'^alarm NOSPACE at n[123]$')

    def test_configuration_and_ports_that_are_wrong(self):
        node = self.cluster.nodes[0]
        self.cluster.nodes[1].kill()
        found = self.findings([node], '--config', node.config)
        self.assertTrue(found['ports'].startswith(f"n2's peer port at http://{self.cluster.nodes[1].address}:2380: "))
        node.config.write_text('[node]\nname = 7\n')
        self.assertIn('node.name must be a text', self.findings([node], '--config', node.config)['configuration'])

    def test_top_with_a_member_down_is_3(self):
        self.cluster.nodes[2].kill()
        done = self.cluster.polis('top', '--once', '--interval', '0.2', nodes=self.cluster.nodes[:2])
        self.assertEqual(done.returncode, 3)
        self.assertRegex(done.stdout, r'(?m)^n3 +down ')


if __name__ == '__main__':
    unittest.main()
