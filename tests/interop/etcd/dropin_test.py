"""Tests of tools/dropin/etcd: how it reads flags, environment and files, and that what it starts looks like etcd from outside."""
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import time
import tomllib
import unittest
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[3]
LAUNCHER = ROOT / 'tools/dropin/etcd'
MEMBER = ['--name', 'n1', '--listen-client-urls', 'http://127.0.2.31:2379', '--advertise-client-urls=http://127.0.2.31:2379',
          '-listen-peer-urls=http://127.0.2.31:2380', '--initial-advertise-peer-urls', 'http://127.0.2.31:2380',
          '--initial-cluster', 'n1=http://127.0.2.31:2380']


class Launcher(unittest.TestCase):
    """The launcher, with /bin/echo in the server's place."""

    def setUp(self):
        """A folder of its own."""
        self.folder = tempfile.TemporaryDirectory(prefix='polis-test-dropin-')
        self.addCleanup(self.folder.cleanup)
        self.data = pathlib.Path(self.folder.name) / 'data'

    def launch(self, *words, **environment):
        """Runs it; (exit status, what it printed, node.toml as a tree)."""
        done = subprocess.run([LAUNCHER, '--data-dir', self.data, *words], capture_output=True, text=True, timeout=20,
                              env={'PATH': os.environ['PATH'], 'POLIS_BINARY': '/bin/echo', **environment})
        file = self.data / 'started-as-etcd.toml'
        return done.returncode, done.stdout + done.stderr, tomllib.loads(file.read_text()) if file.exists() else {}

    def test_passes_on_what_a_member_is(self):
        """Names, URLs, and the call of the server."""
        status, out, config = self.launch(*MEMBER)
        self.assertEqual(status, 0, out)
        self.assertEqual(out.strip(), f'start --config {self.data}/started-as-etcd.toml')
        self.assertEqual(config['node'], {'name': 'n1', 'data_dir': str(self.data)})
        self.assertEqual(config['listen'], {'client': ['http://127.0.2.31:2379'], 'peer': ['http://127.0.2.31:2380']})
        self.assertEqual(config['cluster'], {'initial': {'n1': 'http://127.0.2.31:2380'}, 'state': 'new', 'token': 'etcd-cluster'})

    def test_passes_on_limits_only_if_they_are_given(self):
        """Otherwise the node's own defaults hold."""
        _, _, config = self.launch(*MEMBER)
        self.assertNotIn('quota_bytes', config['etcd'])
        _, _, config = self.launch(*MEMBER, '--quota-backend-bytes=1000000', '--max-txn-ops', '7', '--election-timeout=2000')
        self.assertEqual((config['etcd']['quota_bytes'], config['etcd']['operations_per_txn_max']), (1000000, 7))
        self.assertEqual(config['cluster']['election_timeout_ms'], 2000)

    def test_takes_the_environment_and_prefers_flags(self):
        """ETCD_NAME, and --name over it."""
        _, _, config = self.launch(ETCD_NAME='by-environment', ETCD_QUOTA_BACKEND_BYTES='5')
        self.assertEqual((config['node']['name'], config['etcd']['quota_bytes']), ('by-environment', 5))
        _, _, config = self.launch('--name=by-flag', ETCD_NAME='by-environment')
        self.assertEqual(config['node']['name'], 'by-flag')

    def test_takes_a_configuration_file_alone(self):
        """Flags beside it are ignored, as etcd does."""
        file = pathlib.Path(self.folder.name) / 'etcd.yml'
        file.write_text(f'# a comment\nname: "by file"\ndata-dir: {self.data}\nlog-outputs: [stderr]\n'
                        'client-transport-security:\n  cert-file: /c.pem\n  client-cert-auth: true\n'
                        'peer-transport-security:\n  key-file: /p.key\n')
        status, out, config = self.launch('--config-file', file, '--name=other')
        self.assertEqual(status, 0, out)
        self.assertEqual(config['node']['name'], 'by file')
        self.assertEqual(config['tls'], {'client': {'cert_file': '/c.pem', 'client_cert_auth': True}, 'peer': {'key_file': '/p.key'}})

    def test_reads_booleans_as_go_does(self):
        """Alone, with =, and never the next word."""
        for words, wanted in ((['--client-cert-auth'], True), (['--client-cert-auth=true'], True), (['--client-cert-auth=false'], False)):
            _, _, config = self.launch(*words, '--cert-file=/c', '--name', 'x')
            self.assertEqual(config['tls']['client'].get('client_cert_auth', False), wanted)
            self.assertEqual(config['node']['name'], 'x')

    def test_reads_retentions(self):
        """Hours by default, revisions in revision mode, off at zero."""
        for words, wanted in ((['--auto-compaction-retention=2'], ('periodic', '2h')),
                              (['--auto-compaction-retention=30m'], ('periodic', '30m')),
                              (['--auto-compaction-mode=revision', '--auto-compaction-retention=1000'], ('revision', '1000')),
                              (['--auto-compaction-mode=revision'], ('off', '0'))):
            _, _, config = self.launch(*words)
            self.assertEqual((config['etcd']['auto_compaction_mode'], config['etcd']['auto_compaction_retention']), wanted)

    def test_hands_on_tokens_and_checkpoints(self):
        """Signed tokens as they are given; checkpoints of leases are on unless switched off."""
        tokens = 'jwt,pub-key=/p.pem,priv-key=/k.pem,sign-method=RS256,ttl=10m'
        _, _, config = self.launch(*MEMBER, '--auth-token', tokens, '--experimental-enable-lease-checkpoint=false')
        self.assertEqual(config['etcd']['auth_token'], tokens)
        self.assertEqual(config['etcd']['lease_checkpoint_interval_s'], 0)
        _, _, config = self.launch(*MEMBER, '--experimental-enable-lease-checkpoint')
        self.assertNotIn('lease_checkpoint_interval_s', config['etcd'])

    def test_says_which_flags_have_no_effect(self):
        """They are accepted, each with a line in the log."""
        status, out, _ = self.launch(*MEMBER, '--enable-pprof', '--logger=zap', '--snapshot-count', '5000')
        self.assertEqual(status, 0)
        flags = {json.loads(line)['flag'] for line in out.splitlines() if line.startswith('{')}
        self.assertEqual(flags, {'enable-pprof', 'logger', 'snapshot-count'})

    def test_refuses_what_it_cannot_honour(self):
        """Unknown flags, revocation lists, discovery, contradictions: each with a reason, and nothing is started."""
        for words, word in ((['--colour=blue'], 'not defined'), (['--client-crl-file=/x'], 'revocation'), (['surplus'], 'not a valid flag'),
                            (['--discovery=https://x'], 'not supported'), (['--election-timeout=100'], '5 times'),
                            (['--listen-client-urls=http://127.0.0.1:1'], 'advertise-client-urls'), (['--max-txn-ops=many'], 'invalid value'),
                            (['--initial-cluster=other=http://x:1'], 'local name'), (['--name'], 'needs an argument')):
            status, out, config = self.launch(*words)
            self.assertEqual((status, config), (1, {}), out)
            self.assertIn(word, out)

    def test_says_its_version(self):
        """etcd --version has four lines, the first of which tools read."""
        _, out, _ = self.launch('--version')
        self.assertRegex(out, r'^etcd Version: 3\.6\.\d+\nGit SHA: .*\nGo Version: .*\nGo OS/Arch: linux/amd64\n$')


