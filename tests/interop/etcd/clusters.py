"""The two sides of a comparison: for each kind of cluster that cases ask for, one of the oracle's and one of ours."""
import pathlib
import tempfile
import time

from case import Case
from certificates import Authority
from nodes import Cluster

NETWORKS = {'oracle': '127.0.1', 'subject': '127.0.2'}


class Side:
    """The oracle or the subject: its shared cluster, and clusters of their own for the cases that need one."""

    def __init__(self, role, kind):
        self.role, self.kind, self.network = role, kind, NETWORKS[role]
        self.shared = None

    def begin(self, wanted, options):
        """A Case on a cluster of the kind wanted, emptied or new."""
        if wanted == 'shared':
            return self.begin_shared()
        cluster = self.make(wanted, dict(options))
        try:
            cluster.start()
            return self.ready(Case(cluster))
        except BaseException:
            cluster.close()
            raise

    def make(self, wanted, options):
        """A new cluster, not started. The kinds: single, fresh (three nodes), tls (three, certificates), server_tls."""
        first = f'{self.network}.11'
        count = options.pop('nodes', 1 if wanted == 'single' else 3)
        if wanted in ('tls', 'server_tls'):
            folder = pathlib.Path(tempfile.mkdtemp(prefix=f'polis-test-{self.role}-'))
            authority = Authority(folder / 'certificates', client_cert_auth=wanted == 'tls')
            return Cluster(self.kind, first, count, tls=authority, folder=folder, **options)
        return Cluster(self.kind, first, count, **options)

    def begin_shared(self):
        """The shared cluster with no key, lease or alarm left."""
        if self.shared and any(node.process.poll() is not None for node in self.shared.nodes):
            print(f'{self.role}: a node has ended:', *(node.log_tail(15) for node in self.shared.nodes if node.process.poll()
                                                       is not None), sep='\n')
            self.shared.close()
            self.shared = None
        if self.shared is None:
            self.shared = Cluster(self.kind, f'{self.network}.1', 3)
            self.shared.start()
        case = Case(self.shared)
        connection = case.connection()
        connection.call('KV/DeleteRange', key=b'\0', range_end=b'\0')
        for lease in connection.call('Lease/LeaseLeases').leases:
            connection.call('Lease/LeaseRevoke', ID=lease.ID)
        return self.ready(case)

    def ready(self, case):
        """Lets the case's names know where it begins."""
        connection = case.connection()
        members = connection.call('Cluster/MemberList')
        deadline = time.monotonic() + 10
        while not all(member.name for member in members.members) and time.monotonic() < deadline:
            time.sleep(0.05)  # A member's name is known to others a moment after it serves.
            members = connection.call('Cluster/MemberList')
        case.names.learn_members(members)
        case.names.begin(connection.call('KV/Range', key=b'\0').header.revision)
        return case

    def end(self, case):
        """Ends the case's cluster, unless it is the shared one."""
        case.close()
        if case.cluster is not self.shared:
            case.cluster.close()

    def close(self):
        """Ends the shared cluster."""
        if self.shared:
            self.shared.close()


