"""Tests of `polis backup` and `polis restore` on three nodes, and of backups that are damaged."""
import json
import pathlib
import unittest

import world

GOLDEN = world.ROOT / 'tests/golden/etcd-3.4-snapshot.db'


class Restore(unittest.TestCase):
    """Three new nodes, made from a file."""

    def make(self):
        """A cluster that is not started."""
        cluster = world.Cluster(secure=False)
        self.addCleanup(cluster.close)
        return cluster

    def restore(self, cluster, snapshot):
        """Restores the file on all nodes and starts them."""
        for node in cluster.nodes:
            done = world.polis('restore', snapshot, '--config', node.config)
            self.assertEqual((done.returncode, done.stdout), (0, 'restored; now start the node\n'), done.stderr)
        return cluster.start()

    def contents(self, cluster):
        """All keys with their revisions, as each node has them; they must be equal."""
        answers = []
        for node in cluster.nodes:
            done = cluster.etcdctl('get', '', '--prefix', '--consistency=s', '-w', 'json', node=node)
            self.assertEqual(done.returncode, 0, done.stderr)
            answers.append(json.loads(done.stdout).get('kvs', []))
        self.assertEqual(answers[1:], [answers[0]] * 2)
        return answers[0]

    def hashes(self, cluster):
        """HashKV of each node; they must be equal."""
        found = {json.loads(cluster.etcdctl('endpoint', 'hashkv', '-w', 'json', node=node).stdout)[0]['HashKV']['hash']
                 for node in cluster.nodes}
        self.assertEqual(len(found), 1)
        return found.pop()

    def test_snapshot_of_etcd_serves_on_three_nodes(self):
        cluster = self.restore(self.make(), GOLDEN)
        kept = self.contents(cluster)
        self.assertGreater(len(kept), 0)
        self.hashes(cluster)
        revision = json.loads(cluster.etcdctl('endpoint', 'status', '-w', 'json').stdout)[0]['Status']['header']['revision']
        self.assertGreaterEqual(revision, max(pair['mod_revision'] for pair in kept))
        put = json.loads(cluster.etcdctl('put', 'after', 'restore', '-w', 'json', node=cluster.nodes[2]).stdout)
        self.assertGreater(put['header']['revision'], revision - 1)
        for node in cluster.nodes:
            self.assertEqual(cluster.etcdctl('get', 'after', node=node).stdout, 'after\nrestore\n')

    def test_backup_comes_back_as_it_was(self):
        source = self.make().start()
        for number in range(50):
            self.assertEqual(source.polis('kv', 'put', f'key{number:02}', f'value{number}').returncode, 0)
        source.polis('kv', 'del', 'key07')
        lease = source.etcdctl('lease', 'grant', '3600').stdout.split()[1]
        source.etcdctl('put', 'leased', 'yes', f'--lease={lease}')
        before, digest = self.contents(source), self.hashes(source)
        saved = source.folder / 'saved.db'
        done = source.polis('backup', saved)
        self.assertEqual((done.returncode, done.stdout), (0, f'saved {saved}\n'), done.stderr)
        self.assertEqual(saved.stat().st_mode & 0o777, 0o600)
        self.assertFalse(pathlib.Path(f'{saved}.part').exists())
        target = self.restore(self.make(), saved)
        self.assertEqual(self.contents(target), before)
        self.assertEqual(self.hashes(target), digest)
        self.assertIn('remaining', target.etcdctl('lease', 'timetolive', lease).stdout)

    def test_backup_takes_the_first_endpoint_that_answers(self):
        source = self.make().start()
        source.nodes[0].kill()
        saved = source.folder / 'saved.db'
        self.assertEqual(source.polis('backup', saved).returncode, 0)

    def test_backup_from_nobody_leaves_no_file(self):
        cluster = self.make()
        saved = cluster.folder / 'saved.db'
        self.assertEqual(cluster.polis('backup', saved).returncode, 3)
        self.assertEqual(list(cluster.folder.glob('saved.db*')), [])


class Damaged(unittest.TestCase):
    """Files that are refused, with the reason, and nothing made of them."""

    def setUp(self):
        self.cluster = world.Cluster(count=1, secure=False)
        self.addCleanup(self.cluster.close)
        self.octets = bytearray(GOLDEN.read_bytes())

    def refused(self, octets):
        """Why a file of these octets is refused."""
        path = self.cluster.folder / 'damaged.db'
        path.write_bytes(octets)
        done = world.polis('restore', path, '--config', self.cluster.nodes[0].config)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertFalse((self.cluster.nodes[0].config.parent / 'data/node.toml').exists())
        return done.stderr

    def test_flipped_bit_anywhere(self):
        for place in (0, len(self.octets) // 2, len(self.octets) - 1):
            damaged = bytearray(self.octets)
            damaged[place] ^= 1
            self.assertIn('is damaged: its digest does not match', self.refused(damaged))

    def test_cut_short(self):
        self.assertIn('has no digest at its end: is it a snapshot, and is it whole?', self.refused(self.octets[:-7]))
        self.assertIn('digest does not match', self.refused(self.octets[:4096] + self.octets[-32:]))

    def test_something_else(self):
        self.assertIn('has no digest at its end', self.refused(b'hello'))
        self.assertIn('has no digest at its end', self.refused(b''))

    def test_absent_file_and_node_that_is_there_already(self):
        done = world.polis('restore', '/nonexistent.db', '--config', self.cluster.nodes[0].config)
        self.assertEqual((done.returncode, done.stderr), (1, 'Error: cannot open /nonexistent.db: No such file or directory\n'))
        self.cluster.start()
        self.cluster.nodes[0].stop()
        done = world.polis('restore', GOLDEN, '--config', self.cluster.nodes[0].config)
        self.assertEqual(done.returncode, 1)
        self.assertIn("is a node's already", done.stderr)


if __name__ == '__main__':
    unittest.main()
