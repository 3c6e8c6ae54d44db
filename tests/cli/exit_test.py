"""Tests of exit codes, parsing and formats on the real binary: 0 done, 1 failed, 2 usage, 3 unavailable, 4 outcome not known."""
import json
import signal
import subprocess
import time
import unittest
import urllib.request

import world


class WithoutServer(unittest.TestCase):
    """What needs no node."""

    def test_usage_is_2(self):
        for words in ((), ('nonsense',), ('kv', 'get'), ('--format', 'yaml', 'status'), ('member', 'remove', 'xyz'),
                      ('kv', 'get', 'a', 'b', '--prefix'), ('reload',), ('help', 'nonsense')):
            done = world.polis(*words)
            self.assertEqual(done.returncode, 2, words)
            self.assertTrue(done.stderr or done.stdout)

    def test_help_and_version_are_0(self):
        for words in (('--help',), ('--version',), ('kv', 'get', '--help'), ('help',), ('help', 'kv', 'get')):
            done = world.polis(*words)
            self.assertEqual((done.returncode, done.stderr), (0, ''), words)
            self.assertTrue(done.stdout)

    def test_nobody_there_is_3(self):
        address = world.free_addresses(1)[0]
        for words in (('kv', 'put', 'a', 'b'), ('kv', 'get', 'a'), ('status',), ('member', 'list'), ('top', '--once')):
            done = world.polis('--endpoints', f'{address}:2379', *words)
            self.assertEqual(done.returncode, 3, (words, done.stderr))
            self.assertIn(address, done.stderr)

    def test_configuration_with_mistake_is_2(self):
        done = world.polis('start', '--node.data_dir', '/nonexistent/x', '--log.level', 'loud')
        self.assertEqual((done.returncode, done.stderr), (2, 'Error: log.level must be debug, info, warn or error\n'))
        done = world.polis('start', POLIS_NODE_NAEM='x')
        self.assertIn('POLIS_NODE_NAEM is no option', done.stderr)


class WithCluster(unittest.TestCase):
    """What three plain nodes answer."""

    def setUp(self):
        self.cluster = world.Cluster(secure=False)
        self.addCleanup(self.cluster.close)
        self.cluster.start()

    def leader(self):
        """The node that leads, and the others."""
        members = json.loads(self.cluster.polis('--format', 'json', 'status').stdout)['members']
        name = next(entry['member']['name'] for entry in members if entry['role'] == 'leader')
        return (next(node for node in self.cluster.nodes if node.name == name),
                [node for node in self.cluster.nodes if node.name != name])

    def await_pending(self, node):
        """Waits until the node has taken a write that is not committed yet."""
        deadline = time.monotonic() + 30
        while True:
            with urllib.request.urlopen(self.cluster.url(node) + '/metrics', timeout=10) as answer:
                if b'\netcd_server_proposals_pending 1\n' in answer.read():
                    return
            self.assertLess(time.monotonic(), deadline, 'the write has not arrived')
            time.sleep(0.05)

    def test_reads_and_writes_are_0_and_refusals_1(self):
        self.assertRegex(self.cluster.polis('kv', 'put', 'k', 'v').stdout, r'^revision \d+\n$')
        self.assertEqual(self.cluster.polis('kv', 'get', 'k').stdout, 'k\nv\n')
        self.assertEqual(json.loads(self.cluster.polis('--format', 'json', 'kv', 'get', 'k').stdout)['count'], '1')
        self.assertEqual(self.cluster.polis('kv', 'get', 'absent').returncode, 0)
        self.assertEqual(self.cluster.polis('kv', 'del', '--prefix', 'k').stdout, 'deleted 1\n')
        refused = self.cluster.polis('kv', 'put', 'k', 'v', '--lease', '77')
        self.assertEqual((refused.returncode, refused.stderr), (1, 'Error: etcdserver: requested lease not found\n'))
        self.assertEqual(self.cluster.polis('kv', 'get', 'k', '--rev', '999999').returncode, 1)

    def test_first_endpoint_that_is_down_is_passed_over(self):
        dead = world.free_addresses(1)[0]
        done = world.polis('--endpoints', f'{dead}:2379,{self.cluster.nodes[0].address}:2379', 'kv', 'put', 'a', 'b')
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_write_whose_leader_is_killed_in_the_middle_is_4(self):
        leader, others = self.leader()
        for node in others:
            node.signal(signal.SIGSTOP)  # Nothing can be committed: the put stays in the middle.
        put = subprocess.Popen([world.BINARY, *self.cluster.flags([leader]), '--timeout', '30', 'kv', 'put', 'k', 'v'],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.await_pending(leader)
        self.assertIsNone(put.poll())
        leader.kill()
        _, errors = put.communicate(timeout=20)
        self.assertEqual(put.returncode, 4, errors)
        self.assertIn('It may have been done all the same', errors)

    def test_write_whose_deadline_passes_is_4_and_read_is_3(self):
        leader, others = self.leader()
        for node in others:
            node.signal(signal.SIGSTOP)
        put = self.cluster.polis('--timeout', '0.5', 'kv', 'put', 'k', 'v', nodes=[leader])
        self.assertEqual(put.returncode, 4, put.stderr)
        read = self.cluster.polis('--timeout', '0.5', 'kv', 'get', 'k', nodes=[leader])
        self.assertEqual(read.returncode, 3, read.stderr)

    def test_status_with_a_node_down_is_3_and_names_it(self):
        self.cluster.nodes[2].kill()
        # It may have been the leader.
        self.assertEqual(self.cluster.polis('kv', 'put', 'k', 'v', nodes=self.cluster.nodes[:2]).returncode, 0)
        done = self.cluster.polis('status', nodes=self.cluster.nodes[:2])
        self.assertEqual(done.returncode, 3)
        self.assertRegex(done.stdout, r'n3 .* DOWN ')
        members = json.loads(self.cluster.polis('--format', 'json', 'status', nodes=self.cluster.nodes[:2]).stdout)['members']
        self.assertEqual(sorted(entry['role'] for entry in members), ['down', 'follower', 'leader'])
        self.assertTrue(next(entry for entry in members if entry['role'] == 'down')['error'])

    def test_flag_stands_above_environment_above_file(self):
        node = self.cluster.nodes[0]
        node.stop()
        node.log.write_text('')
        node.start(POLIS_LOG_LEVEL='error').await_ready()
        self.assertEqual(node.log.read_text(), '')
        node.stop()
        node.start('--log.level', 'info', POLIS_LOG_LEVEL='error').await_ready()
        self.assertTrue(node.logged('listening'))


if __name__ == '__main__':
    unittest.main()
