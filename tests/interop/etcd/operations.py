"""Random operations of etcd's protocol from a seed: the same for every server that takes them in order."""
import random

from messages import kv, pb

KEYS = [b'a', b'b', b'b\0', b'ba', b'c', b'c/1', b'c/2', b'd', b'\xff', b'\xff\xff', b'k' * 40]
LEASES = [101, 102, 103, 104]
EVERYTHING = (b'\0', b'\0')


def writes(request):
    """All puts and deletions of a transaction, at any depth."""
    for operation in [*request.success, *request.failure]:
        kind = operation.WhichOneof('request')
        if kind == 'request_txn':
            yield from writes(operation.request_txn)
        elif kind in ('request_put', 'request_delete_range'):
            yield getattr(operation, kind)


def spare_the_oracle(request):
    """Keeps a transaction from ending etcd 3.4 with a panic: a deletion of all keys from one on (range_end zero) escapes its
    check for keys written twice, and a put after it that relies on the key being there then fails where nothing may fail."""
    if any(isinstance(write, pb.DeleteRangeRequest) and write.range_end == b'\0' for write in writes(request)):
        for write in writes(request):
            if isinstance(write, pb.PutRequest):
                write.ignore_value = write.ignore_lease = False


class Operations:
    """Draws operations. Knows only what any client could know: the revision after each answer."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.revision, self.compacted = 1, 0

    def key(self):
        """One of few keys, so that operations meet."""
        return self.random.choice(KEYS)

    def range(self):
        """key and range_end: one key, an interval (also an empty one), from a key on, a prefix, everything."""
        kind = self.random.randrange(8)
        if kind < 3:
            return self.key(), b''
        if kind == 3:
            return EVERYTHING
        if kind == 4:
            return self.key(), b'\0'
        if kind == 5:
            return b'c/', b'c0'
        return self.key(), self.key()

    def past(self):
        """A revision: mostly the newest (0), else a past one, rarely one that is compacted or to come."""
        kind = self.random.randrange(10)
        if kind < 6:
            return 0
        if kind < 9 and self.revision > self.compacted:
            return self.random.randint(max(1, self.compacted), self.revision)
        return self.random.choice([self.compacted - 1, self.revision + 1, self.revision + 5, -1])

    def value(self):
        """A value; now and then empty or long."""
        kind = self.random.randrange(20)
        return b'' if kind == 0 else self.random.randbytes(2000) if kind == 1 else b'%d' % self.random.randrange(100)

    def put(self):
        """A PutRequest, with any combination of options."""
        request = pb.PutRequest(key=self.key() if self.random.random() > 0.005 else b'', prev_kv=self.random.random() < 0.3)
        kind = self.random.randrange(12)
        if kind == 0:
            request.ignore_value = True
        else:
            request.value = self.value()
        if kind == 1:
            request.ignore_lease = True
        elif self.random.random() < 0.15:
            request.lease = self.random.choice(LEASES)
        if kind == 2 and self.random.random() < 0.2:
            request.ignore_value = True  # With a value: refused.
        return request

    def get(self, may_be_past=True):
        """A RangeRequest, with any combination of options."""
        key, end = self.range()
        draw = self.random
        request = pb.RangeRequest(key=key, range_end=end, limit=draw.choice([0, 0, 0, 1, 2, 3, 5, 100]),
                                  sort_order=draw.choice([0, 0, 1, 2]), sort_target=draw.choice([0, 0, 0, 1, 2, 3, 4]),
                                  keys_only=draw.random() < 0.2, count_only=draw.random() < 0.1)
        if may_be_past:
            request.revision = self.past()
        for field in ('min_mod_revision', 'max_mod_revision', 'min_create_revision', 'max_create_revision'):
            if draw.random() < 0.08:
                setattr(request, field, draw.randint(0, self.revision + 2))
        return request

    def delete(self):
        """A DeleteRangeRequest."""
        key, end = self.range()
        if end and self.random.random() < 0.7:
            end = b''  # Deleting much is rarer than deleting little.
        return pb.DeleteRangeRequest(key=key, range_end=end, prev_kv=self.random.random() < 0.4)

    def compare(self):
        """A Compare on one key or a range, near enough to the truth to come out either way."""
        draw = self.random
        target = draw.randrange(5)
        compare = pb.Compare(key=self.key(), target=target, result=draw.randrange(4))
        if draw.random() < 0.25:
            compare.key, compare.range_end = self.range()
        field = ('version', 'create_revision', 'mod_revision', 'value', 'lease')[target]
        value = (draw.randrange(4), draw.randint(0, self.revision), draw.randint(0, self.revision),
                 b'%d' % draw.randrange(100), draw.choice([0, *LEASES]))[target]
        if draw.random() < 0.95:
            setattr(compare, field, value)
        return compare

    def operation(self, depth):
        """A RequestOp: also a transaction in a transaction."""
        kind = self.random.randrange(20)
        if kind == 0 and depth < 3:
            return pb.RequestOp(request_txn=self.txn(depth + 1))
        if kind < 9:
            return pb.RequestOp(request_put=self.put())
        if kind < 13:
            return pb.RequestOp(request_delete_range=self.delete())
        return pb.RequestOp(request_range=self.get(may_be_past=self.random.random() < 0.3))

    def txn(self, depth=0):
        """A TxnRequest."""
        some = lambda most: range(self.random.randrange(most + 1))
        request = pb.TxnRequest(compare=[self.compare() for _ in some(2)], success=[self.operation(depth) for _ in some(3)],
                                failure=[self.operation(depth) for _ in some(3)])
        if depth == 0:
            spare_the_oracle(request)
        return request

    def lease(self):
        """A lease operation. Times to live are long enough not to end during the test."""
        lease, kind = self.random.choice(LEASES), self.random.randrange(8)
        if kind < 4:
            return 'Lease/LeaseGrant', pb.LeaseGrantRequest(ID=lease, TTL=self.random.choice([5000, 6000, 9000000001]))
        if kind < 6:
            return 'Lease/LeaseRevoke', pb.LeaseRevokeRequest(ID=lease)
        if kind == 6:
            return 'Lease/LeaseTimeToLive', pb.LeaseTimeToLiveRequest(ID=lease, keys=True)
        return 'Lease/LeaseLeases', pb.LeaseLeasesRequest()

    def next(self):
        """(method, request)."""
        kind = self.random.randrange(1000)
        if kind < 350:
            return 'KV/Put', self.put()
        if kind < 620:
            return 'KV/Range', self.get()
        if kind < 720:
            return 'KV/DeleteRange', self.delete()
        if kind < 920:
            return 'KV/Txn', self.txn()
        if kind < 980:
            return self.lease()
        if kind < 990:
            return 'Maintenance/HashKV', pb.HashKVRequest(revision=self.hash_revision())
        return 'KV/Compact', pb.CompactionRequest(revision=self.compaction_revision(), physical=True)

    def hash_revision(self):
        """Now, or a revision after the last compaction."""
        if self.revision <= self.compacted + 1 or self.random.random() < 0.5:
            return 0
        return self.random.randint(self.compacted + 1, self.revision)

    def compaction_revision(self):
        """Mostly a little after the last one, so that there is a past to read; now and then refused."""
        return self.random.choice([self.compacted + (self.revision - self.compacted) // 2] * 8 + [self.compacted, self.revision + 1])

    def saw(self, method, request, answer):
        """Learns the revision from an answer that was no error."""
        self.revision = max(self.revision, answer.header.revision)
        if method == 'KV/Compact':
            self.compacted = max(self.compacted, request.revision)


__all__ = ['Operations', 'kv']