class Started(unittest.TestCase):
    """The launcher with the real server."""

    def test_announces_itself_serves_and_ends_as_etcd_does(self):
        """The lines that scripts wait for, then a client's request, then SIGTERM."""
        with tempfile.TemporaryDirectory(prefix='polis-test-dropin-') as folder:
            log = pathlib.Path(folder) / 'log'
            with open(log, 'w') as out:
                process = subprocess.Popen([LAUNCHER, '--data-dir', f'{folder}/data', *MEMBER], stdout=out, stderr=out)
            try:
                deadline = time.monotonic() + 30
                while 'serving client traffic insecurely' not in log.read_text():
                    self.assertIsNone(process.poll(), log.read_text())
                    self.assertLess(time.monotonic(), deadline, log.read_text())
                    time.sleep(0.05)
                messages = [json.loads(line) for line in log.read_text().splitlines() if '"caller":"embed' in line]
                self.assertEqual(messages[0]['msg'], 'ready to serve client requests')
                self.assertEqual(messages[1]['address'], '127.0.2.31:2379')
                with urllib.request.urlopen('http://127.0.2.31:2379/version', timeout=5) as answer:
                    self.assertTrue(json.load(answer)['etcdserver'].startswith('3.6.'))
                process.send_signal(signal.SIGTERM)
                self.assertIn(process.wait(15), (0, -signal.SIGTERM))
            finally:
                process.kill()
                process.wait()


if __name__ == '__main__':
    unittest.main()
