"""Tests of what a running node tells of itself: the times of its calls, and its peers; and of `polis top` over it."""
import json
import re
import time
import unittest
import urllib.request

import world

SAMPLE = re.compile(r'^(\w+)(?:\{(.*)\})? (\S+)$')


def metrics(cluster, node):
    """{(name, {label: value} as sorted pairs): number} of a node's page."""
    with urllib.request.urlopen(f'{cluster.url(node)}/metrics', timeout=10) as page:
        found = {}
        for line in page.read().decode().splitlines():
            if not line.startswith('#'):
                name, labels, value = SAMPLE.match(line).groups()
                found[name, tuple(sorted(re.findall(r'(\w+)="([^"]*)"', labels or '')))] = float(value)
        return found


def put_labels(**more):
    """The labels of KV.Put's samples."""
    return tuple(sorted({'grpc_method': 'Put', 'grpc_service': 'etcdserverpb.KV', 'grpc_type': 'unary', **more}.items()))


class Metrics(unittest.TestCase):
    """Three plain nodes."""

    def setUp(self):
        self.cluster = world.Cluster(secure=False)
        self.addCleanup(self.cluster.close)
        self.cluster.start()

    def test_handling_times_add_up(self):
        node = self.cluster.nodes[0]
        for i in range(20):
            self.assertEqual(self.cluster.etcdctl('put', f'a{i}', 'b').returncode, 0)
        page, name = metrics(self.cluster, node), 'grpc_server_handling_seconds'
        self.assertEqual(page[f'{name}_count', put_labels()], 20)
        self.assertEqual(page[f'{name}_bucket', put_labels(le='+Inf')], 20)
        edges = sorted((float(dict(labels)['le']), count) for (sample, labels), count in page.items()
                       if sample == f'{name}_bucket' and dict(labels).get('grpc_method') == 'Put')
        self.assertEqual([count for _, count in edges], sorted(count for _, count in edges))
        total = page[f'{name}_sum', put_labels()]
        # Each put is a write to three disks: over 50 us, and the sum lies within what the buckets allow.
        self.assertEqual(edges[0][1], 0)
        highest = next(edge for edge, count in edges if count == 20)
        self.assertTrue(20 * 50e-6 < total <= 20 * highest, (total, edges))

    def test_peers_are_seen_to_come_and_go(self):
        node, other, third = self.cluster.nodes

        def figure(name, peer):
            found = [value for (sample, labels), value in metrics(self.cluster, node).items()
                     if sample == name and dict(labels)['name'] == peer.name]
            self.assertEqual(len(found), 1)
            return found[0]

        self.assertEqual([figure('polis_peer_alive', peer) for peer in (other, third)], [1, 1])
        self.assertEqual([figure('polis_peer_connected', peer) for peer in (other, third)], [1, 1])
        self.assertLess(figure('polis_peer_silent_seconds', other), 5)
        third.kill()
        deadline = time.monotonic() + 20
        while figure('polis_peer_alive', third) != 0 or figure('polis_peer_suspicion_phi', third) < 1:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.1)
        self.assertEqual(figure('polis_peer_alive', other), 1)
        third.start().await_ready()
        while figure('polis_peer_alive', third) != 1:
            self.assertLess(time.monotonic(), deadline + 20)
            time.sleep(0.1)

    def test_top_shows_percentiles(self):
        done = self.cluster.polis('--format', 'json', 'top', '--once')
        self.assertEqual(done.returncode, 0, done.stderr)
        for member in json.loads(done.stdout)['members']:  # It asks each for its status, twice.
            self.assertGreater(member['p50_ms'], 0)
            self.assertGreaterEqual(member['p99_ms'], member['p50_ms'])
        self.assertRegex(self.cluster.polis('top', '--once').stdout.splitlines()[0], r'REQUESTS/S +P50 MS +P99 MS +SYNC MS')


if __name__ == '__main__':
    unittest.main()
